package relay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
)

const (
	chunkLineBuffer = 4 << 10  // longest chunk-size line with its extensions, and longest trailer line
	trailerBytes    = 16 << 10 // of a chunked body; it is read and dropped, S3's trailers travel inside aws-chunked
)

// body is the body of the client's request, transfer coding removed. It ends where the request ends and reads nothing past it,
// or gives back what it did.
type body struct {
	conn  *Conn
	left  int64 // of a body with Content-Length
	taken int64 // bytes handed out
	lost  bool  // a splice broke: more may have been taken, and what lay between the sockets is gone
	ended bool

	buffer *bufio.Reader // of a chunked body; nil otherwise
	chunks io.Reader
}

func newBody(c *Conn, h *Head) *body {
	b := &body{conn: c, left: max(h.Length, 0)}
	if h.Chunked {
		b.buffer = bufio.NewReaderSize(c, chunkLineBuffer)
		b.chunks = httputil.NewChunkedReader(b.buffer)
		return b
	}
	b.ended = b.left == 0
	return b
}

func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.ended:
		return 0, io.EOF
	case b.buffer != nil:
		return b.readChunked(p)
	}
	n, err := b.conn.Read(p[:min(int64(len(p)), b.left)])
	b.took(int64(n))
	if b.ended {
		return n, io.EOF
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// took accounts for bytes of a body with Content-Length, those that were spliced past Read too.
func (b *body) took(n int64) {
	b.left -= n
	b.taken += n
	b.ended = b.left == 0
}

// whole reports that nothing was taken, so that the body can still be sent from its beginning.
func (b *body) whole() bool { return b.taken == 0 && !b.lost }

func (b *body) readChunked(p []byte) (int, error) {
	n, err := b.chunks.Read(p)
	b.taken += int64(n)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if err := b.readTrailer(); err != nil {
		return n, err
	}
	// What the buffer holds beyond the end is the next request.
	next, _ := b.buffer.Peek(b.buffer.Buffered())
	b.conn.pre = append(append([]byte(nil), next...), b.conn.pre...)
	b.ended = true
	return n, io.EOF
}

// readTrailer reads up to the empty line that ends a chunked body (RFC 9112, section 7.1.2).
func (b *body) readTrailer() error {
	for left := trailerBytes; left > 0; {
		line, err := b.buffer.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("reading the trailer: %w", err)
		}
		if len(line) < 2 || line[len(line)-2] != '\r' {
			return errors.New("a line of the trailer does not end in CRLF")
		}
		if len(line) == 2 {
			return nil
		}
		left -= len(line)
	}
	return fmt.Errorf("trailer of more than %d bytes", trailerBytes)
}

// errSurplus: what reads the body stopped before its end.
var errSurplus = errors.New("bytes after the end of the body")

// source is what storage is sent: the body itself, or what Request.Body makes of it. It says EOF only when the client's
// body is at its end too, so that nothing is complete at storage while the client's request is not.
type source struct {
	io.Reader
	body *body
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	var one [1]byte
	for !s.body.ended {
		m, err := s.body.Read(one[:])
		if m > 0 {
			return n, errSurplus
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
	}
	return n, io.EOF
}
