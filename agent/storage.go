package agent

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// errBroke is wrapped when a body was cut after some of it had left: whoever has it must send it again.
var errBroke = errors.New("the transfer broke off")

// put sends body, length bytes of it, by a signed request that sign makes. As long as nothing of the body was read it is tried again,
// with a fresh signature: one may have expired on the way, and storage says so before the body. The answer's body is closed.
func (c *Client) put(ctx context.Context, sign func() (Signed, error), body io.Reader, length int64) (http.Header, error) {
	source := &countingReader{r: body}
	for try := 0; ; try++ {
		signed, err := sign()
		if err != nil {
			return nil, err
		}
		attempt := &attempt{source: source}
		header, err := c.send(ctx, signed, attempt, length)
		left := !attempt.end()
		if err == nil {
			c.Stats.DirectBytes.Add(length)
			c.Stats.DirectBodies.Add(1)
			return header, nil
		}
		if cause := source.failed(); cause != nil {
			return nil, cause // of the body itself: it does not help to send it again
		}
		var refusal *Refusal
		final := errors.As(err, &refusal) && refusal.Status < 500 && refusal.Status != http.StatusForbidden
		if final || ctx.Err() != nil || left || try >= 3 {
			return nil, c.putFailed(err, left, final)
		}
		c.Stats.Retries.Add(1)
		select {
		case <-time.After(time.Duration(try) * 300 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// putFailed is what a failed put is to whoever sent the body. What speaks of the signature is not theirs to understand.
func (c *Client) putFailed(err error, left, final bool) error {
	var refusal *Refusal
	if final || errors.As(err, &refusal) && refusal.Status == http.StatusForbidden && !ofSignature[refusal.Code] && refusal.Message != expiredMessage {
		return err
	}
	if left {
		return fmt.Errorf("%w: %w", errBroke, err)
	}
	return fmt.Errorf("storage %w: %w", errAway, err)
}

// ofSignature are refusals that speak of the URL and whose it is.
var ofSignature = map[string]bool{
	"AuthorizationHeaderMalformed": true, "AuthorizationQueryParametersError": true, "ExpiredToken": true, "InvalidAccessKeyId": true, "InvalidToken": true,
	"RequestExpired": true, "RequestTimeTooSkewed": true, "SignatureDoesNotMatch": true,
}

// expiredMessage is S3's, under AccessDenied, for a URL whose time has passed.
const expiredMessage = "Request has expired"

// send makes one attempt. The bearer is not on it.
func (c *Client) send(ctx context.Context, signed Signed, body *attempt, length int64) (http.Header, error) {
	var content io.Reader = body
	if length == 0 {
		content = http.NoBody
	}
	req, err := http.NewRequestWithContext(ctx, signed.Method, signed.URL, content)
	if err != nil {
		return nil, errors.New("the gateway signed a request that cannot be sent")
	}
	req.ContentLength = length
	for name, value := range signed.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("User-Agent", "partway")
	if length > 0 {
		req.Header.Set("Expect", "100-continue")
	}
	resp, err := c.storage.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("storage %w: %w", errAway, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if resp.StatusCode/100 != 2 {
		return nil, storageRefusal(resp.StatusCode, text)
	}
	if err != nil || body.source.n.Load() < length { // a 200 to what it was not sent is no answer to this body
		return nil, fmt.Errorf("storage %w: it answered before it had the body", errAway)
	}
	return resp.Header, nil
}

// storageRefusal reads S3's error. A redirect of storage is a mistake in the gateway's configuration.
func storageRefusal(status int, text []byte) *Refusal {
	var e struct{ Code, Message string }
	if xml.Unmarshal(text, &e) != nil || e.Code == "" {
		e.Code, e.Message = codeOf(status), "Storage answered "+http.StatusText(status)+"."
	}
	if status < 400 {
		return &Refusal{Status: http.StatusInternalServerError, Code: "InternalError", Message: "Storage redirects: the gateway's configuration names another endpoint or region than its own."}
	}
	return &Refusal{Status: status, Code: e.Code, Message: e.Message}
}

// countingReader knows how much of a body has left, and why it ended. The transport reads it and is not done when it answers.
type countingReader struct {
	r   io.Reader
	n   atomic.Int64
	err atomic.Pointer[error]
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		r.err.Store(&err)
	}
	return n, err
}

// failed is the body's own error; nil if it had none.
func (r *countingReader) failed() error {
	if err := r.err.Load(); err != nil {
		return *err
	}
	return nil
}

// attempt lets one request read a body. A transport may begin to read after it has answered; by then nobody must.
type attempt struct {
	source *countingReader
	state  atomic.Int32
}

const (
	unread int32 = iota
	begun
	ended
)

func (a *attempt) Read(p []byte) (int, error) {
	if !a.state.CompareAndSwap(unread, begun) && a.state.Load() == ended {
		return 0, errors.New("the attempt has ended")
	}
	return a.source.Read(p)
}

// end reports whether nothing of the body was read, and then nothing will be.
func (a *attempt) end() bool { return a.state.CompareAndSwap(unread, ended) }
