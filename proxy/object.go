package proxy

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"partway/auth/sigv4"
	"partway/proxy/storage"
)

// errorBytes is how much of an error answer of storage is read.
const errorBytes = 64 << 10

// getObject is S3's GetObject and HeadObject: storage's answer, streamed.
func (g *Gateway) getObject(_ context.Context, r *Request) (*Response, error) {
	b, err := g.backendOf(r.Bucket)
	if err != nil {
		return nil, err
	}
	answer, err := g.openObject(r, b)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		defer answer.Body.Close()
		if answer.StatusCode == http.StatusNotModified {
			return &Response{Status: answer.StatusCode, Headers: answerHeaders(answer.Header), Outcome: "ok"}, nil
		}
		return nil, readStorageError(answer)
	}
	resp := &Response{Status: answer.StatusCode, Headers: append(answerHeaders(answer.Header), g.sandbox(r)...)}
	if r.Method == http.MethodHead {
		_ = answer.Body.Close() // HEAD has no body to lose
		if n := answer.ContentLength; n >= 0 {
			resp.Headers = append(resp.Headers, sigv4.Header{Name: "content-length", Value: strconv.FormatInt(n, 10)})
		}
		return resp, nil
	}
	r.Event.Road, r.Event.Reason = string(RoadRelay), reasonDefault
	resp.stream, resp.length = answer.Body, int(answer.ContentLength)
	return resp, nil
}

// sandbox keeps an object that a browser opens as a page from being one of ours: on the base host it has the pages' own origin, where their
// tokens are, and what it holds and what type it says it has are its tenant's choice.
func (g *Gateway) sandbox(r *Request) []sigv4.Header {
	if g.Pages == nil || !r.OnBase {
		return nil
	}
	return headers(sigv4.Header{Name: "content-security-policy", Value: "sandbox"}, sigv4.Header{Name: "x-content-type-options", Value: "nosniff"})
}

// openObject asks for an object. Its body is read after the handler has returned, so that it hangs on the gateway's life and not on the
// request's; until the head is there the time is bounded.
func (g *Gateway) openObject(r *Request, b *storage.Backend) (*http.Response, error) {
	ctx, cancel := context.WithCancel(r.under(g.base))
	headDue := time.AfterFunc(controlTimeout, cancel)
	answer, err := b.Do(ctx, r.call(), nil)
	headDue.Stop()
	if err != nil {
		cancel()
		return nil, err
	}
	answer.Body = &cancelingBody{ReadCloser: answer.Body, cancel: cancel}
	return answer, nil
}

// stall is how long storage may say nothing in the middle of an object.
const stall = 60 * time.Second

// cancelingBody ends its request's context when it is closed, and when storage stalls.
type cancelingBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *cancelingBody) Read(p []byte) (int, error) {
	due := time.AfterFunc(stall, b.cancel)
	defer due.Stop()
	return b.ReadCloser.Read(p)
}

func (b *cancelingBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// forward sends a call to storage and passes its answer on.
func (g *Gateway) forward(ctx context.Context, b *storage.Backend, c *storage.Call, body []byte) (*Response, error) {
	answer, err := b.Do(ctx, c, body)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= http.StatusMultipleChoices {
		return nil, readStorageError(answer)
	}
	out, err := io.ReadAll(io.LimitReader(answer.Body, answerBytes))
	if err != nil {
		return nil, errUnavailable.because(err)
	}
	return &Response{Status: answer.StatusCode, Headers: answerHeaders(answer.Header), Body: out}, nil
}

// answerBytes is the largest answer of storage that is held in memory: a page of a list is below 2 MiB.
const answerBytes = 16 << 20

func readStorageError(answer *http.Response) *Error {
	body, _ := io.ReadAll(io.LimitReader(answer.Body, errorBytes)) // what was readable is all there is to say
	return storageError(answer.StatusCode, body)
}
