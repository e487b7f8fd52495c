package relay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestClientGoneLeavesStorageATruncatedBody(t *testing.T) {
	for _, coding := range []string{"Content-Length: 1000000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"} {
		for _, storageHas := range []string{"the same framing", "a length"} {
			t.Run(coding[:12]+" "+storageHas, func(t *testing.T) {
				f := newFake(t, nil, well)
				g := newGateway(t, StorageConfig{Address: f.address}, Config{}, func(g *gateway) {
					if storageHas == "a length" && strings.HasPrefix(coding, "Transfer") {
						g.request = func(_ *Head, target string) *Request {
							return &Request{Method: "PUT", Target: target, Length: 3}
						}
					}
				})
				c := g.dial()
				c.send("PUT /a HTTP/1.1\r\nHost: gw\r\n%s", coding)
				_ = c.Conn.(*net.TCPConn).CloseWrite()
				if s := f.next(); s.err == nil {
					t.Errorf("storage read a complete body %q", s.body)
				}
				if r := g.result(); !errors.Is(r.err, ErrClient) {
					t.Errorf("Put failed with %v, want ErrClient", r.err)
				}
			})
		}
	}
}

// reset makes the close of a connection a RST.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func TestClientResetIsTheClientsFault(t *testing.T) {
	arrived := make(chan struct{})
	f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
		_, _ = http.ReadRequest(r)
		_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		_, _ = io.CopyN(io.Discard, r, 3)
		close(arrived)
		_, err := io.Copy(io.Discard, r)
		f.requests <- seen{err: err}
	})
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	c := g.dial()
	c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\nabc", fiveGiB)
	within(t, arrived, "first bytes")
	reset(c.Conn)
	if r := g.result(); !errors.Is(r.err, ErrClient) {
		t.Errorf("Put failed with %v, want ErrClient", r.err)
	}
	f.next() // the end of storage's connection
}

func TestStorageGoneDuringTheBody(t *testing.T) {
	for name, end := range map[string]func(net.Conn){"closed": func(c net.Conn) { _ = c.Close() }, "reset": reset} {
		for _, size := range []int{16, 64 << 20} {
			t.Run(fmt.Sprintf("%s with %d bytes to go", name, size), func(t *testing.T) {
				f := newFake(t, nil, func(_ *fake, c net.Conn, r *bufio.Reader) {
					_, _ = http.ReadRequest(r)
					_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
					_, _ = io.CopyN(io.Discard, r, 3)
					end(c)
				})
				g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
				c := g.dial()
				c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\nabc", size)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					_, _ = io.WriteString(c, pattern(min(size-4, 8<<20))) // never the whole
				}()
				c.expect(503)
				<-sent
				if r := g.result(); !errors.Is(r.err, ErrStorage) {
					t.Errorf("Put failed with %v, want ErrStorage", r.err)
				}
				_ = c.Close()
			})
		}
	}
}

func TestStorageDown(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	g := newGateway(t, StorageConfig{Address: l.Addr().String()}, Config{}, nil)
	c := g.dial()
	c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	c.expect(503)
	if r := g.result(); !errors.Is(r.err, ErrDial) {
		t.Errorf("Put failed with %v, want ErrDial", r.err)
	}
}

func TestStalledStorageHoldsTheClientBackUntilCanceled(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	f := newFake(t, nil, func(_ *fake, c net.Conn, r *bufio.Reader) {
		_, _ = http.ReadRequest(r)
		_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		close(arrived)
		<-release // reads nothing of the body
	})
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithCancelCause(t.Context())
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, func(g *gateway) { g.ctx = ctx })
	c := g.dial()
	c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n", fiveGiB)
	within(t, arrived, "request")
	piece, taken := []byte(pattern(1<<20)), 0
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)) // long enough to fill all buffers on the way
	for {
		n, err := c.Write(piece)
		if taken += n; err != nil {
			break
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if taken > 64<<20 {
		t.Errorf("the gateway took %d bytes that storage did not", taken)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	why := errors.New("drained")
	cancel(why)
	if r := g.result(); !errors.Is(r.err, ErrCanceled) || !errors.Is(r.err, why) {
		t.Errorf("Put failed with %v, want ErrCanceled and its cause", r.err)
	}
}

func TestCancelEndsEveryWait(t *testing.T) {
	tests := map[string]func(net.Conn, *bufio.Reader, func()){
		"for 100 Continue": func(_ net.Conn, _ *bufio.Reader, cancel func()) { cancel() },
		"for the client": func(c net.Conn, _ *bufio.Reader, cancel func()) {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			cancel()
		},
		"for the answer": func(c net.Conn, r *bufio.Reader, cancel func()) {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			_, _ = io.CopyN(io.Discard, r, 5)
			cancel()
		},
	}
	for name, act := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
				_, _ = http.ReadRequest(r)
				act(c, r, cancel)
				_, err := io.Copy(io.Discard, r)
				f.requests <- seen{err: err}
			})
			g := newGateway(t, StorageConfig{Address: f.address}, Config{}, func(g *gateway) { g.ctx = ctx })
			c := g.dial()
			c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\n\r\n")
			if name == "for the answer" {
				c.send("hello")
			}
			f.next() // its connection ended
			if r := g.result(); !errors.Is(r.err, ErrCanceled) {
				t.Errorf("Put failed with %v, want ErrCanceled", r.err)
			}
			c.expectEnd()
		})
	}
}

