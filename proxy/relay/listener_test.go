package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

const short = 50 * time.Millisecond

func TestHeadDeadlineStartsAtTheFirstByte(t *testing.T) {
	for _, first := range []string{"G", "\r\n\r\nGET / HT", "PUT /a HTTP/1.1\r\nHost: gw\r\nX: y\r\n"} {
		g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{HeadTimeout: short, IdleTimeout: time.Hour}, nil)
		silent, slow := g.dial(), g.dial()
		slow.send("%s", first)
		if _, err := io.ReadAll(slow); err != nil { // an error answer, or none, then the end
			t.Fatalf("after %q: %v", first, err)
		}
		silent.send("GET /a HTTP/1.1\r\nHost: gw\r\n\r\n") // its deadline has not begun
		silent.expect(200)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{IdleTimeout: short}, nil)
	c := g.dial()
	c.send("GET /a HTTP/1.1\r\nHost: gw\r\n\r\n")
	c.expect(200)
	c.expectEnd()
}

func TestSlowHandshakeIsEnded(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{TLS: testCertificate(), HeadTimeout: short, IdleTimeout: time.Hour}, nil)
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read %v, want the end", err)
	}
}

// A body may take longer than the head's deadline and the idle time, as long as it moves at the minimum rate.
func TestBodyHasItsOwnPace(t *testing.T) {
	f := newFake(t, nil, well)
	g := newGateway(t, StorageConfig{Address: f.address}, Config{HeadTimeout: short, IdleTimeout: 8 * short, MinRate: 5}, nil)
	for _, method := range []string{"PUT", "POST"} {
		c := g.dial()
		c.send("%s /a HTTP/1.1\r\nHost: gw\r\nContent-Length: 10\r\n\r\n", method)
		tick := time.NewTicker(short)
		for range 10 {
			<-tick.C
			c.send("x")
		}
		tick.Stop()
		c.expect(200)
	}
}

// drip sends a byte from time to time until the connection fails.
func drip(c net.Conn, every time.Duration, piece string) <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for range tick.C {
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
		}
	}()
	return ended
}

func TestSlowClientIsCut(t *testing.T) {
	tests := []struct {
		name, coding, piece string
		rate                int64
	}{
		{"silent", "Content-Length: 1000000", "", 0},
		{"silent in chunks", "Transfer-Encoding: chunked", "", 0},
		{"dripping", "Content-Length: 1000000", "x", 10_000},
		{"dripping in chunks", "Transfer-Encoding: chunked", "1\r\nx\r\n", 10_000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, nil, well)
			g := newGateway(t, StorageConfig{Address: f.address}, Config{IdleTimeout: 4 * short, MinRate: tt.rate}, nil)
			c := g.dial()
			c.send("PUT /a HTTP/1.1\r\nHost: gw\r\n%s\r\n\r\n", tt.coding)
			ended := drip(c, short/5, tt.piece)
			c.expect(400)
			if s := f.next(); s.err == nil {
				t.Error("storage read a complete body")
			}
			if r := g.result(); !errors.Is(r.err, ErrClient) {
				t.Errorf("Put failed with %v, want ErrClient", r.err)
			}
			_ = c.Close()
			<-ended
		})
	}
}

func TestSlowPostIsCut(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{IdleTimeout: 4 * short, MinRate: 10_000}, nil)
	c := g.dial()
	c.send("POST /a HTTP/1.1\r\nHost: gw\r\nContent-Length: 1000000\r\n\r\n")
	ended := drip(c, short/5, "x")
	if resp, _ := c.answer(); resp.StatusCode < 400 {
		t.Errorf("status %d", resp.StatusCode)
	}
	<-ended
}

// Storage that takes nothing for many windows is not the client's fault.
func TestClientIsNotBlamedForSlowStorage(t *testing.T) {
	for _, framing := range []string{"spliced", "chunked"} {
		t.Run(framing, func(t *testing.T) {
			size := 24 << 20
			f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
				head, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
				<-time.After(15 * short) // what is tested is that nothing happens in this time
				n, err := io.Copy(io.Discard, head.Body)
				f.requests <- seen{body: make([]byte, n), err: err}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			})
			conf := Config{IdleTimeout: 5 * short, MinRate: 1 << 30} // more than all buffers on the way hold
			if framing == "chunked" {
				conf.MinRate = 1 << 20
			}
			g := newGateway(t, StorageConfig{Address: f.address}, conf, nil)
			request := fmt.Sprintf("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n%s", size, pattern(size))
			if framing == "chunked" {
				request = "PUT /a HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(pattern(size)) + "0\r\n\r\n"
			}
			c := g.dial()
			go func() { _, _ = io.WriteString(c, request) }()
			if r := g.result(); r.err != nil {
				t.Fatalf("Put failed with %v", r.err)
			}
			c.expect(200)
			if s := f.next(); s.err != nil || len(s.body) != size {
				t.Errorf("storage read %d bytes, %v", len(s.body), s.err)
			}
		})
	}
}

