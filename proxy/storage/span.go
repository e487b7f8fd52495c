package storage

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Span is a request to storage as a trace shows it: which backend, the method and the status. Never a URL or a key. A nil Span does nothing.
type Span struct{ span trace.Span }

// Span starts a span below that of ctx; nil where that is not recorded.
func (b *Backend) Span(ctx context.Context, method string) *Span {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return nil
	}
	_, span := parent.TracerProvider().Tracer("partway/proxy/storage").Start(ctx, "storage "+method, trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("partway.backend", b.config.Name), attribute.String("http.request.method", method)))
	span.SetStatus(codes.Error, "no answer") // until there is one
	return &Span{span}
}

// Answered notes storage's status.
func (s *Span) Answered(status int) {
	if s == nil {
		return
	}
	s.span.SetAttributes(attribute.Int("http.response.status_code", status))
	if status < http.StatusBadRequest {
		s.span.SetStatus(codes.Ok, "")
	} else {
		s.span.SetStatus(codes.Error, http.StatusText(status))
	}
}

// End ends the span.
func (s *Span) End() {
	if s != nil {
		s.span.End()
	}
}

// tracedTransport is the transport of a backend. A span ends with the answer's head: how long its body takes depends on who reads it.
type tracedTransport struct{ b *Backend }

func (b *Backend) traced() http.RoundTripper { return tracedTransport{b} }

// RoundTrip implements http.RoundTripper.
func (t tracedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	span := t.b.Span(r.Context(), r.Method)
	defer span.End()
	resp, err := t.b.transport.RoundTrip(r)
	if err == nil {
		span.Answered(resp.StatusCode)
	}
	return resp, err
}
