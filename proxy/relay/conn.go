package relay

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// writePiece is how much of an answer the client must take within IdleTimeout.
const writePiece = 64 << 10

// errDetached ends the reads of fasthttp's buffered reader when a connection is taken from it.
var errDetached = errors.New("connection was taken from fasthttp")

// phase of a connection while fasthttp reads from it. Each has its deadline.
type phase int

const (
	phaseIdle phase = iota // no byte of the next request yet: IdleTimeout
	phaseHead              // HeadTimeout from its first byte
	phaseBody              // a pace
)

// Conn is a client connection as fasthttp sees it: plain or TLS, lingering at close, re-injectable. It sets the deadline of every
// read and write itself; one goroutine uses it at a time, but for Close.
type Conn struct {
	net.Conn // the socket, or TLS over it
	socket   *socket
	pre      []byte // bytes that were read before their turn, to be read first

	phase    phase
	line     int       // length of the line of the head that is being read
	onlyCR   bool      // that line is a lone CR so far
	inHead   bool      // a line of the head is complete; fasthttp skips blank ones before
	headEnd  time.Time // deadline of phaseHead
	pace     pace
	brake    *brake // of the transfer that reads from here; may be nil
	detached bool
	linger   atomic.Bool
}

// newConn makes a new one for every turn at fasthttp, which keeps them as keys of a map and lets go of them late.
func newConn(s *socket, stream net.Conn, pre []byte) *Conn {
	return &Conn{Conn: stream, socket: s, pre: pre, pace: newPace(&s.listener.config)}
}

// Linger makes Close send FIN first and drain for a bounded while, so that a client that is still sending a body that nobody
// reads can read the answer.
func (c *Conn) Linger() { c.linger.Store(true) }

// Close closes the connection, at once or lingering.
func (c *Conn) Close() error {
	if c.linger.Swap(false) && c.lingerClose() {
		return nil
	}
	if t, ok := c.Conn.(*tls.Conn); ok {
		return t.Close() // says goodbye, with a deadline of its own, and closes the socket
	}
	return c.socket.Close()
}

func (c *Conn) Read(p []byte) (int, error) {
	if len(c.pre) > 0 {
		n := copy(p, c.pre)
		c.pre = c.pre[n:]
		c.follow(p[:n])
		return n, nil
	}
	if c.detached {
		return 0, errDetached
	}
	switch c.phase {
	case phaseIdle:
		return c.readFirst(p)
	case phaseHead:
		c.readUntil(c.headEnd)
		n, err := c.Conn.Read(p)
		c.follow(p[:n])
		return n, err
	default:
		return c.readBody(p)
	}
}

// readFirst waits for a request to begin.
func (c *Conn) readFirst(p []byte) (int, error) {
	s := c.socket
	s.idle.Store(true)
	if s.listener.isDraining() { // asked after idle is set: Shutdown either finds it set or is found here
		return 0, io.EOF
	}
	if t, ok := c.Conn.(*tls.Conn); ok && !t.ConnectionState().HandshakeComplete {
		if err := s.SetDeadline(time.Now().Add(s.listener.config.HeadTimeout)); err != nil {
			return 0, err
		}
		if err := t.Handshake(); err != nil {
			return 0, err
		}
	}
	c.readUntil(time.Now().Add(s.listener.config.IdleTimeout))
	n, err := c.Conn.Read(p)
	if n > 0 {
		s.idle.Store(false)
	}
	c.follow(p[:n])
	return n, err
}

func (c *Conn) readBody(p []byte) (int, error) {
	began := time.Now()
	c.readUntil(began.Add(c.pace.limit()))
	n, err := c.Conn.Read(p)
	c.pace.add(int64(n), time.Since(began))
	return n, err
}

func (c *Conn) readUntil(t time.Time) {
	if c.brake != nil {
		c.brake.readUntil(t)
		return
	}
	_ = c.socket.SetReadDeadline(t) // fails only on a closed connection, as the read then will
}

// follow watches where a head begins and ends, by the same rule as fasthttp: an empty line, with or without CR.
func (c *Conn) follow(p []byte) {
	if len(p) > 0 && c.phase == phaseIdle {
		c.phase, c.headEnd = phaseHead, time.Now().Add(c.socket.listener.config.HeadTimeout)
		c.line, c.onlyCR, c.inHead = 0, false, false
	}
	for i := 0; i < len(p) && c.phase == phaseHead; i++ {
		if p[i] != '\n' {
			c.onlyCR = c.line == 0 && p[i] == '\r'
			c.line++
			continue
		}
		blank := c.line == 0 || c.onlyCR
		if blank && c.inHead {
			c.phase = phaseBody
			c.pace.restart()
		}
		c.inHead = c.inHead || !blank
		c.line, c.onlyCR = 0, false
	}
}

func (c *Conn) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(p, []byte("HTTP/1.1 1")) { // after 100 Continue the body of the same request follows
		c.phase = phaseIdle
	}
	written := 0
	for {
		piece := p[written:min(written+writePiece, len(p))]
		if err := c.socket.SetWriteDeadline(time.Now().Add(c.socket.listener.config.IdleTimeout)); err != nil {
			return written, err
		}
		n, err := c.Conn.Write(piece)
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// detach takes the connection from fasthttp: what its buffered reader r holds comes back to be read again, without waiting for more.
func (c *Conn) detach(r io.Reader) {
	later := c.pre
	c.pre, c.detached = nil, true
	defer func() { c.detached = false }()
	var held []byte
	var buf [4096]byte
	for {
		n, err := r.Read(buf[:])
		held = append(held, buf[:n]...)
		if err != nil { // errDetached, or what had ended the reader before: the next read will see it again
			c.pre = append(held, later...)
			return
		}
	}
}

// startBody begins the pace of a body that is read without fasthttp.
func (c *Conn) startBody() {
	c.phase = phaseBody
	c.pace.restart()
}

// plainTCP is the TCP connection to splice from, or nil.
func (c *Conn) plainTCP() *net.TCPConn {
	if c.Conn == net.Conn(c.socket) {
		return c.socket.tcp
	}
	return nil
}