func TestAnswersThatCannotBeRelayed(t *testing.T) {
	tests := map[string]string{
		"101":           "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"too large":     fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 1<<20+1, pattern(1<<20+1)),
		"endless":       strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 200_000),
		"not HTTP":      "SSH-2.0-x\r\n",
		"cut off":       "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"none":          "",
		"cut off early": "HTTP/1.1 200 O",
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
				f.read(c, r)
				_, _ = io.WriteString(c, answer)
			})
			g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
			c := g.dial()
			c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\n\r\nhello")
			c.expect(503)
			if r := g.result(); !errors.Is(r.err, ErrStorage) {
				t.Errorf("Put failed with %v, want ErrStorage", r.err)
			}
		})
	}
}

// A splice that fails counts none of the bytes that it took from the client and could not give to storage.
func TestBodyIsNotSentAgainAfterABrokenSplice(t *testing.T) {
	f := newFake(t, nil, well)
	g := newGateway(t, StorageConfig{Address: f.address}, Config{IdleTimeout: 100 * time.Millisecond}, nil)
	broken, err := g.storage.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broken.close() })
	if err := broken.tcp.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	client, server := tcpPair(t)
	if _, err := io.WriteString(client, "hello"); err != nil {
		t.Fatal(err)
	}
	socket := newSocket(server, g.listener)
	x := &Exchange{Head: &Head{Length: 5}, conn: newConn(socket, socket, nil)}
	x.body = newBody(x.conn, x.Head)
	p := &pump{exchange: x, link: broken, brake: &brake{client: socket, storage: broken}}
	if err := p.splice(); !errors.Is(err, ErrStorage) {
		t.Fatalf("splice failed with %v, want ErrStorage", err)
	}
	if x.body.taken > 0 {
		t.Fatalf("%d bytes counted: this test needs a splice that counts none", x.body.taken)
	}
	before := f.conns.get()
	_, err = x.Put(t.Context(), g.storage, &Request{Method: "PUT", Target: "/a", Length: 5})
	if !errors.Is(err, ErrClient) || f.conns.get() != before {
		t.Errorf("Put again failed with %v and opened %d connections, want ErrClient and none", err, f.conns.get()-before)
	}
}

func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
	})
	return client, server
}

func TestSilentStorage(t *testing.T) {
	f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
		f.read(c, r)
		_, _ = io.Copy(io.Discard, r)
	})
	g := newGateway(t, StorageConfig{Address: f.address, AnswerTimeout: 20 * time.Millisecond}, Config{}, nil)
	c := g.dial()
	c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\n\r\nhello")
	c.expect(503)
	if r := g.result(); !errors.Is(r.err, ErrStorage) {
		t.Errorf("Put failed with %v, want ErrStorage", r.err)
	}
}

// Storage that says nothing to Expect gets the body after a second, and so does the client its 100.
func TestStorageWithoutContinue(t *testing.T) {
	f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
		head, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		body, err := io.ReadAll(head.Body)
		f.requests <- seen{head, body, err}
		_, _ = io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	c := g.dial()
	began := time.Now()
	c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	c.expect(100)
	if d := time.Since(began); d < continueWait {
		t.Errorf("100 Continue after %s, before storage had its time", d)
	}
	c.send("hello")
	c.expect(200)
	if s := f.next(); string(s.body) != "hello" {
		t.Errorf("storage read %q", s.body)
	}
}

func TestPanicClosesTheConnection(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{}, nil)
	c := g.dial()
	c.send("PUT /panic HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\n\r\n")
	if v := within(t, g.panics, "panic"); v != "on purpose" {
		t.Errorf("told %v", v)
	}
	c.expectEnd()
}
