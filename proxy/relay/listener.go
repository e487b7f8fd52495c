package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Config of a Listener. Zero fields take the default in brackets.
type Config struct {
	HeadTimeout time.Duration       // from a request's first byte to the end of its head; also of the TLS handshake [10s]
	IdleTimeout time.Duration       // between requests, between two bytes of a body, and to take 64 KiB of an answer [60s]
	MinRate     int64               // bytes per second that a body must reach, measured over windows of IdleTimeout; 0: none
	MaxPerIP    int                 // connections from one address; 0: no limit
	Proxies     []netip.Prefix      // addresses that MaxPerIP is not for
	TLS         *tls.Config         // nil: plain TCP
	OnBytes     func(in, out int64) // socket bytes of a connection, told from time to time and at its close; may be nil

	// ProxyProtocol: every connection comes from one of Proxies and begins, before TLS, with a PROXY header that names the client.
	ProxyProtocol bool
	OnRefused     func(reason string) // a connection was closed unanswered; may be nil
}

// Listener hands connections to fasthttp and takes them back after an Exchange.
type Listener struct {
	net.Listener
	config    Config
	conns     chan *Conn    // unbuffered, so that none is left behind in it when done is closed
	done      chan struct{} // closed when no more connections are accepted
	closing   sync.Once
	accepting sync.WaitGroup

	mu        sync.Mutex
	draining  bool
	retiring  bool // answers close their connections
	sockets   map[*socket]struct{}
	perIP     map[netip.Addr]int
	lingering int
	exchanges int
	empty     chan struct{} // closed by the last socket or exchange to end while draining
}

// NewListener owns l from now on.
func NewListener(l net.Listener, c Config) *Listener {
	if c.HeadTimeout <= 0 {
		c.HeadTimeout = 10 * time.Second
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = 60 * time.Second
	}
	w := &Listener{
		Listener: l, config: c,
		conns: make(chan *Conn), done: make(chan struct{}), empty: make(chan struct{}),
		sockets: make(map[*socket]struct{}), perIP: make(map[netip.Addr]int),
	}
	w.accepting.Go(w.acceptLoop)
	return w
}

func (l *Listener) acceptLoop() {
	const firstPause, lastPause = 5 * time.Millisecond, time.Second
	pause := firstPause
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			pause = firstPause
			l.admit(c)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			l.stop()
			return
		}
		// Out of file descriptors, most likely: it passes, and the connections that are there must be served meanwhile.
		select {
		case <-time.After(pause):
			pause = min(2*pause, lastPause)
		case <-l.done:
			return
		}
	}
}

func (l *Listener) admit(c net.Conn) {
	s := newSocket(c, l)
	s.idle.Store(l.config.ProxyProtocol) // while it waits for its header
	l.add(s)
	if l.config.ProxyProtocol {
		go l.introduce(s)
		return
	}
	l.welcome(s)
}

// welcome lets a connection in, whose client is known.
func (l *Listener) welcome(s *socket) {
	if !l.count(s) {
		l.refuse(s, RefusedAddress)
		return
	}
	stream := net.Conn(s)
	if l.config.TLS != nil {
		stream = tls.Server(newRecords(s), l.config.TLS)
	}
	l.offer(newConn(s, stream, nil))
}

// refuse closes a connection: an answer would cost more than the refusal saves.
func (l *Listener) refuse(s *socket, reason string) {
	_ = s.Close()
	if l.config.OnRefused != nil {
		l.config.OnRefused(reason)
	}
}

// offer hands a connection to fasthttp, or closes it if nobody accepts any more.
func (l *Listener) offer(c *Conn) {
	select {
	case l.conns <- c:
	case <-l.done:
		_ = c.Close()
	}
}

// Accept returns new connections and those that an Exchange gave back.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed // fasthttp knows it as the end
	}
}

// Close stops accepting. Connections live on.
func (l *Listener) Close() error {
	l.stop()
	err := l.Listener.Close()
	l.accepting.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (l *Listener) stop() { l.closing.Do(func() { close(l.done) }) }

// Retire makes every answer from now on close its connection, while new ones are still accepted: whoever is told to go elsewhere has no connection left
// that Shutdown could close under a request.
func (l *Listener) Retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retiring = true
}

// keeps reports whether connections are kept for another request.
func (l *Listener) keeps() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.draining && !l.retiring
}

// Shutdown stops accepting, closes idle connections, lets requests, exchanges and lingering closes under way finish until
// ctx ends, then closes what is left and returns why ctx ended.
func (l *Listener) Shutdown(ctx context.Context) error {
	err := l.Close()
	for _, s := range l.drain() {
		if s.idle.Load() {
			_ = s.Close()
		}
	}
	select {
	case <-l.empty:
		return err
	case <-ctx.Done():
	}
	left := l.drain()
	for _, s := range left {
		_ = s.Close()
	}
	return fmt.Errorf("closed %d connections that were still busy: %w", len(left), context.Cause(ctx))
}

// Drained is closed when, after Shutdown, no connection and no exchange is left. Those that Shutdown closed end soon, but for an
// exchange that waits for storage: that takes the end of its Put's context.
func (l *Listener) Drained() <-chan struct{} { return l.empty }

// drain makes connections close instead of becoming idle, and returns those that there are.
func (l *Listener) drain() []*socket {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.draining {
		l.draining = true
		l.tellEmpty()
	}
	left := make([]*socket, 0, len(l.sockets))
	for s := range l.sockets {
		left = append(left, s)
	}
	return left
}

func (l *Listener) isDraining() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.draining
}

// tellEmpty needs l.mu. Once draining nothing new starts from nothing, so it closes empty once.
func (l *Listener) tellEmpty() {
	if l.draining && len(l.sockets) == 0 && l.exchanges == 0 {
		select {
		case <-l.empty:
		default:
			close(l.empty)
		}
	}
}

func (l *Listener) add(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sockets[s] = struct{}{}
}

// count adds a socket to those of its address, unless there are too many.
func (l *Listener) count(s *socket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, alive := l.sockets[s]; !alive { // Shutdown closed it
		return true
	}
	if l.config.MaxPerIP > 0 && l.perIP[s.addr] >= l.config.MaxPerIP && !among(l.config.Proxies, s.addr) {
		return false
	}
	l.perIP[s.addr]++
	s.counted = true
	return true
}

func among(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (l *Listener) remove(s *socket) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sockets, s)
	if s.counted {
		if l.perIP[s.addr]--; l.perIP[s.addr] == 0 {
			delete(l.perIP, s.addr)
		}
	}
	l.tellEmpty()
}

func (l *Listener) exchangeBegins() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.exchanges++
}

func (l *Listener) exchangeEnds() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.exchanges--
	l.tellEmpty()
}
