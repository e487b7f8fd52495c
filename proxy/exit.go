package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"partway/auth/sigv4"
	"partway/proxy/relay"
	"partway/tracking"
)

// Response is what a handler answers. At most one of Body, stream, take and late says where the body comes from.
type Response struct {
	Status  int
	Headers []sigv4.Header
	Body    []byte

	// Outcome goes into the event; "" is "ok".
	Outcome string

	// events are recorded in the place of the request's own: a call that speaks of several parts is one event for each.
	events []tracking.Event

	// stream is an object on its way to the client, length bytes of it. Its event is recorded when it is closed.
	stream io.ReadCloser
	length int

	// take is the rest of an operation that needs the client's body: it runs once the connection was taken over.
	take func(context.Context, *relay.Exchange) (*Response, error)

	// late is an answer that takes long: the client is kept waiting with white space.
	late <-chan lateAnswer
}

type lateAnswer struct {
	resp *Response
	err  error
}

// reply makes a Response of a status, a body and pairs of header name and value.
func reply(status int, body []byte, headers ...string) *Response {
	r := &Response{Status: status, Body: body}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Headers = append(r.Headers, sigv4.Header{Name: headers[i], Value: headers[i+1]})
	}
	return r
}

// Outcomes of bodies that do not pass here.
const (
	outcomeGranted  = "granted"  // its client may send it to storage
	outcomeReported = "reported" // its client says that storage took it
)

// pairs are the headers as reply takes them.
func (r *Response) pairs() (out []string) {
	for _, h := range r.Headers {
		out = append(out, h.Name, h.Value)
	}
	return out
}

// recordTimeout is how long a write waits for its event.
const recordTimeout = 10 * time.Second

// exit is the one way out: it turns an error into a refusal, records the event, and completes the headers. A write whose event cannot be
// made durable is answered 503: the caller tries again, and may rely on what was acknowledged.
func (g *Gateway) exit(ctx context.Context, r *Request, resp *Response, err error) *Response {
	resp = g.outcome(r, resp, err)
	if resp.stream != nil {
		resp.stream = &recordedStream{ReadCloser: resp.stream, want: int64(resp.length), done: func(sent int64, err error) {
			r.Event.Bytes, r.Event.DurationMS = sent, g.Now().Sub(r.Received).Milliseconds()
			if err != nil {
				r.Event.Outcome = errIncompleteBody.Code
			}
			g.metrics.carried(r.Event.Road, "out", sent)
			g.account(r, resp.Status)
			g.Writer.Note(r.Event)
		}}
		return resp
	}
	if r.Identity == nil || r.overRate {
		g.account(r, resp.Status)
		return resp
	}
	if !r.writes() {
		g.account(r, resp.Status)
		g.Writer.Note(r.Event)
		return resp
	}
	// Its client and even the gateway may be going; the event must not go with them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	waiting := r.child("audit write")
	err = g.Writer.Record(ctx, eventsOf(r, resp)...)
	waiting.End()
	if err != nil && r.Event.Status < http.StatusBadRequest {
		resp = g.outcome(r, nil, errUnavailable.because(err))
	}
	g.account(r, resp.Status)
	return resp
}

// eventsOf are what a request leaves in the trail.
func eventsOf(r *Request, resp *Response) []tracking.Event {
	if resp.events == nil {
		return []tracking.Event{r.Event}
	}
	for i := range resp.events {
		e := &resp.events[i]
		e.Outcome, e.Status, e.DurationMS = r.Event.Outcome, r.Event.Status, r.Event.DurationMS
	}
	return resp.events
}

// outcome completes the answer and the event.
func (g *Gateway) outcome(r *Request, resp *Response, err error) *Response {
	ev := &r.Event
	ev.DurationMS = g.Now().Sub(r.Received).Milliseconds()
	if err != nil {
		refusal := asError(err)
		resp = g.refuse(r, refusal)
		ev.Outcome = refusal.Code
		g.logRefusal(r, refusal)
	} else if ev.Outcome = resp.Outcome; ev.Outcome == "" {
		ev.Outcome = "ok"
	}
	ev.Status = resp.Status
	resp.Headers = append(resp.Headers, sigv4.Header{Name: "x-amz-request-id", Value: r.ID})
	if r.Identity != nil {
		resp.Headers = append(resp.Headers, sigv4.Header{Name: "x-partway-transfer", Value: ev.Road + reasonSuffix(ev.Reason)})
	}
	resp.Headers = g.allowOrigin(r, resp.Headers)
	for i := range resp.Headers {
		resp.Headers[i].Name = wireName(resp.Headers[i].Name)
	}
	return resp
}

// wireName writes a header's name as S3 does: x-amz-* in lower case (boto3 shows the names of metadata as they came), others as usual.
func wireName(name string) string {
	switch {
	case strings.HasPrefix(name, "x-"):
		return name
	case name == "etag":
		return "ETag"
	}
	return http.CanonicalHeaderKey(name)
}

func reasonSuffix(reason string) string {
	if reason == "" {
		return ""
	}
	return ";reason=" + reason
}

