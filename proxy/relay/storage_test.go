package relay

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

func put(c *client, body string) {
	c.t.Helper()
	c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// once answers one request and says nothing about closing after it.
func once(f *fake, c net.Conn, r *bufio.Reader) {
	f.read(c, r)
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
}

func TestPooledConnectionClosedByStorage(t *testing.T) {
	f := newFake(t, nil, once)
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	c := g.dial()
	for range 20 {
		put(c, "hello")
		c.expect(200)
	}
	if n := f.conns.get(); n != 20 {
		t.Errorf("%d connections, want one for each request", n)
	}
}

// Here storage reads the second request and closes without a word: no look at the pool can foresee it.
func TestPooledConnectionDiesUnderTheRequest(t *testing.T) {
	f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
		once(f, c, r)
		_, _ = http.ReadRequest(r)
	})
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	c := g.dial()
	for _, body := range []string{"hello", "again", ""} {
		put(c, body)
		c.expect(200)
		if s := f.next(); string(s.body) != body {
			t.Errorf("storage read %q", s.body)
		}
	}
}

// A fresh connection that dies is storage's failure, and a pooled one is not replaced twice.
func TestDeadConnectionIsReplacedOnce(t *testing.T) {
	f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
		if f.conns.get() == 1 {
			once(f, c, r)
		}
		_, _ = http.ReadRequest(r)
	})
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	c := g.dial()
	put(c, "hello")
	c.expect(200)
	put(c, "hello")
	c.expect(503)
	if n := f.conns.get(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// A dead pooled connection whose answer has begun is not replaced: storage may have acted.
func TestBegunAnswerIsNotAskedForAgain(t *testing.T) {
	f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
		once(f, c, r)
		_, _ = http.ReadRequest(r)
		_, _ = io.WriteString(c, "HTTP/1.1 2")
	})
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	c := g.dial()
	put(c, "")
	c.expect(200)
	put(c, "")
	c.expect(503)
	if n := f.conns.get(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// An answer that nobody asked for must never become the answer to the next request.
func TestUnaskedAnswerEndsTheConnection(t *testing.T) {
	spoken := make(chan struct{}, 100)
	f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
		f.read(c, r)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"+"HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, r) // until the gateway closes it
		spoken <- struct{}{}
	})
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	c := g.dial()
	for range 5 {
		put(c, "hello")
		c.expect(200)
		within(t, spoken, "end of the connection")
	}
}

// The same in one segment, where no look at an idle connection would come in time.
func TestSurplusAfterAnAnswerEndsTheConnection(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		_, _ = io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n")
		_ = far.Close()
	}()
	k := &link{Conn: near, storage: NewStorage(StorageConfig{})}
	turn := k.begin("PUT", func() {})
	limited := &io.LimitedReader{R: near}
	if k.readTurn(limited, bufio.NewReader(limited)) || !turn.last || turn.answer.Status != 200 {
		t.Errorf("the connection would be used again after %+v", turn.answer)
	}
}

func TestConnectionsAreReusedOnlyWhenStorageAgrees(t *testing.T) {
	tests := []struct {
		name, answer string
		conns        int64
	}{
		{"kept", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1},
		{"refusal of the whole", "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n", 1},
		{"chunked answer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1},
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 3},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
				for {
					if _, ok := f.read(c, r); !ok {
						return
					}
					_, _ = io.WriteString(c, tt.answer)
				}
			})
			g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
			c := g.dial()
			for range 3 {
				put(c, "hello")
				c.answer()
				g.result()
			}
			if n := f.conns.get(); n != tt.conns {
				t.Errorf("%d connections, want %d", n, tt.conns)
			}
		})
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	ended := make(chan struct{}, 10)
	f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
		well(f, c, r)
		ended <- struct{}{}
	})
	for name, end := range map[string]func(*Storage){"by time": func(*Storage) {}, "by Close": (*Storage).Close} {
		t.Run(name, func(t *testing.T) {
			idle := time.Hour
			if name == "by time" {
				idle = 10 * time.Millisecond
			}
			g := newGateway(t, StorageConfig{Address: f.address, IdleTimeout: idle}, Config{}, nil)
			c := g.dial()
			put(c, "hello")
			c.expect(200)
			end(g.storage)
			within(t, ended, "end of the idle connection")
		})
	}
}

func TestIdleConnectionsAreFew(t *testing.T) {
	const many, kept = 8, 2
	all, ended := make(chan struct{}), make(chan struct{}, many)
	f := newFake(t, nil, func(f *fake, c net.Conn, r *bufio.Reader) {
		f.read(c, r)
		<-all
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, r)
		ended <- struct{}{}
	})
	g := newGateway(t, StorageConfig{Address: f.address, MaxIdle: kept}, Config{}, nil)
	var clients []*client
	for range many {
		c := g.dial()
		put(c, "hello")
		clients = append(clients, c)
	}
	for range many {
		f.next()
	}
	close(all)
	for _, c := range clients {
		c.expect(200)
	}
	for range many - kept {
		within(t, ended, "end of a surplus connection")
	}
	g.storage.mu.Lock()
	defer g.storage.mu.Unlock()
	if n := len(g.storage.idle); n > kept {
		t.Errorf("%d idle connections, want %d", n, kept)
	}
}
