package relay

import (
	"crypto/tls"
	"sync"
	"time"
)

// Bounds of lingering closes. A close with unread bytes makes the kernel send RST, and the client then loses an answer that it has
// not read yet; FIN, and reading on for a while, lets a client that insists on sending see it. Measured: without, Go's
// net/http lost up to 9 answers of 10; with, none.
const (
	lingerBytes = 64 << 20
	lingerIdle  = 2 * time.Second
	lingerTotal = 10 * time.Second
	lingerConns = 256 // at once; more are closed straight away
)

var lingerBuffers = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// lingerClose reports whether it took over closing the connection.
func (c *Conn) lingerClose() bool {
	l, tcp := c.socket.listener, c.socket.tcp
	if tcp == nil || !l.lingerBegins() {
		return false
	}
	end := time.Now().Add(lingerTotal)
	_ = c.socket.SetDeadline(end)
	if t, ok := c.Conn.(*tls.Conn); ok {
		_ = t.CloseWrite()
	}
	if tcp.CloseWrite() != nil {
		l.lingerEnds()
		return false
	}
	go func() {
		defer l.lingerEnds()
		defer c.socket.Close()
		buf := lingerBuffers.Get().(*[16 << 10]byte)
		defer lingerBuffers.Put(buf)
		for left := lingerBytes; left > 0; {
			until := time.Now().Add(lingerIdle)
			if until.After(end) {
				until = end
			}
			_ = tcp.SetReadDeadline(until)
			n, err := c.socket.Read(buf[:]) // below TLS: nobody wants to know what it says
			if left -= n; err != nil {
				return
			}
		}
	}()
	return true
}

func (l *Listener) lingerBegins() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lingering >= lingerConns {
		return false
	}
	l.lingering++
	return true
}

func (l *Listener) lingerEnds() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lingering--
}
