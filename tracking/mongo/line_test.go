//go:build servers

package mongo_test

import (
	"bytes"
	"net"
	"net/url"
	"sync"
	"testing"
)

// line carries connections to a server. Once the command that it waits for has passed, every answer cuts its connection:
// of that command and of whatever the driver tries then.
type line struct {
	uri string

	mu      sync.Mutex
	command string // "": none
	before  func() // done instead, once, before the command passes; nil: answers are lost
	losing  bool
}

// loseAfter awaits a command; "" ends the losing.
func (l *line) loseAfter(command string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.command, l.before, l.losing = command, nil, false
}

// doBefore does something once, before the next such command passes.
func (l *line) doBefore(command string, do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.command, l.before, l.losing = command, do, false
}

// request passes always.
func (l *line) request(message []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	// In an OP_MSG the command is the name of a field: its bytes, then a NUL.
	if l.command != "" && bytes.Contains(message, []byte(l.command+"\x00")) {
		if l.losing = l.before == nil; !l.losing {
			l.before()
			l.command, l.before = "", nil
		}
	}
	return true
}

// answer passes unless answers are being lost.
func (l *line) answer([]byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.losing
}

func newLine(t *testing.T, uri string) *line {
	t.Helper()
	server, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{uri: "mongodb://" + listener.Addr().String()}
	var carried sync.WaitGroup
	carried.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			carried.Go(func() { l.carry(client, server.Host) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		carried.Wait() // the store, opened later and so closed before, has hung up on all
	})
	return l
}

func (l *line) carry(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	var requests sync.WaitGroup
	requests.Go(func() {
		pass(server, client, l.request)
		server.Close()
	})
	pass(client, server, l.answer)
	client.Close()
	requests.Wait()
}

// pass copies until either end is gone or something may not pass.
func pass(to, from net.Conn, may func([]byte) bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !may(buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
