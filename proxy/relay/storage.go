package relay

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// StorageConfig of a Storage. Zero durations and numbers take the default in brackets.
type StorageConfig struct {
	Address       string        // host:port
	TLS           *tls.Config   // nil: plain TCP
	DialTimeout   time.Duration // of the connection, and of its TLS handshake [5s]
	MaxIdle       int           // idle connections kept [64]
	IdleTimeout   time.Duration // how long an idle connection is kept [30s]
	AnswerTimeout time.Duration // from the last byte of a body to storage's answer, and the longest that storage may take no bytes [5m]
}

// Storage keeps connections to one storage endpoint. Safe for concurrent use.
type Storage struct {
	config StorageConfig

	mu     sync.Mutex
	idle   []*link // the most recently used last
	closed bool
}

// NewStorage checks nothing and dials nothing.
func NewStorage(c StorageConfig) *Storage {
	if c.DialTimeout <= 0 {
		c.DialTimeout = 5 * time.Second
	}
	if c.MaxIdle <= 0 {
		c.MaxIdle = 64
	}
	if c.IdleTimeout <= 0 {
		c.IdleTimeout = 30 * time.Second
	}
	if c.AnswerTimeout <= 0 {
		c.AnswerTimeout = 5 * time.Minute
	}
	if c.TLS != nil && c.TLS.ServerName == "" {
		c.TLS = c.TLS.Clone()
		c.TLS.ServerName, _, _ = net.SplitHostPort(c.Address)
	}
	return &Storage{config: c}
}

// Close closes the idle connections. Those in use are closed when their exchange ends.
func (s *Storage) Close() {
	s.mu.Lock()
	idle := s.idle
	s.idle, s.closed = nil, true
	s.mu.Unlock()
	for _, k := range idle {
		k.close()
	}
}

// dial returns a fresh connection, or ErrDial.
func (s *Storage) dial(ctx context.Context) (*link, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.DialTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", s.config.Address)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDial, err)
	}
	tcp := c.(*net.TCPConn)
	// A body that breaks off must not look like one that ended: some servers take FIN for the end and would put what arrived in the place of a
	// good object. Set now, so that the kernel resets even when this process is killed. Nothing is lost by it: a connection is closed when
	// its answer was read, or is no longer wanted.
	_ = tcp.SetLinger(0)
	if s.config.TLS == nil {
		return newLink(s, tcp, tcp), nil
	}
	t := tls.Client(tcp, s.config.TLS)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = tcp.Close()
		return nil, fmt.Errorf("%w: TLS with %s: %w", ErrDial, s.config.Address, err)
	}
	return newLink(s, t, nil), nil
}

// pooled returns an idle connection that was alive a moment ago, or nil.
func (s *Storage) pooled() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.idle) > 0 {
		k := s.idle[len(s.idle)-1]
		s.idle = s.idle[:len(s.idle)-1]
		if !k.hasEnded() {
			return k
		}
	}
	return nil
}

// keep takes a connection back, or closes it.
func (s *Storage) keep(k *link) {
	s.mu.Lock()
	kept := !s.closed && len(s.idle) < s.config.MaxIdle
	if kept {
		s.idle = append(s.idle, k)
	}
	s.mu.Unlock()
	if !kept {
		k.close()
	}
}

// drop forgets an idle connection that ended.
func (s *Storage) drop(k *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.idle, k); i >= 0 {
		s.idle = slices.Delete(s.idle, i, i+1)
	}
}
