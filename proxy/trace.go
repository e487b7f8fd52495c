package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"partway/proxy/relay"
)

// Each request is one span, named by its operation, and what it asks of storage and stores are spans below it. Whoever reads traces need not be
// whoever may read the audit trail, so no span says who asked or for which key: the request id leads to the event that does.

// startSpan starts the span of a request, but for those that anybody may send, of probes above all.
func (g *Gateway) startSpan(r *Request) {
	if g.Tracer == nil || g.openRoute(r) != nil {
		return
	}
	ctx := context.Background()
	if g.TrustParent {
		ctx = propagation.TraceContext{}.Extract(ctx, parentHeaders{r.Head})
	}
	_, r.span = g.Tracer.Start(ctx, r.operationName(), trace.WithSpanKind(trace.SpanKindServer))
}

// endSpan completes the span with what the event says.
func (g *Gateway) endSpan(r *Request, status int) {
	if r.span == nil {
		return
	}
	defer r.span.End()
	if !r.span.IsRecording() {
		return
	}
	ev := &r.Event
	r.span.SetName(r.operationName())
	r.span.SetAttributes(
		attribute.String("http.request.method", r.Method),
		attribute.Int("http.response.status_code", status),
		attribute.String("partway.request_id", r.ID),
		attribute.String("partway.road", ev.Road),
		attribute.String("partway.outcome", ev.Outcome))
	text := func(key, value string) {
		if value != "" {
			r.span.SetAttributes(attribute.String(key, value))
		}
	}
	number := func(key string, value int64) {
		if value > 0 {
			r.span.SetAttributes(attribute.Int64(key, value))
		}
	}
	if known := r.Scope != nil || r.Identity != nil && status < http.StatusBadRequest; known && validBucket(r.Bucket) { // else it may be anything
		text("partway.bucket", r.Bucket)
	}
	text("partway.reason", ev.Reason)
	text("partway.upload", uploadHash(ev.UploadID))
	number("partway.part_number", int64(ev.PartNumber))
	number("partway.bytes_declared", ev.BytesDeclared)
	number("partway.bytes", ev.Bytes)
	if status >= http.StatusInternalServerError {
		r.span.SetStatus(codes.Error, ev.Outcome)
	}
}

// under is ctx with the span of the request.
func (r *Request) under(ctx context.Context) context.Context {
	if r.span == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, r.span)
}

// child starts a span below the request's, of something that the request waits for.
func (r *Request) child(name string) trace.Span {
	if r.span == nil || !r.span.IsRecording() {
		return trace.SpanFromContext(context.Background()) // does nothing
	}
	_, span := r.span.TracerProvider().Tracer("partway/proxy").Start(r.under(context.Background()), name)
	return span
}

// uploadHash names an upload: the first 16 digits of the SHA-256 of its id, in hex.
func uploadHash(id string) string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:8])
}

// parentHeaders are traceparent and tracestate where a client's are believed.
type parentHeaders struct{ *relay.Head }

var _ propagation.TextMapCarrier = parentHeaders{}

// Set does nothing: nothing is propagated from here. Storage would refuse a header that is not signed.
func (parentHeaders) Set(string, string) {}

// Keys implements propagation.TextMapCarrier; TraceContext does not ask for them.
func (parentHeaders) Keys() []string { return nil }
