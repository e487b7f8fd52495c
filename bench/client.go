package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"partway/auth/sigv4"
)

// target is where clients of a measurement send their requests, and how they prove who they are.
type target struct {
	addr   string
	tls    *tls.Config   // nil: plain TCP
	signer *sigv4.Signer // nil: nobody asks
	bearer string        // of Partway's JSON API
}

const region = "us-east-1"

func newSigner(id, secret string) *sigv4.Signer {
	return &sigv4.Signer{AccessKeyID: id, Secret: secret, Region: region, Service: "s3"}
}

// host is not the name that storage has, 127.0.0.1: the gateway sends nobody to the host that they came by.
func (t *target) host() string {
	_, port, _ := net.SplitHostPort(t.addr)
	return "localhost:" + port
}

// request is one request of a client, but for a body that is sent by other means.
type request struct {
	method, path, query string
	headers             []sigv4.Header // those of x-amz-* are signed
	body                string
	length              int64 // of a body that follows; body is "" then
	expect              bool
	bearer              bool
}

// head is the request as it goes over the wire, with its body if that is at hand.
func (t *target) head(r *request) string {
	var b strings.Builder
	payload := sigv4.UnsignedPayload
	if r.length == 0 {
		sum := sha256.Sum256([]byte(r.body))
		payload = hex.EncodeToString(sum[:])
	}
	fmt.Fprintf(&b, "%s %s", r.method, r.path)
	if r.query != "" {
		fmt.Fprintf(&b, "?%s", r.query)
	}
	fmt.Fprintf(&b, " HTTP/1.1\r\nhost: %s\r\ncontent-length: %d\r\n", t.host(), r.length+int64(len(r.body)))
	if r.expect {
		b.WriteString("expect: 100-continue\r\n")
	}
	for _, h := range r.headers {
		if h.Name == "x-amz-content-sha256" {
			payload = h.Value
			continue
		}
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	switch {
	case r.bearer:
		fmt.Fprintf(&b, "authorization: Bearer %s\r\n", t.bearer)
	case t.signer != nil:
		t.sign(&b, r, payload)
	}
	return b.String() + "\r\n" + r.body
}

// sign signs as an SDK would.
func (t *target) sign(b *strings.Builder, r *request, payload string) {
	now := time.Now().UTC()
	headers := []sigv4.Header{{Name: "host", Value: t.host()}, {Name: "x-amz-content-sha256", Value: payload}, {Name: "x-amz-date", Value: now.Format(sigv4.TimeFormat)}}
	for _, h := range r.headers {
		if strings.HasPrefix(h.Name, "x-amz-") && h.Name != "x-amz-content-sha256" {
			headers = append(headers, h)
		}
	}
	proof := t.signer.SignHeader(&sigv4.Request{Method: r.method, Path: r.path, Query: r.query, Headers: headers, Payload: payload}, now)
	fmt.Fprintf(b, "x-amz-content-sha256: %s\r\nx-amz-date: %s\r\nauthorization: %s\r\n", payload, headers[2].Value, proof)
}

// client is one keep-alive connection.
type client struct {
	*target
	conn net.Conn
	r    *bufio.Reader
}

// patience with one connection.
const patience = 10 * time.Minute

func (t *target) dial() (*client, error) {
	conn, err := net.Dial("tcp", t.addr)
	if err != nil {
		return nil, err
	}
	if t.tls != nil {
		conn = tls.Client(conn, t.tls)
	}
	conn.SetDeadline(time.Now().Add(patience))
	return &client{target: t, conn: conn, r: bufio.NewReader(conn)}, nil
}

func (c *client) close() { c.conn.Close() }

// ask sends a request and returns the answer's body, and how long its first byte took.
func (c *client) ask(r *request, want int) (body string, first time.Duration, err error) {
	text := c.head(r)
	began := time.Now()
	if _, err := io.WriteString(c.conn, text); err != nil {
		return "", 0, err
	}
	if _, err := c.r.Peek(1); err != nil {
		return "", 0, fmt.Errorf("%s %s?%s: %w", r.method, r.path, r.query, err)
	}
	first = time.Since(began)
	body, err = c.answer(want)
	if err != nil {
		return "", 0, fmt.Errorf("%s %s?%s: %w", r.method, r.path, r.query, err)
	}
	return body, first, nil
}

// answer reads one that has the status wanted. A 100 Continue that comes twice, as ReverseProxy passes storage's on behind its own, counts once.
func (c *client) answer(want int) (string, error) {
	resp, err := http.ReadResponse(c.r, nil)
	if err == nil && resp.StatusCode == http.StatusContinue && want != http.StatusContinue {
		resp, err = http.ReadResponse(c.r, nil)
	}
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != want {
		return "", fmt.Errorf("answer %s, want %d: %s", resp.Status, want, body)
	}
	return string(body), nil
}

// send sends the first n bytes of a file: by sendfile where TLS does not stand in between.
func (c *client) send(f *os.File, n int64) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if c.tls == nil {
		_, err := io.CopyN(c.conn, f, n)
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	_, err := io.CopyBuffer(struct{ io.Writer }{c.conn}, io.LimitReader(f, n), *buf)
	return err
}

// inParallel runs f on n clients and returns the first error.
func inParallel(t *target, n int, f func(worker int, c *client) error) error {
	return workers(n, func(worker int) error {
		c, err := t.dial()
		if err != nil {
			return err
		}
		defer c.close()
		return f(worker, c)
	})
}

// workers runs f n times at once and returns the first error.
func workers(n int, f func(worker int) error) error {
	errs := make(chan error, n)
	for worker := range n {
		go func() { errs <- f(worker) }()
	}
	var first error
	for range n {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}

// timings collects from several goroutines.
type timings struct {
	mu    sync.Mutex
	times []time.Duration
}

func (t *timings) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times = append(t.times, d)
}