// refuse writes a refusal as its caller expects it: XML for S3 and, in another form, for STS, JSON for the API, nothing for HEAD.
func (g *Gateway) refuse(r *Request, e *Error) *Response {
	resp := &Response{Status: e.Status}
	if e.Status == http.StatusServiceUnavailable {
		resp.Headers = append(resp.Headers, sigv4.Header{Name: "retry-after", Value: "2"})
	}
	switch {
	case r.Method == http.MethodHead || e.Status == http.StatusNotModified:
	case r.isAPI():
		refusal := apiError{Code: e.Code, Message: e.Message, RequestID: r.ID}
		if strings.HasPrefix(r.Path, apiPrefix+companionPrefix) {
			refusal.Error = &apiErrorCode{e.Code}
		}
		resp.Body = mustJSON(refusal)
		resp.Headers = append(resp.Headers, jsonType)
	case r.isSTS():
		resp.Body = stsErrorXML(e, r)
		resp.Headers = append(resp.Headers, stsType)
	default:
		resp.Body = errorXML(e, r)
		resp.Headers = append(resp.Headers, xmlType)
	}
	return resp
}

func (g *Gateway) logRefusal(r *Request, e *Error) {
	log := g.Log.Debug
	if e.Status >= http.StatusInternalServerError {
		log = g.Log.Error
	}
	cause := ""
	if e.Cause != nil {
		cause = e.Cause.Error()
	}
	log("refused", "request_id", r.ID, "operation", r.Event.Operation, "code", e.Code, "status", e.Status, "cause", cause)
}

// account counts the request, and what was refused before anyone was known or in a flood, and ends its span.
func (g *Gateway) account(r *Request, status int) {
	g.endSpan(r, status)
	g.metrics.request(r, status, g.Now())
	if (r.Identity == nil || r.overRate) && status >= http.StatusBadRequest {
		g.refusals.add(r.Event)
	}
}

// writes reports whether the answer must wait for its event.
func (r *Request) writes() bool {
	if r.isAPI() {
		return r.Method != http.MethodGet
	}
	return r.Operation != nil && r.Operation.writes()
}

// write sends an answer through fasthttp. A body of the client's that nobody read makes the connection close, lingering. So does
// an Expect that was answered without 100 Continue: botocore takes the next answer on such a connection for a part of this one.
func (g *Gateway) write(c *fiber.Ctx, r *Request, resp *Response) {
	res := c.Response()
	if r.unread || r.Method == http.MethodPut && r.Head.Expect {
		c.Context().SetConnectionClose()
		if conn, ok := c.Context().Conn().(*relay.Conn); ok {
			conn.Linger()
		}
	}
	if g.retiring.Load() {
		c.Context().SetConnectionClose()
	}
	res.SetStatusCode(resp.Status)
	res.Header.DisableNormalizing()
	for _, h := range resp.Headers {
		res.Header.Set(h.Name, h.Value)
	}
	switch {
	case resp.stream != nil:
		res.SetBodyStream(resp.stream, resp.length)
	case r.Method == http.MethodHead:
		res.SkipBody = true
		if n, err := strconv.Atoi(headerOf(resp.Headers, "content-length")); err == nil {
			res.Header.SetContentLength(n)
		}
	default:
		res.SetBodyRaw(resp.Body)
	}
}

func headerOf(headers []sigv4.Header, name string) string {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// writeLate keeps the client with white space until the answer is there. S3 does so too: the status is 200 by then, and a refusal
// follows as <Error> in the body. The XML declaration must come first: botocore's parser takes no white space before it. JSON takes it.
func (g *Gateway) writeLate(c *fiber.Ctx, r *Request, resp *Response) {
	begin, kind := xmlDeclaration+"\n", xmlType
	if r.isAPI() {
		begin, kind = " ", jsonType
	}
	c.Response().SetStatusCode(http.StatusOK)
	c.Response().Header.SetContentType(kind.Value)
	for _, h := range g.allowOrigin(r, headers(sigv4.Header{Name: "x-amz-request-id", Value: r.ID})) {
		c.Response().Header.Set(h.Name, h.Value)
	}
	c.Response().SetBodyStreamWriter(func(w *bufio.Writer) {
		tick := time.NewTicker(5 * time.Second)
		defer tick.Stop()
		_, _ = w.WriteString(begin)
		for {
			// A client that is gone does not stop the Complete: its answer is recorded for the retry.
			_ = w.Flush()
			select {
			case <-tick.C:
				_, _ = w.WriteString(" ")
			case a := <-resp.late:
				out := g.exit(g.base, r, a.resp, a.err)
				_, _ = w.WriteString(strings.TrimPrefix(string(out.Body), xmlDeclaration))
				return
			}
		}
	})
}

// recordedStream tells once, at its close, how much of a body was read.
type recordedStream struct {
	io.ReadCloser
	want, sent int64 // want -1: not known beforehand
	broke      error
	done       func(sent int64, err error)
}

func (s *recordedStream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	s.sent += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.broke = err
	}
	return n, err
}

func (s *recordedStream) Close() error {
	err := s.ReadCloser.Close()
	if s.done == nil {
		return err
	}
	if s.broke == nil && s.sent < s.want {
		s.broke = errors.New("the client went away")
	}
	s.done(s.sent, s.broke)
	s.done = nil
	return err
}
