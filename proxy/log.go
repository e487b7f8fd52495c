package proxy

import (
	"context"
	"log/slog"
)

// Every line that is logged for a request has its request_id, so that an answer leads to what was behind it: code that knows the request says it,
// and what is called for one logs with the request's context.

type requestKey struct{}

// of is the context of what is done for r.
func of(ctx context.Context, r *Request) context.Context {
	return context.WithValue(r.under(ctx), requestKey{}, r)
}

// requestLog adds the request that a context is of.
type requestLog struct{ slog.Handler }

func (l requestLog) Handle(ctx context.Context, line slog.Record) error {
	if r, ok := ctx.Value(requestKey{}).(*Request); ok {
		line = line.Clone()
		line.AddAttrs(slog.String("request_id", r.ID))
	}
	return l.Handler.Handle(ctx, line)
}

func (l requestLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestLog{l.Handler.WithAttrs(attrs)}
}

func (l requestLog) WithGroup(name string) slog.Handler { return requestLog{l.Handler.WithGroup(name)} }
