package relay

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// fake is a storage whose connections are served by a script.
type fake struct {
	t        *testing.T
	address  string
	conns    counter
	requests chan seen
}

// seen is a request as storage read it.
type seen struct {
	head *http.Request
	body []byte
	err  error // of the body; nil when it was complete
}

func newFake(t *testing.T, conf *tls.Config, serve func(*fake, net.Conn, *bufio.Reader)) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, address: l.Addr().String(), requests: make(chan seen, 1000)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.conns.add(1)
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			if conf != nil {
				c = tls.Server(c, conf)
			}
			wg.Go(func() {
				defer c.Close()
				serve(f, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return f
}

// read takes one request, saying 100 Continue when asked for it. false: the connection ended before one.
func (f *fake) read(c net.Conn, r *bufio.Reader) (seen, bool) {
	head, err := http.ReadRequest(r)
	if err != nil {
		return seen{}, false
	}
	if strings.EqualFold(head.Header.Get("Expect"), "100-continue") {
		_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
	}
	s := seen{head: head}
	s.body, s.err = io.ReadAll(head.Body)
	f.requests <- s
	return s, s.err == nil
}

// well serves as storage should.
func well(f *fake, c net.Conn, r *bufio.Reader) {
	for {
		s, ok := f.read(c, r)
		if !ok {
			return
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nETag: \"%d\"\r\nContent-Length: 0\r\n\r\n", len(s.body))
	}
}

func (f *fake) next() seen {
	f.t.Helper()
	return within(f.t, f.requests, "request at storage")
}
