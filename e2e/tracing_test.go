package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"partway/e2e/harness"
)

func newTraces(t *testing.T) *harness.Traces {
	traces := harness.NewTraces()
	t.Cleanup(traces.Close)
	return traces
}

// textOf is an attribute of a span; "" if it has none of that name.
func textOf(s *tracev1.Span, key string) string {
	for _, a := range s.Attributes {
		if a.Key == key {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// Each request that a client was answered is a span at the receiver by the time that the gateway has ended, with the calls that it led to below it, and
// without a word of whose it was.
func TestSpansOfAnUploadReachTheReceiver(t *testing.T) {
	traces := newTraces(t)
	s := ownStack(t, harness.Setup{Mongo: harness.SecantusDB, Config: []string{"tracing: {endpoint: \"" + traces.URL + "\"}"}})
	n := s.UncheckedTenant(t) // the gateway ends before the test does
	key := n.Prefix + "canary"
	ask := func(method, target, body string, with ...string) harness.Answer {
		t.Helper()
		req := n.Request(t, method, "/"+harness.Bucket+"/"+key+target, body)
		for i := 0; i < len(with); i += 2 {
			req.Header.Set(with[i], with[i+1])
		}
		return n.Do(t, req)
	}
	created := ask(http.MethodPost, "?uploads", "", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	_, id, _ := strings.Cut(created.Text, "<UploadId>")
	id, _, _ = strings.Cut(id, "<")
	target := "?partNumber=1&uploadId=" + id
	granted := ask(http.MethodPut, target, "part", "x-partway-transfer", "redirect")
	relayed := ask(http.MethodPut, target, "part")
	completed := complete(t, n, key, id, relayed.Header.Get("ETag"))
	if err := s.Gateway.Stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	spans, text, wrong := traces.Received()
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for _, c := range []struct {
		answer     harness.Answer
		status     int
		name, road string
		below      []string // some of those
	}{
		{created, http.StatusOK, "CreateMultipartUpload", "none", []string{"mongodb insert", "storage POST", "audit write"}},
		{granted, http.StatusTemporaryRedirect, "UploadPart", "redirect", []string{"redis reserve", "audit write"}},
		{relayed, http.StatusOK, "UploadPart", "relay", []string{"redis reserve", "storage PUT", "audit write"}},
		{completed, http.StatusOK, "CompleteMultipartUpload", "none", []string{"mongodb find", "storage GET", "storage POST", "audit write"}},
	} {
		request := c.answer.Header.Get("x-amz-request-id")
		if c.answer.StatusCode != c.status || request == "" {
			t.Errorf("%s: %s %s", c.name, c.answer.Status, c.answer.Text)
			continue
		}
		at := slices.IndexFunc(spans, func(s *tracev1.Span) bool { return textOf(s, "partway.request_id") == request })
		if at < 0 {
			t.Errorf("%s: none of %d spans is of the request %s", c.name, len(spans), request)
			continue
		}
		span := spans[at]
		if span.Name != c.name || textOf(span, "partway.road") != c.road || span.Kind != tracev1.Span_SPAN_KIND_SERVER || len(span.ParentSpanId) > 0 {
			t.Errorf("%s by %s: %v", c.name, c.road, span)
		}
		for _, want := range c.below {
			if !slices.ContainsFunc(spans, func(s *tracev1.Span) bool { return s.Name == want && string(s.ParentSpanId) == string(span.SpanId) }) {
				t.Errorf("%s by %s has no %s below it", c.name, c.road, want)
			}
		}
	}
	location := granted.Header.Get("Location")
	_, signature, _ := strings.Cut(location, "X-Amz-Signature=")
	for what, secret := range map[string]string{"the tenant": n.Name, "the key": "canary", "the upload id": id, "a URL": location, "a signature": signature[:12],
		"the token": n.Bearer[len(n.Bearer)-20:], "the storage's secret": harness.StorageSecret, "the client's address": "127.0.0.1"} {
		if strings.Contains(text, secret) {
			t.Errorf("the spans tell %s: %q", what, secret)
		}
	}
}

// A receiver of traces is nobody that an upload should wait for, be it silent or gone, nor is the end of the gateway.
func TestUploadsGoOnWithoutTheReceiverOfTraces(t *testing.T) {
	traces := newTraces(t)
	traces.Hang()
	n := ownStack(t, harness.Setup{Config: []string{"server: {drain: 2s}", "tracing: {endpoint: \"" + traces.URL + "\"}"}}).NewTenant(t)
	key := n.Prefix + "untraced"
	finish(t, n, key, create(t, n, key))
	select {
	case <-traces.Asked():
	case <-withTimeout(t, 20*time.Second).Done():
		t.Fatal("the receiver was sent nothing")
	}
	finish(t, n, key, create(t, n, key)) // while it hangs
	traces.Close()
	finish(t, n, key, create(t, n, key))
} // and the stack demands that its gateway ends well
