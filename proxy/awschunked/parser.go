package awschunked

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math"
	"strconv"
	"strings"
)

// maxLine bounds a line of framing. The longest that S3 defines is a size with its signature, 97 bytes.
const maxLine = 256

// maxSizeDigits is as many as S3 accepts in a chunk's size.
const maxSizeDigits = 16

// state is what the parser expects next.
type state int

const (
	stateSize    state = iota
	stateData          // left bytes of it
	stateDataEnd       // the CRLF behind a chunk's data
	stateTrailer       // a trailer line, or the empty line that ends the body
	stateDone          // nothing, or one CRLF
)

// parser checks framing, decoded length and, with Options.Chunks, signatures. It is pushed bytes as they come, in pieces of any size.
type parser struct {
	o     Options
	state state

	line   []byte // the part of a framing line that has come so far
	size   int64  // of the chunk
	left   int64  // bytes of the chunk's data still to come
	chunks int    // with data, so far
	sum    int64  // sizes of all chunks so far

	sha       hash.Hash // of the chunk's data; nil for the unsigned form
	signature string    // of the chunk

	value         string // of the trailer; whole at io.EOF
	seenTrailer   bool
	seenSignature bool
	skippedEmpty  bool // the one that minio-go puts before x-amz-trailer-signature, or after the end
}

func newParser(o Options) parser {
	o.Trailer = strings.ToLower(o.Trailer)
	p := parser{o: o, line: make([]byte, 0, maxLine)}
	if o.Chunks != nil {
		p.sha = sha256.New()
	}
	return p
}

func (p *parser) done() bool { return p.state == stateDone }

// next takes one step: b's head is either data, which is returned, or framing, which is not. rest is what is left of b.
func (p *parser) next(b []byte) (data, rest []byte, err error) {
	if p.state == stateData {
		data, rest = b, nil
		if int64(len(b)) >= p.left {
			data, rest = b[:p.left], b[p.left:]
		}
		err = p.take(data)
		if p.sum > p.o.Length {
			data = nil // more than the body may have: only looked at
		}
		return data, rest, err
	}
	end := bytes.IndexByte(b, '\n')
	piece := b[:end+1]
	if end < 0 {
		piece = b
	}
	if len(p.line)+len(piece) > maxLine {
		return nil, nil, fmt.Errorf("%w: line over %d bytes", ErrFraming, maxLine)
	}
	p.line = append(p.line, piece...)
	if end >= 0 {
		err = p.endLine()
		p.line = p.line[:0]
	}
	return nil, b[len(piece):], err
}

func (p *parser) take(data []byte) error {
	if p.sha != nil {
		p.sha.Write(data)
	}
	p.left -= int64(len(data))
	if p.left > 0 {
		return nil
	}
	p.state = stateDataEnd
	return p.verifyChunk()
}

func (p *parser) endLine() error {
	line, crlf := bytes.CutSuffix(p.line, []byte("\r\n"))
	if !crlf {
		// minio-go ends its trailer line with a bare LF.
		if p.state != stateTrailer || len(p.line) == 1 {
			return fmt.Errorf("%w: bare LF", ErrFraming)
		}
		line = p.line[:len(p.line)-1]
	}
	switch p.state {
	case stateSize:
		return p.sizeLine(line)
	case stateDataEnd:
		if len(line) > 0 {
			return fmt.Errorf("%w: no CRLF after a chunk", ErrFraming)
		}
		// Only now: a size that the framing does not bear out is no length.
		if p.sum > p.o.Length {
			return fmt.Errorf("%w: more than the declared %d bytes", ErrLength, p.o.Length)
		}
		p.state = stateSize
		return nil
	case stateTrailer:
		return p.trailerLine(line)
	default:
		if len(line) > 0 || p.skippedEmpty {
			return fmt.Errorf("%w: bytes after the end", ErrFraming)
		}
		p.skippedEmpty = true
		return nil
	}
}

func (p *parser) sizeLine(line []byte) error {
	digits, extension, _ := bytes.Cut(line, []byte(";"))
	n, err := parseSize(digits)
	if err != nil {
		return err
	}
	if p.o.Chunks != nil {
		signature, ok := bytes.CutPrefix(extension, []byte("chunk-signature="))
		if !ok || !isSignature(signature) {
			return fmt.Errorf("%w: chunk without signature", ErrFraming)
		}
		p.signature = string(signature)
	}
	if n > math.MaxInt64-p.sum {
		return fmt.Errorf("%w: chunk size out of range", ErrFraming)
	}
	p.sum += n
	if n > 0 {
		if p.chunks > 0 && p.size < p.o.MinChunk {
			return &ChunkSizeError{p.chunks, p.size}
		}
		p.chunks++
		p.size, p.left = n, n
		p.state = stateData
		return nil
	}
	p.state = stateTrailer
	if p.sum != p.o.Length {
		return fmt.Errorf("%w: %d bytes instead of the declared %d", ErrLength, p.sum, p.o.Length)
	}
	return p.verifyChunk()
}

// parseSize is strict because strconv accepts signs and prefixes that other parsers of the same body would not.
func parseSize(digits []byte) (int64, error) {
	if len(digits) == 0 || len(digits) > maxSizeDigits {
		return 0, fmt.Errorf("%w: chunk size of %d digits", ErrFraming, len(digits))
	}
	for _, c := range digits {
		if !isHex(c) {
			return 0, fmt.Errorf("%w: chunk size is not hexadecimal", ErrFraming)
		}
	}
	n, err := strconv.ParseInt(string(digits), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: chunk size out of range", ErrFraming)
	}
	return n, nil
}

// isSignature reports whether s has the form of a signature: 64 hex digits.
func isSignature[T string | []byte](s T) bool {
	for i := range len(s) {
		if !isHex(s[i]) {
			return false
		}
	}
	return len(s) == sha256.Size*2
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

func (p *parser) verifyChunk() error {
	if p.o.Chunks == nil {
		return nil
	}
	var sum [sha256.Size]byte
	p.sha.Sum(sum[:0])
	p.sha.Reset()
	if !p.o.Chunks.Verify(sum, p.signature) {
		return ErrSignature
	}
	return nil
}

// push takes b without looking at its data.
func (p *parser) push(b []byte) error {
	for len(b) > 0 {
		var err error
		if _, b, err = p.next(b); err != nil {
			return err
		}
	}
	return nil
}

// ended says what an end of the source means here.
func (p *parser) ended() error {
	if p.state != stateDone || len(p.line) > 0 {
		return fmt.Errorf("%w: %w", ErrFraming, io.ErrUnexpectedEOF)
	}
	return nil
}
