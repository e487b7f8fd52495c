package proxy

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// traced is a bench whose every request is a span, kept in memory.
func traced(t *testing.T) (*bench, *tracetest.InMemoryExporter) {
	t.Helper()
	b := newBench(t)
	return b, b.trace()
}

// trace begins to make spans; nobody may have asked anything yet.
func (b *bench) trace() *tracetest.InMemoryExporter {
	b.t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	b.gateway.Tracer = provider.Tracer("test")
	b.t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return spans
}

// spanOf is the span of the request that was answered so.
func spanOf(t *testing.T, spans *tracetest.InMemoryExporter, a answer) *tracetest.SpanStub {
	t.Helper()
	for _, s := range spans.GetSpans() {
		if id := a.header.Get("x-amz-request-id"); id != "" && attributesOf(&s)["partway.request_id"] == id {
			return &s
		}
	}
	t.Fatalf("no span for the request %s among %d", a.header.Get("x-amz-request-id"), len(spans.GetSpans()))
	return nil
}

func attributesOf(s *tracetest.SpanStub) map[attribute.Key]string {
	all := map[attribute.Key]string{}
	for _, a := range s.Attributes {
		all[a.Key] = a.Value.String()
	}
	return all
}

// below names the spans below another, in the order of their ends.
func below(spans *tracetest.InMemoryExporter, parent *tracetest.SpanStub) (names []string) {
	for _, s := range spans.GetSpans() {
		if s.Parent.SpanID() == parent.SpanContext.SpanID() {
			names = append(names, s.Name)
		}
	}
	return names
}

func TestEachRequestIsASpanNamedByItsOperation(t *testing.T) {
	b, spans := traced(t)
	id := b.create(key1)
	creates := spans.GetSpans()
	create := &creates[len(creates)-1]
	if got := attributesOf(create); create.Name != "CreateMultipartUpload" || got["partway.upload"] != uploadHash(id) || create.SpanKind != trace.SpanKindServer {
		t.Errorf("the Create is %s %v", create.Name, got)
	}
	target := "/uploads/" + key1 + "?partNumber=1&uploadId=" + id
	part := b.part(key1, id, 1, "hello")
	for _, c := range []struct {
		what, name string
		answer     answer
		attributes map[attribute.Key]string
		below      string
	}{
		{"a redirected part", "UploadPart", b.ask("PUT", target, "hello", "x-partway-transfer", "redirect"), map[attribute.Key]string{
			"http.request.method": "PUT", "http.response.status_code": "307", "partway.road": "redirect", "partway.reason": "client-asked", "partway.outcome": "granted",
			"partway.bucket": "uploads", "partway.part_number": "1", "partway.bytes_declared": "5", "partway.bytes": "", "partway.upload": uploadHash(id)}, "audit write"},
		{"a relayed part", "UploadPart", part, map[attribute.Key]string{
			"http.response.status_code": "200", "partway.road": "relay", "partway.reason": "default", "partway.outcome": "ok", "partway.bytes": "5"}, "storage PUT, audit write"},
		{"a Complete", "CompleteMultipartUpload", b.complete(key1, id, "hello"), map[attribute.Key]string{
			"http.response.status_code": "200", "partway.road": "none", "partway.bytes": "5", "partway.upload": uploadHash(id)}, "storage GET, storage POST, audit write"},
		{"a read", "GetObject", b.ask("GET", "/uploads/"+key1, ""), map[attribute.Key]string{"partway.bytes": "5", "partway.road": "relay"}, "storage GET"},
		{"a list", "ListMultipartUploads", b.ask("GET", "/uploads?uploads&prefix=acme/", ""), map[attribute.Key]string{"partway.bucket": "uploads"}, "storage HEAD"},
		{"a call of the API", "partway:WhoAmI", b.ask("GET", "/_partway/whoami", ""), map[attribute.Key]string{"partway.bucket": ""}, ""},
		{"a refusal", "PutObject", b.ask("PUT", "/uploads/other/x", "x"), map[attribute.Key]string{
			"http.response.status_code": "403", "partway.outcome": "AccessDenied", "partway.bucket": ""}, "audit write"},
		{"a refusal before anybody was known", "none", b.ask("GET", "/uploads/acme/x", "", "Authorization", ""), map[attribute.Key]string{
			"http.response.status_code": "403", "partway.outcome": "AccessDenied", "partway.bucket": ""}, ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := spanOf(t, spans, c.answer)
			got := attributesOf(s)
			for key, want := range c.attributes {
				if got[key] != want {
					t.Errorf("%s is %q, want %q", key, got[key], want)
				}
			}
			if s.Name != c.name {
				t.Errorf("it is called %s, want %s", s.Name, c.name)
			}
			if s.Parent.IsValid() || s.Status.Code != codes.Unset {
				t.Errorf("parent %v, status %v, want neither", s.Parent, s.Status)
			}
			if got := strings.Join(below(spans, s), ", "); got != c.below {
				t.Errorf("below it are %q, want %q", got, c.below)
			}
		})
	}
}

