package partway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// pause is how long storage that could not be reached is left alone.
const pause = 5 * time.Minute

// direct follows redirects. It is inside of the SDK's retries: each attempt asks the gateway, and gets a URL of its own.
type direct struct {
	allowed    []string
	relayUntil atomic.Int64 // unix seconds
}

// ID of the middleware.
func (*direct) ID() string { return "partway" }

// HandleDeserialize returns the answer of storage or of the gateway.
func (d *direct) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok || !isS3(ctx) {
		return next.HandleDeserialize(ctx, in)
	}
	if !replayable(req) || time.Now().Unix() < d.relayUntil.Load() {
		req.Header.Set("X-Partway-Transfer", "relay")
		return next.HandleDeserialize(ctx, in)
	}
	req.Header.Set("X-Partway-Transfer", "redirect")
	// net/http waits for an answer to Expect in requests of HTTP/1.1 only, and the SDK leaves the version 0.
	req.Header.Set("Expect", "100-continue")
	req.ProtoMajor, req.ProtoMinor = 1, 1
	out, metadata, err := next.HandleDeserialize(ctx, in)
	location, redirected := redirectOf(out.RawResponse)
	if err != nil || !redirected {
		return out, metadata, err
	}
	there, err := d.request(req, location)
	if err == nil {
		out, metadata, err = next.HandleDeserialize(ctx, middleware.DeserializeInput{Request: there})
		hideQuery(err)
		if err == nil {
			err = refusal(out.RawResponse)
		} else if !unreachable(err) || ctx.Err() != nil {
			return out, metadata, err // the body may have been on its way: the SDK's to try again
		} else {
			d.relayUntil.Store(time.Now().Add(pause).Unix())
			err = fmt.Errorf("storage cannot be reached: %w", err)
		}
		if err == nil {
			return out, metadata, nil
		}
	}
	middleware.GetLogger(ctx).Logf(logging.Warn, "partway: redirect not followed: %v; asking for the relay", err)
	if err := req.RewindStream(); err != nil {
		return out, metadata, fmt.Errorf("partway: go back to the begin of the body: %w", err)
	}
	req.Header.Set("X-Partway-Transfer", "relay")
	return next.HandleDeserialize(ctx, in)
}

// request is what storage is sent. An error says why the redirect is not followed.
func (d *direct) request(req *smithyhttp.Request, location string) (*smithyhttp.Request, error) {
	u, err := target(location, req.URL.Hostname(), d.allowed)
	if err != nil {
		return nil, err
	}
	h, err := headers(u, req.Header)
	if err != nil {
		return nil, err
	}
	if err := req.RewindStream(); err != nil {
		return nil, fmt.Errorf("go back to the begin of the body: %w", err)
	}
	h.Set("Expect", "100-continue")
	h["User-Agent"] = []string{""} // net/http would send its own
	there := req.Clone()           // with the body
	there.Request = &http.Request{
		Method: req.Method, URL: u, Host: u.Host, Header: h, ContentLength: req.ContentLength,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	return there, nil
}

// redirectOf is the Location of a redirect that this package asked for. S3 has redirects of its own, which are not for us.
func redirectOf(raw any) (location string, ok bool) {
	resp, ok := raw.(*smithyhttp.Response)
	if !ok || resp.StatusCode != http.StatusTemporaryRedirect || !strings.HasPrefix(resp.Header.Get("X-Partway-Transfer"), "redirect") {
		return "", false
	}
	discard(resp)
	return resp.Header.Get("Location"), true
}

// refusal is why storage's answer is not the operation's: it refused the URL, or would lead on.
func refusal(raw any) error {
	resp, ok := raw.(*smithyhttp.Response)
	if !ok || resp.StatusCode/100 != 3 && resp.StatusCode != http.StatusForbidden {
		return nil
	}
	discard(resp)
	return fmt.Errorf("storage answered %s", resp.Status)
}

// hideQuery takes the signature out of what net/http says: who has it may write until it expires.
func hideQuery(err error) {
	if e := new(url.Error); errors.As(err, &e) {
		e.URL, _, _ = strings.Cut(e.URL, "?")
	}
}

// discard what is left of an answer, so that its connection can be used again.
func discard(resp *smithyhttp.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}

// unreachable reports that no connection to storage could be made, so that no byte of the body left.
func unreachable(err error) bool {
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect" || op.Op == "socks connect") || errors.As(err, &certificate) || errors.As(err, &record)
}