func TestConnectionsOfOneAddressAreCapped(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{MaxPerIP: 2}, nil)
	first, second := g.dial(), g.dial()
	for _, c := range []*client{first, second} {
		c.send("GET /a HTTP/1.1\r\nHost: gw\r\n\r\n")
		c.expect(200)
	}
	third := g.dial()
	if _, err := third.Read(make([]byte, 1)); err == nil {
		t.Error("the third connection was served")
	}
	_ = first.Close()
	for until := time.Now().Add(patience); time.Now().Before(until); { // its place is free once the gateway saw it close
		c := g.dial()
		_, err := io.WriteString(c, "GET /a HTTP/1.1\r\nHost: gw\r\n\r\n")
		if b, _ := c.r.ReadString('\n'); err == nil && strings.Contains(b, "200") {
			return
		}
		_ = c.Close()
	}
	t.Error("the place of a closed connection stays taken")
}

func TestConnectionsOfProxiesAreNotCounted(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{MaxPerIP: 1, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, nil)
	for range 3 {
		c := g.dial()
		c.send("GET /a HTTP/1.1\r\nHost: gw\r\n\r\n")
		c.expect(200)
	}
}

// holding is a storage that answers once it is let go.
func holding(t *testing.T) (f *fake, arrived chan struct{}, release func()) {
	arrived, released := make(chan struct{}), make(chan struct{})
	f = newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
		f.read(c, r)
		close(arrived)
		<-released
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	release = sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	return f, arrived, release
}

func TestShutdownLetsTransfersFinish(t *testing.T) {
	f, arrived, release := holding(t)
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	idle, busy := g.dial(), g.dial()
	idle.send("GET /a HTTP/1.1\r\nHost: gw\r\n\r\n")
	idle.expect(200)
	put(busy, "hello")
	within(t, arrived, "request")
	down := make(chan error, 1)
	go func() { down <- g.listener.Shutdown(context.Background()) }()
	idle.expectEnd() // so it has begun
	if c, err := net.Dial("tcp", g.address); err == nil {
		_ = c.Close()
		t.Error("a connection was accepted during shutdown")
	}
	select {
	case err := <-down:
		t.Fatalf("shutdown returned %v before the transfer ended", err)
	default:
	}
	release()
	resp, _ := busy.answer()
	if resp.StatusCode != 200 || !resp.Close {
		t.Errorf("status %d, close %v; want 200 and a close", resp.StatusCode, resp.Close)
	}
	if err := within(t, down, "end of shutdown"); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func TestShutdownCutsWhatIsLeft(t *testing.T) {
	f, arrived, _ := holding(t)
	base, cancelPut := context.WithCancel(t.Context())
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, func(g *gateway) { g.ctx = base })
	c := g.dial()
	put(c, "hello")
	within(t, arrived, "request")
	ctx, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	if err := g.listener.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("shutdown returned %v, want the end of its time", err)
	}
	c.expectEnd()
	cancelPut() // the gateway's base context, which ends with it
	g.result()
}

// A connection that comes back to a listener which is closed must be closed, not waited for.
func TestGivenBackToAClosedListener(t *testing.T) {
	f, arrived, release := holding(t)
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	c := g.dial()
	put(c, "hello")
	within(t, arrived, "request")
	if err := g.listener.Close(); err != nil {
		t.Fatal(err)
	}
	release()
	c.expect(200)
	c.expectEnd()
	g.result()
}

func TestLingeringClosesAreBounded(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{}, nil)
	g.listener.mu.Lock()
	g.listener.lingering = lingerConns
	g.listener.mu.Unlock()
	c := g.dial()
	c.send("PUT /redirect HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\n\r\n")
	c.expect(307)
	c.expectEnd()
	// Closed at once: another byte meets a RST instead of a drain.
	for {
		if _, err := io.WriteString(c, "x"); err != nil {
			return
		}
	}
}

// What is lingering ends when the client has sent all it has, and counts as a connection until then.
func TestShutdownWaitsForLingeringCloses(t *testing.T) {
	for _, secure := range []bool{false, true} {
		conf := Config{}
		if secure {
			conf.TLS = testCertificate()
		}
		g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, conf, nil)
		c := g.dial()
		c.send("PUT /redirect HTTP/1.1\r\nHost: gw\r\nContent-Length: 5368709120\r\n\r\n")
		c.expect(307)
		c.expectEnd() // by FIN; the other direction is still open
		c.send("%s", pattern(1<<20))
		down := make(chan error, 1)
		go func() { down <- g.listener.Shutdown(context.Background()) }()
		c.send("%s", pattern(1<<20))
		_ = c.Close()
		if err := within(t, down, "end of shutdown"); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	}
}
