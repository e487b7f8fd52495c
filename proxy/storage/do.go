package storage

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"partway/auth/sigv4"
)

// newTransport dials address alone, whatever host a request names, so that virtual-host style needs no DNS, and follows no proxy
// settings of the environment.
func newTransport(address string, tlsConfig *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: dialTimeout}
	var http1 http.Protocols
	http1.SetHTTP1(true) // net/http's rules for sending again, on which Sent relies, are HTTP/1.1's
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: tlsHandshakeTimeout,
		Protocols:           &http1,
		DisableCompression:  true, // an answer is passed on as storage sent it
		MaxIdleConnsPerHost: 32,
		// Shorter than what servers commonly keep: a Create on a connection that storage is just closing has an unknown outcome.
		IdleConnTimeout:       10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// Do signs c into its header, sends it once, never again, and returns storage's answer whatever its status; a redirect is an
// answer too. The caller closes its body. ErrUnavailable (wrapped) if there was no answer; Sent tells whether storage may have
// seen the request. How long to wait is ctx's to say.
//
// When a pooled connection turns out dead, net/http goes on with a fresh one: for GET and HEAD always, for other methods only
// if not a byte of the request had been written (persistConn.shouldRetryRequest in net/http).
func (b *Backend) Do(ctx context.Context, c *Call, body []byte) (*http.Response, error) {
	signer, _, err := b.sign.signer(ctx, time.Now())
	if err != nil {
		return nil, &sendError{err: fmt.Errorf("%s %s: %w: %w", c.Method, b.host, ErrUnavailable, err)}
	}
	return b.do(ctx, signer, c, body)
}

// DoAsPut is Do, signed by the identity that signs g's uploads: all that somebody could do at worst who turned such a URL into another
// request. For `partway doctor`. ErrNoIdentity, wrapped, like Presigned.
func (b *Backend) DoAsPut(ctx context.Context, g Grantee, c *Call, body []byte) (*http.Response, error) {
	signer, _, err := b.putSigner(ctx, c.Bucket, g, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Method, err)
	}
	return b.do(ctx, signer, c, body)
}

// DoAsGet is DoAsPut with the identity that signs downloads, which is the same for everybody.
func (b *Backend) DoAsGet(ctx context.Context, g Grantee, c *Call, body []byte) (*http.Response, error) {
	signer, _, err := b.getSigner(ctx, c.Bucket, g, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Method, err)
	}
	return b.do(ctx, signer, c, body)
}

func (b *Backend) do(ctx context.Context, signer *sigv4.Signer, c *Call, body []byte) (*http.Response, error) {
	path := b.path(c)
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return nil, fmt.Errorf("path %q: %w", path, err)
	}
	var reached reach
	r := (&http.Request{
		Method: c.Method,
		// RawPath goes out as it is as long as it decodes to Path. (Opaque would not do: it reads "//key" as a host.)
		URL:           &url.URL{Scheme: b.scheme, Host: b.host, Path: decoded, RawPath: path, RawQuery: c.query()},
		Host:          b.hostOf(c.Bucket),
		Header:        http.Header{},
		ContentLength: int64(len(body)),
		Body:          http.NoBody,
	}).WithContext(httptrace.WithClientTrace(ctx, reached.trace()))
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	}
	for _, h := range b.signedHeaders(signer, c, body, time.Now()) {
		if h.Name != "host" {
			r.Header.Add(h.Name, h.Value)
		}
	}
	if r.Header["User-Agent"] == nil { // else net/http gives its own name
		r.Header["User-Agent"] = []string{"partway"}
	}
	resp, err := b.traced().RoundTrip(r)
	if err != nil {
		return nil, &sendError{sent: reached.yes.Load(), err: fmt.Errorf("%s %s: %w: %w", c.Method, b.host, ErrUnavailable, err)}
	}
	return resp, nil
}

// Sent reports whether the request that failed with err may have reached storage. False only when that is certain.
func Sent(err error) bool {
	var e *sendError
	return errors.As(err, &e) && e.sent
}

// sendError is a request without an answer.
type sendError struct {
	sent bool
	err  error
}

func (e *sendError) Error() string { return e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

// reach follows a request: yes from the moment that it has a connection to be written to.
type reach struct{ yes atomic.Bool }

func (s *reach) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		// Asked again, net/http knows that nothing was written the first time (or that the method is GET or HEAD).
		GetConn: func(string) { s.yes.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { s.yes.Store(true) },
	}
}
