// Package relay moves bodies between connections without holding them.
//
// fasthttp answers Expect: 100-continue and reads bodies before a handler runs. So Intake takes the body away from it:
// a handler decides with the head alone, and either answers (the connection then lingers, so that a client that
// is already sending can read the answer) or takes the connection over as an Exchange and pumps the body to storage, by
// splice(2) where both ends are plain TCP.
//
// The path of a connection: Listener.Accept -> fasthttp parses a head -> Intake -> handler -> answer, or
// Exchange.Put -> Exchange.Respond -> back to the Listener for the next request, or closed.
//
// The Listener owns all deadlines and counts. The package knows HTTP/1.1 framing and no S3.
package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"partway/auth/sigv4"
)

// Errors of Put. The connection to the client is unusable for a further request after each but ErrDial.
var (
	ErrDial     = errors.New("storage connection failed")          // storage has seen nothing of the request
	ErrStorage  = errors.New("storage connection broke")           // storage may have seen all or part of the request
	ErrClient   = errors.New("client did not send the whole body") // gone, too slow, or malformed framing
	ErrFraming  = errors.New("ambiguous request framing")          // of ParseHead
	ErrCanceled = errors.New("transfer cancelled")
)

// Config of a Listener. Zero fields take the default in brackets.
type Config struct {
	HeadTimeout time.Duration       // from a request's first byte to the end of its head [10s]
	IdleTimeout time.Duration       // between requests, and between two bytes of a body [60s]
	MinRate     int64               // bytes per second that a body must reach, measured over windows of IdleTimeout; 0: none
	MaxPerIP    int                 // connections from one address; 0: no limit
	TLS         *tls.Config         // nil: plain TCP
	OnBytes     func(in, out int64) // socket bytes of a connection, told from time to time and at its close; may be nil
}

// Listener hands connections to fasthttp and takes them back after an Exchange.
type Listener struct{ net.Listener }

// NewListener owns l from now on.
func NewListener(l net.Listener, c Config) *Listener { panic("not yet") }

// Shutdown stops accepting, lets exchanges under way finish until ctx ends, then closes what is left.
func (l *Listener) Shutdown(ctx context.Context) error { panic("not yet") }

// Conn is a client connection as fasthttp sees it: plain or TLS, lingering at close, re-injectable.
type Conn struct{ net.Conn }

// Linger makes Close send FIN first and drain for a bounded while, so that a client that is still sending a body that nobody
// reads can read the answer.
func (c *Conn) Linger() {}

// Intake is fasthttp's Server.HeaderReceived: it hides Expect, Content-Length and Transfer-Encoding of every PUT, and of
// every request with ambiguous framing, so that fasthttp neither answers 100 nor reads a body.
func Intake(h *fasthttp.RequestHeader) fasthttp.RequestConfig { panic("not yet") }

// Head is a request's head as it stood on the wire, copied out of fasthttp's buffers.
type Head struct {
	Headers []sigv4.Header // names lower-case, values trimmed, in order
	Length  int64          // Content-Length; -1 if there is none
	Chunked bool           // Transfer-Encoding: chunked
	Expect  bool           // Expect: 100-continue, in any case of letters
}

// Get returns the value of the first header of that lower-case name, or "".
func (h *Head) Get(name string) string { panic("not yet") }

// ParseHead parses h.RawHeaders(). ErrFraming for Content-Length with Transfer-Encoding, two of either, two hosts, none,
// a bare LF, a folded line, an unknown expectation or a transfer coding other than chunked: answer 400 and close.
func ParseHead(raw []byte) (*Head, error) { panic("not yet") }

// HasBody reports whether a body follows the head.
func (h *Head) HasBody() bool { return h.Length > 0 || h.Chunked }

// Storage keeps connections to one storage endpoint. Safe for concurrent use.
type Storage struct{ _ int }

// StorageConfig of a Storage.
type StorageConfig struct {
	Address     string        // host:port
	TLS         *tls.Config   // nil: plain TCP
	DialTimeout time.Duration // [5s]
	MaxIdle     int           // idle connections kept [64]
}

// NewStorage checks nothing and dials nothing.
func NewStorage(c StorageConfig) *Storage { panic("not yet") }

// Close closes the idle connections.
func (s *Storage) Close() { panic("not yet") }

// Request is what storage is sent. Put adds Content-Length or Transfer-Encoding, Expect and Connection; everything else,
// host among it, is in Headers.
type Request struct {
	Method, Target string // "PUT", "/bucket/key?partNumber=1&uploadId=..."
	Headers        []sigv4.Header
	Length         int64 // of the body that storage is sent; -1: chunked
	// Body, if set, stands between the two ends: it gets the client's body (transfer coding removed) and returns what storage is sent.
	// An error from its Read ends the transfer before storage has the whole body. nil: the bytes as they come, spliced where possible.
	Body func(io.Reader) io.Reader
}

// Answer is what storage said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // at most 1 MiB
	Sent   int64  // bytes of the body that were taken from the client
	Early  bool   // storage answered before it had the whole body
}

// Exchange is a client connection that was taken from fasthttp with the body of its request unread.
type Exchange struct{ _ int }

// Hijack takes the connection over once the fasthttp handler returns; run is then called with it on its own goroutine and
// must end with Respond or Abandon. A panic in run is recovered, told to onPanic, and closes the connection.
func Hijack(ctx *fasthttp.RequestCtx, head *Head, run func(*Exchange), onPanic func(any)) {
	panic("not yet")
}

// Put sends r with the client's body to storage and returns storage's answer. The client gets its 100 Continue (if it asked) only
// when storage says so or has said nothing for a second. A pooled connection that turns out dead before any of the
// body was read is replaced once by a fresh one.
func (x *Exchange) Put(ctx context.Context, s *Storage, r *Request) (*Answer, error) {
	panic("not yet")
}

// Respond writes an answer to the client, then gives the connection back to its Listener, or closes it (lingering) if the body was
// not read to its end or close is set. Content-Length and Connection are added.
func (x *Exchange) Respond(status int, headers []sigv4.Header, body []byte, close bool) error {
	panic("not yet")
}

// Abandon closes the connection without an answer.
func (x *Exchange) Abandon() {}
