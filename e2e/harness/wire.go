package harness

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Wire stands between one client and a tap and reads the client's requests on their way, over https too: it holds the
// gateway's own certificate. Bytes pass as they came.
type Wire struct {
	Endpoint string // scheme://localhost:port, for the client

	listener net.Listener
	dial     func() (net.Conn, error)
	wg       sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]bool // nil once closed
	requests []Request
}

// Request is what a client sent, but for the body's bytes.
type Request struct {
	Method, Path, Query string
	Form                string // how the body travels; "" without one
}

// NewWire leads to target; over TLS with the certificates of a gateway that serves it, nil otherwise.
func NewWire(target string, c *Certificates) (*Wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("wire: %w", err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	w := &Wire{
		Endpoint: "http://localhost:" + port, listener: l, conns: map[net.Conn]bool{},
		dial: func() (net.Conn, error) { return net.Dial("tcp", target) },
	}
	if c != nil {
		cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("wire: %w", err)
		}
		trust, err := trusting(c.CA)
		if err != nil {
			return nil, fmt.Errorf("wire: %w", err)
		}
		w.Endpoint = "https://localhost:" + port
		w.listener = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}})
		w.dial = func() (net.Conn, error) { return tls.Dial("tcp", target, trust) }
	}
	w.wg.Go(w.accept)
	return w, nil
}

// Close ends every connection. Requests is whole afterwards.
func (w *Wire) Close() {
	w.listener.Close()
	w.mu.Lock()
	for c := range w.conns {
		c.Close()
	}
	w.conns = nil
	w.mu.Unlock()
	w.wg.Wait()
}

// Requests so far, in order of arrival.
func (w *Wire) Requests() []Request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.requests)
}

func (w *Wire) accept() {
	for {
		c, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.wg.Go(func() { w.forward(c) })
	}
}

// hold makes Close end these connections; false if it was called before.
func (w *Wire) hold(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == nil {
		return false
	}
	for _, c := range conns {
		w.conns[c] = true
	}
	return true
}

func (w *Wire) forward(client net.Conn) {
	defer client.Close()
	server, err := w.dial()
	if err != nil {
		return
	}
	defer server.Close()
	if !w.hold(client, server) {
		return
	}
	var all sync.WaitGroup
	look, copied := io.Pipe()
	all.Go(func() { w.read(look) })
	all.Go(func() {
		defer copied.Close()
		pass(server, io.TeeReader(client, copied))
	})
	all.Go(func() { pass(client, server) })
	all.Wait()
	w.mu.Lock()
	delete(w.conns, client)
	delete(w.conns, server)
	w.mu.Unlock()
}

// pass copies until the source ends and says so by a half-close, so that what the other side still says arrives.
func pass(dst net.Conn, src io.Reader) {
	_, _ = io.Copy(dst, src)
	_ = dst.(interface{ CloseWrite() error }).CloseWrite()
}

// read notes each request of one connection.
func (w *Wire) read(r io.Reader) {
	defer func() { _, _ = io.Copy(io.Discard, r) }() // whatever is no request must not hold up the bytes
	b := bufio.NewReader(r)
	for {
		req, err := http.ReadRequest(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		w.requests = append(w.requests, Request{req.Method, req.URL.Path, req.URL.RawQuery, form(req)})
		w.mu.Unlock()
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
	}
}

// form names how a body travels: the payload's hash as it was declared, the checksums, the framing when it is not Content-Length.
func form(r *http.Request) string {
	if r.ContentLength == 0 {
		return ""
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if payload == "" {
		payload = "presigned"
	} else if len(payload) == 64 {
		payload = "sha256"
	}
	words := []string{payload}
	for name := range r.Header {
		if sum, ok := strings.CutPrefix(strings.ToLower(name), "x-amz-checksum-"); ok && sum != "algorithm" && sum != "type" {
			words = append(words, "header "+sum)
		}
	}
	if r.Header.Get("Content-Md5") != "" {
		words = append(words, "header md5")
	}
	if trailer := r.Header.Get("X-Amz-Trailer"); trailer != "" {
		words = append(words, "trailer "+strings.TrimPrefix(strings.ToLower(trailer), "x-amz-checksum-"))
	}
	if slices.Contains(r.TransferEncoding, "chunked") {
		words = append(words, "Transfer-Encoding: chunked")
	}
	slices.Sort(words[1:])
	return strings.Join(words, ", ")
}
