package harness

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Traces is a receiver of OTLP over HTTP.
type Traces struct {
	*httptest.Server

	mu    sync.Mutex
	spans []*tracev1.Span
	text  []byte        // of the requests, as they came
	asked chan struct{} // one for each request that came while it hung
	hung  chan struct{} // nil: it answers; else it does not until this is closed
	wrong []error
}

// NewTraces starts a receiver. Close ends it.
func NewTraces() *Traces {
	t := &Traces{asked: make(chan struct{}, 1000)}
	t.Server = httptest.NewServer(t)
	return t
}

// Hang makes it take requests and not answer them until its end.
func (t *Traces) Hang() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hung = make(chan struct{})
}

// Asked is told of each request that is left without an answer.
func (t *Traces) Asked() <-chan struct{} { return t.asked }

// Close ends what hangs too.
func (t *Traces) Close() {
	t.mu.Lock()
	if t.hung != nil {
		close(t.hung)
		t.hung = nil
	}
	t.mu.Unlock()
	t.Server.Close()
}

// Received are the spans that came, all bytes that came, and what could not be read.
func (t *Traces) Received() (spans []*tracev1.Span, text string, wrong []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.spans), string(t.text), slices.Clone(t.wrong)
}

func (t *Traces) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	hung := t.hung
	t.mu.Unlock()
	if hung != nil {
		t.asked <- struct{}{}
		<-hung
		return
	}
	var body []byte
	unzipped, err := gzip.NewReader(r.Body)
	if err == nil {
		body, err = io.ReadAll(unzipped)
	}
	// It has the same form on the wire as an ExportTraceServiceRequest, whose package brings gRPC along.
	var data tracev1.TracesData
	if err == nil {
		err = proto.Unmarshal(body, &data)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.wrong = append(t.wrong, err)
	}
	t.text = append(t.text, body...)
	for _, resource := range data.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			t.spans = append(t.spans, scope.Spans...)
		}
	}
}
