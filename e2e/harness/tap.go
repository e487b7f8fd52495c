package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"sync"
	"sync/atomic"
	"syscall"
)

// Tap is a TCP proxy that looks from outside: it counts the bytes of each direction, collects the request ids that answers
// carry, and can cut the line. With several targets it is a balancer: each connection goes to the next one that answers.
type Tap struct {
	addr     string
	up, down atomic.Int64

	mu      sync.Mutex
	targets []string
	next    int
	hold    int64         // of up: what clients send beyond it waits
	held    chan struct{} // closed when it need wait no more; nil: nothing waits
	l       net.Listener  // nil while cut
	conns   map[net.Conn]bool
	ids     []string
	wg      sync.WaitGroup
}

// NewTap listens on a free loopback port and forwards to the targets.
func NewTap(targets ...string) (*Tap, error) {
	t := &Tap{addr: "127.0.0.1:0", targets: targets, conns: map[net.Conn]bool{}}
	if err := t.Mend(); err != nil {
		return nil, err
	}
	return t, nil
}

// Addr is host:port of the tap.
func (t *Tap) Addr() string { return t.addr }

// Port of the tap.
func (t *Tap) Port() string { _, p, _ := net.SplitHostPort(t.addr); return p }

// Up is the number of bytes that clients sent.
func (t *Tap) Up() int64 { return t.up.Load() }

// Down is the number of bytes that clients were sent.
func (t *Tap) Down() int64 { return t.down.Load() }

// RequestIDs are the x-amz-request-id of all answers so far, in order of arrival.
func (t *Tap) RequestIDs() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.ids...)
}

// HoldAfter lets n more bytes of clients through and then no more, until Release or Cut. An upload then stands still in its middle.
func (t *Tap) HoldAfter(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hold, t.held = t.up.Load()+n, make(chan struct{})
}

// Release lets go what is held.
func (t *Tap) Release() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release()
}

func (t *Tap) release() {
	if t.held != nil {
		close(t.held)
		t.held = nil
	}
}

// count counts what a client sent, and keeps it waiting where that is held.
func (t *Tap) count(n int) {
	up := t.up.Add(int64(n))
	t.mu.Lock()
	held := t.held
	if up < t.hold {
		held = nil
	}
	t.mu.Unlock()
	if held != nil {
		<-held
	}
}

// Cut closes the port and every connection: the target is down.
func (t *Tap) Cut() {
	t.mu.Lock()
	t.release()
	if t.l != nil {
		t.l.Close()
		t.l = nil
	}
	for c := range t.conns {
		c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
}

// Mend opens the port again.
func (t *Tap) Mend() error {
	l, err := net.Listen("tcp", t.addr)
	if err != nil {
		return fmt.Errorf("tap: %w", err)
	}
	t.addr = l.Addr().String()
	t.mu.Lock()
	t.l = l
	t.mu.Unlock()
	t.wg.Add(1)
	go t.accept(l)
	return nil
}

// Retarget sends new connections elsewhere.
func (t *Tap) Retarget(targets ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.targets = targets
}

// dial connects to the next target that answers.
func (t *Tap) dial() (conn net.Conn, err error) {
	t.mu.Lock()
	targets := t.targets
	first := t.next
	t.next++
	t.mu.Unlock()
	for i := range targets {
		if conn, err = net.Dial("tcp", targets[(first+i)%len(targets)]); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

func (t *Tap) accept(l net.Listener) {
	defer t.wg.Done()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		t.wg.Add(1)
		go t.forward(c)
	}
}

func (t *Tap) forward(client net.Conn) {
	defer t.wg.Done()
	defer client.Close()
	server, err := t.dial()
	if err != nil {
		return
	}
	defer server.Close()
	t.mu.Lock()
	if t.l == nil { // cut while this one was dialling
		t.mu.Unlock()
		return
	}
	t.conns[client], t.conns[server] = true, true
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		delete(t.conns, client)
		delete(t.conns, server)
		t.mu.Unlock()
	}()

	var both sync.WaitGroup
	both.Add(2)
	pass := func(dst, src net.Conn, look io.Writer) {
		defer both.Done()
		// One side's end becomes a half-close, so that what the other still says arrives; its reset becomes a reset.
		_, err := io.Copy(io.MultiWriter(dst, look), struct{ io.Reader }{src})
		tcp := dst.(*net.TCPConn)
		if op := new(net.OpError); errors.As(err, &op) && op.Op == "read" && errors.Is(op, syscall.ECONNRESET) {
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
			return
		}
		_ = tcp.CloseWrite()
	}
	go pass(server, client, counter{t})
	go pass(client, server, &idScanner{tap: t})
	both.Wait()
}

type counter struct{ tap *Tap }

func (c counter) Write(p []byte) (int, error) { c.tap.count(len(p)); return len(p), nil }

var requestID = regexp.MustCompile(`(?i)\r\nx-amz-request-id: *([^\r\n]+)\r\n`)

// idScanner finds request ids in what a server sends; a header may be split between two writes.
type idScanner struct {
	tap  *Tap
	rest []byte
}

func (s *idScanner) Write(p []byte) (int, error) {
	s.tap.down.Add(int64(len(p)))
	buf := append(s.rest, p...)
	end := 0
	for _, m := range requestID.FindAllSubmatchIndex(buf, -1) {
		s.tap.mu.Lock()
		s.tap.ids = append(s.tap.ids, string(buf[m[2]:m[3]]))
		s.tap.mu.Unlock()
		end = m[3]
	}
	buf = buf[max(end, len(buf)-256):]
	s.rest = bytes.Clone(buf)
	return len(p), nil
}
