package main

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"partway/cmd/partway/config"
)

// hanging is a receiver that takes a batch and says nothing until it is no longer waited for.
type hanging struct{ asked int }

func (h *hanging) ExportSpans(ctx context.Context, _ []sdk.ReadOnlySpan) error {
	h.asked++
	<-ctx.Done()
	return ctx.Err()
}

func (h *hanging) Shutdown(context.Context) error { return nil }

// The clock of the bubble moves only while everything in it waits: what took no time has waited for nobody.
func TestAReceiverThatHangsHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		receiver := &hanging{}
		traces := tracingTo(receiver, 1, resource.Empty(), slog.New(slog.NewTextHandler(&log, nil)))
		began := time.Now()
		for i := range 3 * spanQueue {
			if i == spanQueue/2 {
				time.Sleep(2 * spanDelay) // the receiver has a batch by now, and hangs
				began = time.Now()
			}
			_, span := traces.tracer().Start(context.Background(), "request")
			span.End()
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("requests waited %v", took)
		}
		began = time.Now()
		traces.end(context.Background())
		if took := time.Since(began); took > spanFlush {
			t.Errorf("the end took %v, want %v at most", took, spanFlush)
		}
		_, span := traces.tracer().Start(context.Background(), "too late")
		span.End()
		traces.end(context.Background())
		// What hangs is given up batch by batch; the process is over before.
		time.Sleep(time.Hour)
		synctest.Wait()
		if receiver.asked == 0 || !strings.Contains(log.String(), "the last spans were not sent") {
			t.Errorf("%d batches; the log says %q", receiver.asked, log.String())
		}
	})
}

// The drain has a time of its own, which the end of the traces must not stretch.
func TestTheEndOfTracesKeepsToTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		traces := tracingTo(&hanging{}, 1, resource.Empty(), slog.New(slog.DiscardHandler))
		_, span := traces.tracer().Start(context.Background(), "request")
		span.End()
		drain, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		began := time.Now()
		traces.end(drain)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v of a drain of 1s", took)
		}
		time.Sleep(time.Hour)
	})
}

func TestOnlyAPartOfTheRequestsIsSampled(t *testing.T) {
	yes := trace.ContextWithRemoteSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true}))
	for _, c := range []struct {
		name   string
		sample float64
		parent context.Context
		want   bool
	}{
		{"none", 0, context.Background(), false},
		{"all", 1, context.Background(), true},
		{"none, but a parent that is believed says so", 0, yes, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			traces := tracingTo(&hanging{}, c.sample, resource.Empty(), slog.New(slog.DiscardHandler))
			_, span := traces.tracer().Start(c.parent, "request")
			if got := span.IsRecording(); got != c.want {
				t.Errorf("sampled: %v, want %v", got, c.want)
			}
			traces.end(context.Background()) // the span has not ended, so there is nothing to send
		})
	}
}

func TestNoEndpointNoTraces(t *testing.T) {
	traces, err := newTracing(t.Context(), config.Default().Tracing, slog.New(slog.DiscardHandler))
	if traces != nil || err != nil || traces.tracer() != nil {
		t.Errorf("%v, %v", traces, err)
	}
	traces.end(t.Context())
}

// A receiver that sends elsewhere would be given the headers there, and the key in them.
func TestSpansGoToTheReceiverAlone(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked elsewhere: %v", r.URL, r.Header) }))
	defer elsewhere.Close()
	for name, c := range map[string]struct{ path, want string }{"of the specification": {"", "/v1/traces"}, "of the receiver's own": {"/otlp/spans", "/otlp/spans"}} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := gzip.NewReader(r.Body)
				if err == nil {
					_, err = io.Copy(io.Discard, body)
				}
				asked = append(asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("x-key")+" "+r.Header.Get("Content-Type"))
				if err != nil {
					t.Error(err)
				}
				http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			}))
			traces, err := newTracing(t.Context(), config.Tracing{Endpoint: receiver.URL + c.path, Headers: map[string]string{"x-key": "abc"}, Sample: 1}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			_, span := traces.tracer().Start(t.Context(), "request")
			span.End()
			traces.end(context.Background())
			receiver.Close() // waits for the handler
			if got := strings.Join(asked, ", "); got != "POST "+c.want+" abc application/x-protobuf" {
				t.Errorf("the receiver was asked %q", got)
			}
		})
	}
}
