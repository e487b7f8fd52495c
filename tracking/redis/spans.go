package redis

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// steps names the scripts by their hashes.
var steps = map[string]string{
	putState.Hash(): "put state", reserve.Hash(): "reserve", land.Hash(): "land", release.Hash(): "release", part.Hash(): "part", session.Hash(): "session", rate.Hash(): "rate",
}

// spans makes each call a span below that of its context, if that is recorded: which step, and whether it failed. Never a key or a value.
type spans struct{}

var _ goredis.Hook = spans{}

// DialHook implements goredis.Hook.
func (spans) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessPipelineHook implements goredis.Hook; there are no pipelines but the client's own, of a new connection.
func (spans) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

// ProcessHook implements goredis.Hook.
func (spans) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, c goredis.Cmder) error {
		parent := trace.SpanFromContext(ctx)
		if !parent.IsRecording() {
			return next(ctx, c)
		}
		ctx, span := parent.TracerProvider().Tracer("partway/tracking/redis").Start(ctx, "redis "+stepOf(c), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("db.system.name", "redis"), attribute.String("db.operation.name", c.Name())))
		defer span.End()
		err := next(ctx, c)
		if err != nil && !errors.Is(err, goredis.Nil) && !goredis.HasErrorPrefix(err, "NOSCRIPT") { // the latter: it is told the script next
			span.SetStatus(codes.Error, "")
		}
		return err
	}
}

func stepOf(c goredis.Cmder) string {
	if args := c.Args(); len(args) > 1 && c.Name() == "evalsha" {
		if hash, ok := args[1].(string); ok && steps[hash] != "" {
			return steps[hash]
		}
	}
	return c.Name()
}
