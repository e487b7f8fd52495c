package mongo

import (
	"context"
	"sync"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// newSpans makes each command a span below that of its context, if that is recorded: which command, on which collection, and whether it failed.
// Never what it says.
func newSpans() *event.CommandMonitor {
	type command struct {
		connection string
		request    int64
	}
	var open sync.Map // command -> trace.Span; the driver tells of the end of whatever it told the start of
	end := func(e *event.CommandFinishedEvent, failed bool) {
		span, ok := open.LoadAndDelete(command{e.ConnectionID, e.RequestID})
		if !ok {
			return
		}
		if failed {
			span.(trace.Span).SetStatus(codes.Error, "")
		}
		span.(trace.Span).End()
	}
	return &event.CommandMonitor{
		Started: func(ctx context.Context, e *event.CommandStartedEvent) {
			parent := trace.SpanFromContext(ctx)
			if !parent.IsRecording() {
				return
			}
			collection, _ := e.Command.Lookup(e.CommandName).StringValueOK()
			_, span := parent.TracerProvider().Tracer("partway/tracking/mongo").Start(ctx, "mongodb "+e.CommandName, trace.WithSpanKind(trace.SpanKindClient),
				trace.WithAttributes(attribute.String("db.system.name", "mongodb"), attribute.String("db.operation.name", e.CommandName), attribute.String("db.collection.name", collection)))
			open.Store(command{e.ConnectionID, e.RequestID}, span)
		},
		Succeeded: func(_ context.Context, e *event.CommandSucceededEvent) { end(&e.CommandFinishedEvent, false) },
		Failed:    func(_ context.Context, e *event.CommandFailedEvent) { end(&e.CommandFinishedEvent, true) },
	}
}