func TestASpanShowsWhatFailed(t *testing.T) {
	b, spans := traced(t)
	id := b.create(key1)
	b.s3.faults("part", fail)
	failed := spanOf(t, spans, b.part(key1, id, 1, "hello"))
	if failed.Status.Code != codes.Error {
		t.Errorf("a part that storage failed at: %+v", failed.Status)
	}
	for _, s := range spans.GetSpans() {
		if s.Parent.SpanID() == failed.SpanContext.SpanID() && s.Name == "storage PUT" {
			if got := attributesOf(&s); s.Status.Code != codes.Error || got["http.response.status_code"] != "500" || got["partway.backend"] != "main" {
				t.Errorf("the call to storage: %+v %v", s.Status, got)
			}
			return
		}
	}
	t.Error("no span of the call to storage")
}

// Balancers and probes ask every few seconds; nothing that anybody may ask is worth a trace.
func TestNoSpanForWhatIsOpenToAll(t *testing.T) {
	b, spans := traced(t)
	for _, path := range []string{"health", "ready", "jwks.json", "openapi.json"} {
		b.want(b.ask("GET", "/_partway/"+path, "", "Authorization", ""), http.StatusOK, "")
	}
	if got := spans.GetSpans(); len(got) != 0 {
		t.Errorf("%d spans, of them %s", len(got), got[0].Name)
	}
}

const (
	clientTrace  = "0af7651916cd43dd8448eb211c80319c"
	clientParent = "00-" + clientTrace + "-b7ad6b7169203331-01"
)

// A client says what it likes in traceparent: it could have each of its requests sampled, or lay them into another's trace.
func TestTraceparentIsBelievedOnlyIfTheConfigSaysSo(t *testing.T) {
	for _, trust := range []bool{false, true} {
		t.Run(fmt.Sprint(trust), func(t *testing.T) {
			b, spans := traced(t)
			b.gateway.TrustParent = trust
			s := spanOf(t, spans, b.ask("GET", "/_partway/whoami", "", "traceparent", clientParent))
			if got := s.SpanContext.TraceID().String() == clientTrace; got != trust {
				t.Errorf("in the client's trace: %v, want %v", got, trust)
			}
		})
	}
}

// Storage may refuse a header that is not signed, and what is signed for it is what S3 knows.
func TestTraceparentIsNotSentToStorage(t *testing.T) {
	b, _ := traced(t)
	b.gateway.TrustParent = true
	for what, target := range map[string][2]string{"relayed": {"PUT", "/uploads/acme/x"}, "asked": {"POST", "/uploads/acme/x?uploads"}} {
		a := b.ask(target[0], target[1], "", "traceparent", clientParent, "tracestate", "a=b")
		if h := b.s3.last(); a.status != http.StatusOK || h.Get("Authorization") == "" || h.Get("traceparent") != "" || h.Get("tracestate") != "" {
			t.Errorf("%s: %d, storage was sent %v", what, a.status, h)
		}
	}
}

// Off is the default, and must cost what it cost before there were traces.
func TestNoTracesCostNothing(t *testing.T) {
	b := newBench(t)
	r := &Request{}
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		b.gateway.startSpan(r)
		b.gateway.backends["main"].Span(ctx, "GET").End()
		r.child("audit write").End()
		b.gateway.endSpan(r, http.StatusOK)
	}); n != 0 {
		t.Errorf("%v allocations for spans that nobody wants", n)
	}
}
