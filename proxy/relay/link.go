package relay

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// link is one connection to storage. Its reader goroutine lives as long as it: it reads the answer of each turn, and between turns it
// notices that storage closed the connection or spoke unasked. It ends when the connection is closed.
type link struct {
	net.Conn              // TCP, or TLS over it
	tcp      *net.TCPConn // nil with TLS
	storage  *Storage
	used     bool // has answered a request before

	mu    sync.Mutex
	turn  *turn // nil while idle
	ended bool  // nobody reads any more
}

// turn is one request on a link. The reader fills in the outcome, closes done and calls stop.
type turn struct {
	method  string
	stop    func()
	proceed chan struct{} // 100 Continue came; buffered
	done    chan struct{}
	heard   bool // a byte of the answer came
	answer  *Answer
	last    bool // storage closes the connection after it
	err     error
}

func newLink(s *Storage, c net.Conn, tcp *net.TCPConn) *link {
	k := &link{Conn: c, tcp: tcp, storage: s}
	go k.read()
	return k
}

// begin must come before the first byte of a request.
func (k *link) begin(method string, stop func()) *turn {
	t := &turn{method: method, stop: stop, proceed: make(chan struct{}, 1), done: make(chan struct{})}
	_ = k.SetReadDeadline(time.Time{})
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		t.err, t.last = net.ErrClosed, true
		close(t.done)
		return t
	}
	k.turn = t
	return t
}

// release gives the link back for the next request.
func (k *link) release() {
	k.used = true
	_ = k.SetWriteDeadline(time.Time{})
	_ = k.SetReadDeadline(time.Now().Add(k.storage.config.IdleTimeout))
	k.storage.keep(k)
}

// close resets the connection (see dial), and over TLS without a goodbye, which would pass for the end of a body.
func (k *link) close() {
	if t, ok := k.Conn.(*tls.Conn); ok {
		_ = t.NetConn().Close()
		return
	}
	_ = k.Close()
}

func (k *link) hasEnded() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended
}

func (k *link) read() {
	limited := &io.LimitedReader{R: k.Conn}
	r := bufio.NewReaderSize(limited, answerBuffer)
	for k.readTurn(limited, r) {
	}
	k.storage.drop(k)
	k.close()
}

// readTurn reads one answer and reports whether the connection may have another one.
func (k *link) readTurn(limited *io.LimitedReader, r *bufio.Reader) bool {
	limited.N = answerHead + answerBody
	_, err := r.Peek(1)
	k.mu.Lock()
	t := k.turn
	k.ended = t == nil // storage closed an idle connection, its time was over, or an answer came that nobody asked for
	k.mu.Unlock()
	if t == nil {
		return false
	}
	if t.heard = err == nil; t.heard {
		t.answer, t.last, err = readAnswer(r, t.method, t.proceeds)
	}
	if t.err = err; errors.Is(err, io.EOF) {
		t.err = io.ErrUnexpectedEOF
	}
	t.last = t.last || err != nil || r.Buffered() > 0
	k.mu.Lock()
	k.turn, k.ended = nil, t.last
	k.mu.Unlock()
	close(t.done)
	t.stop()
	return !t.last
}

func (t *turn) proceeds() {
	select {
	case t.proceed <- struct{}{}:
	default:
	}
}

// over reports whether the outcome is known.
func (t *turn) over() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}
