package relay

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"partway/auth/sigv4"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"), // for the life of the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

// gateway is a fasthttp server wired as the package demands, whose PUTs are relayed to one storage.
type gateway struct {
	t        *testing.T
	listener *Listener
	address  string
	tls      *tls.Config // of its clients; nil: plain
	storage  *Storage
	hoards   bool        // ReduceMemoryUsage is off: fasthttp keeps its reader
	results  chan result // of every Put
	panics   chan any
	in, out  counter

	ctx     context.Context
	request func(*Head, string) *Request // what storage is sent; nil: the body as it comes
}

type result struct {
	answer *Answer
	err    error
}

type counter struct {
	mu sync.Mutex
	n  int64
}

func (c *counter) add(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
}

func (c *counter) get() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// newGateway starts one; change may alter it and the config before it serves.
func newGateway(t *testing.T, s StorageConfig, c Config, change func(*gateway)) *gateway {
	t.Helper()
	g := &gateway{t: t, storage: NewStorage(s), results: make(chan result, 1000), panics: make(chan any, 1), ctx: t.Context()}
	if change != nil {
		change(g)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if c.OnBytes == nil {
		c.OnBytes = func(in, out int64) { g.in.add(in); g.out.add(out) }
	}
	g.listener, g.address = NewListener(l, c), l.Addr().String()
	if c.TLS != nil {
		g.tls = &tls.Config{InsecureSkipVerify: true}
	}
	server := &fasthttp.Server{
		Handler: g.handle, HeaderReceived: Intake, KeepHijackedConns: true, ReduceMemoryUsage: !g.hoards,
		ReadBufferSize: 16 << 10, MaxIdleWorkerDuration: time.Millisecond, Logger: silent{},
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(g.listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = g.listener.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		g.storage.Close()
	})
	return g
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func (g *gateway) handle(c *fasthttp.RequestCtx) {
	head, err := ParseHead(c.Request.Header.RawHeaders())
	linger := func(status int) {
		c.SetStatusCode(status)
		c.SetConnectionClose()
		c.Conn().(*Conn).Linger()
	}
	path := string(c.RequestURI())
	switch {
	case err != nil:
		linger(http.StatusBadRequest)
	case path == "/who":
		fmt.Fprintf(c, "%s spliced %v", c.RemoteAddr(), c.Conn().(*Conn).plainTCP() != nil)
	case !c.IsPut():
		fmt.Fprintf(c, "%s %s %d", c.Method(), path, len(c.PostBody()))
	case path == "/redirect":
		c.Response.Header.Set("Location", "http://storage.example/")
		linger(http.StatusTemporaryRedirect)
	case path == "/panic":
		Hijack(c, head, func(*Exchange) { panic("on purpose") }, func(v any) { g.panics <- v })
	default:
		Hijack(c, head, func(x *Exchange) { g.put(x, path) }, func(v any) { g.panics <- v })
	}
}

func (g *gateway) put(x *Exchange, path string) {
	r := &Request{Method: "PUT", Target: path, Headers: []sigv4.Header{{Name: "host", Value: "storage"}}, Length: max(x.Head.Length, 0)}
	if x.Head.Chunked {
		r.Length = -1
	}
	if g.request != nil {
		r = g.request(x.Head, path)
	}
	a, err := x.Put(g.ctx, g.storage, r)
	var sendErr error
	switch {
	case err == nil:
		headers := []sigv4.Header{{Name: "ETag", Value: a.Header.Get("ETag")}}
		sendErr = x.Respond(a.Status, headers, a.Body, false)
	case errors.Is(err, ErrClient):
		sendErr = x.Respond(http.StatusBadRequest, nil, nil, true)
	case errors.Is(err, ErrCanceled):
		x.Abandon()
	default:
		sendErr = x.Respond(http.StatusServiceUnavailable, nil, nil, false)
	}
	if err == nil && sendErr != nil {
		err = sendErr
	}
	g.results <- result{a, err}
}

func (g *gateway) result() result {
	g.t.Helper()
	return within(g.t, g.results, "result of Put")
}

// client is a raw connection to the gateway.
type client struct {
	net.Conn
	t *testing.T
	r *bufio.Reader
}

func (g *gateway) dial() *client {
	g.t.Helper()
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	if g.tls != nil {
		c = tls.Client(c, g.tls)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	g.t.Cleanup(func() { _ = c.Close() })
	return &client{Conn: c, t: g.t, r: bufio.NewReader(c)}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.Conn, format, args...); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

// answer reads the next answer, interim ones too.
func (c *client) answer() (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatalf("reading an answer: %v", err)
	}
	if resp.StatusCode == http.StatusContinue {
		return resp, ""
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatalf("reading an answer's body: %v", err)
	}
	return resp, string(b)
}

func (c *client) expect(status int) string {
	c.t.Helper()
	resp, body := c.answer()
	if resp.StatusCode != status {
		c.t.Fatalf("status %d, want %d", resp.StatusCode, status)
	}
	return body
}

// expectEnd checks that the gateway closed its side.
func (c *client) expectEnd() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("read %q, %v, want the end of the connection", b, err)
	}
}

func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %s", what, patience)
		panic("unreachable")
	}
}

var testCertificate = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// pattern is n bytes whose period is a prime, so that no buffer size hides a shift.
func pattern(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < 65521; i++ {
		fmt.Fprintf(&b, "%08x", i*2654435761)
	}
	period := b.String()[:65521]
	return strings.Repeat(period, n/len(period)+1)[:n]
}
