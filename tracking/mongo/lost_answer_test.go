//go:build servers

package mongo_test

import (
	"bytes"
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"partway/tracking"
	"partway/tracking/trackingtest/servers"
)

// A write whose answer is lost has failed for the caller and is in the database. The next call must find out.
func TestWriteWhoseAnswerIsLost(t *testing.T) {
	for _, server := range servers.Mongo(t) {
		if !server.Ours() {
			continue // its URI may need more than an address
		}
		t.Run(server.Name, func(t *testing.T) {
			line := newLine(t, server.URI)
			s := open(t, line.uri, "&directConnection=true") // a replica set would send the driver past the line
			ctx := t.Context()
			lose := func(command string, call func() error) {
				t.Helper()
				line.loseAfter(command)
				mustBeUnavailable(t, command, call)
				line.loseAfter("")
				eventually(t, "the database to be back", func() error { return s.Ping(ctx) })
			}
			u := &tracking.Upload{Record: "r1", ID: "u1", State: tracking.StateOpen}
			b := &tracking.Batch{Writer: "w1", Seq: 1, Events: []tracking.Event{{ID: "w1-1-0"}}}
			r := tracking.Revocation{Tenant: "acme", At: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}

			lose("insert", func() error { return s.InsertUpload(ctx, u) })
			if err := s.InsertUpload(ctx, u); !errors.Is(err, tracking.ErrExists) {
				t.Fatalf("insert again: error %v, want ErrExists", err)
			}
			u, err := s.Upload(ctx, "u1")
			if err != nil {
				t.Fatal(err)
			}

			u.State = tracking.StateCompleting
			lose("update", func() error { return s.SwapUpload(ctx, u) })
			if u.Revision != 1 {
				t.Errorf("revision %d after a swap that failed", u.Revision)
			}
			if err := s.SwapUpload(ctx, u); !errors.Is(err, tracking.ErrConflict) {
				t.Fatalf("swap again: error %v, want ErrConflict", err)
			}
			if got, err := s.Upload(ctx, "u1"); err != nil || got.Revision != 2 || got.State != tracking.StateCompleting {
				t.Fatalf("after the lost swap: %+v, %v", got, err)
			}

			lose("insert", func() error { return s.AppendBatch(ctx, b) })
			if err := s.AppendBatch(ctx, b); err != nil {
				t.Fatalf("append again: %v", err)
			}
			if events, _, err := s.Events(ctx, tracking.EventQuery{}); err != nil || len(events) != 1 {
				t.Fatalf("events %v, %v", events, err)
			}

			lose("insert", func() error { return s.Revoke(ctx, r) })
			if err := s.Revoke(ctx, r); err != nil {
				t.Fatalf("revoke again: %v", err)
			}
			if all, err := s.Revocations(ctx); err != nil || len(all) != 1 {
				t.Fatalf("revocations %v, %v", all, err)
			}
		})
	}
}

// line carries connections to a server. Once the command that it waits for has passed, every answer cuts its connection:
// of that command and of whatever the driver tries then.
type line struct {
	uri string

	mu      sync.Mutex
	command string // "": none
	losing  bool
}

// loseAfter awaits a command; "" ends the losing.
func (l *line) loseAfter(command string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.command, l.losing = command, false
}

// request passes always.
func (l *line) request(message []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	// In an OP_MSG the command is the name of a field: its bytes, then a NUL.
	if l.command != "" && bytes.Contains(message, []byte(l.command+"\x00")) {
		l.losing = true
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
