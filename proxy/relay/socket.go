package relay

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// tellEvery is how many bytes of a connection pass before Config.OnBytes hears of them.
const tellEvery = 1 << 20

// socket is one accepted connection for as long as it lives, below TLS: it counts its bytes and is what the Listener counts.
type socket struct {
	net.Conn
	tcp      *net.TCPConn // nil if the listener is not TCP
	listener *Listener
	client   net.Addr    // whom a proxy speaks for; nil: whoever connected
	addr     netip.Addr  // of the client
	counted  bool        // among those of addr; of Listener.mu
	idle     atomic.Bool // between requests
	in, out  atomic.Int64
	closing  sync.Once
}

func newSocket(c net.Conn, l *Listener) *socket {
	s := &socket{Conn: c, listener: l}
	s.tcp, _ = c.(*net.TCPConn)
	s.addr = addressOf(c.RemoteAddr())
	return s
}

// addressOf is the zero Addr for what is not TCP.
func addressOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// RemoteAddr is the client's, be it by way of a proxy.
func (s *socket) RemoteAddr() net.Addr {
	if s.client != nil {
		return s.client
	}
	return s.Conn.RemoteAddr()
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.received(int64(n))
	return n, err
}

func (s *socket) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	if s.out.Add(int64(n)) >= tellEvery {
		s.tellBytes()
	}
	return n, err
}

// received counts bytes that came in, those that were spliced past Read too.
func (s *socket) received(n int64) {
	if s.in.Add(n) >= tellEvery {
		s.tellBytes()
	}
}

func (s *socket) tellBytes() {
	if in, out := s.in.Swap(0), s.out.Swap(0); s.listener.config.OnBytes != nil && in+out > 0 {
		s.listener.config.OnBytes(in, out)
	}
}

// Close closes the connection for good.
func (s *socket) Close() error {
	err := net.ErrClosed
	s.closing.Do(func() {
		err = s.Conn.Close()
		s.tellBytes()
		s.listener.remove(s)
	})
	return err
}
