package awschunked

import (
	"fmt"
	"hash"
	"io"
)

// Reader decodes a body and verifies it: framing, length, signatures and the trailing checksum.
type Reader struct {
	parser
	src      io.Reader
	verify   bool      // the trailing checksum
	checksum hash.Hash // of the data; nil if there is none to verify, or of an algorithm that is not known
	n        int64     // bytes of data that have come
	last     byte      // of the data, kept back until the end is verified
	err      error     // of every further Read
}

// NewReader decodes r. A trailer whose algorithm is unknown fails with ErrChecksum at the end of the body.
func NewReader(r io.Reader, o Options) *Reader {
	d := newDecoder(r, o)
	d.verify, d.checksum = d.o.Trailer != "", NewChecksum(d.o.Trailer)
	return d
}

// newDecoder makes a Reader that leaves the trailing checksum to someone else.
func newDecoder(r io.Reader, o Options) *Reader {
	return &Reader{parser: newParser(o), src: r}
}

// Read uses all of b as scratch space: framed bytes are read into it and the framing is squeezed out in place.
func (r *Reader) Read(b []byte) (int, error) {
	for r.err == nil && len(b) > 0 {
		n, err := r.src.Read(b)
		k, perr := r.decode(b[:n])
		switch {
		case perr != nil:
			r.err = perr
		case r.done():
			// The end's own framing took at least one byte of b, or there is no last byte.
			return r.finish(b, k, err)
		case err == io.EOF:
			r.err = r.ended()
		case err != nil:
			r.err = err
		}
		if k > 0 && perr == nil {
			return k, nil
		}
	}
	return 0, r.err
}

// decode moves the data among b to its front and returns how much of it may be delivered.
func (r *Reader) decode(b []byte) (int, error) {
	k := 0
	for rest := b; len(rest) > 0; {
		var data []byte
		var err error
		if data, rest, err = r.next(rest); err != nil {
			return 0, err
		}
		if len(data) == 0 {
			continue
		}
		if r.checksum != nil {
			r.checksum.Write(data)
		}
		r.n += int64(len(data))
		if r.n == r.o.Length {
			r.last = data[len(data)-1]
			data = data[:len(data)-1]
		}
		k += copy(b[k:], data)
	}
	return k, nil
}

// finish delivers b[:k] and the last byte once all is verified. srcErr came with the last bytes of the source.
func (r *Reader) finish(b []byte, k int, srcErr error) (int, error) {
	switch srcErr {
	case nil:
		r.err = r.drain()
	case io.EOF: //nolint:errorlint // an error that wraps io.EOF is an error
		r.err = r.ended()
	default:
		r.err = srcErr
	}
	if r.err == nil && r.verify {
		r.err = r.verifyTrailer()
	}
	if r.err != nil {
		return 0, r.err
	}
	r.err = io.EOF
	if r.o.Length > 0 {
		b[k] = r.last
		k++
	}
	return k, r.err
}

func (r *Reader) verifyTrailer() error {
	if err := checkValue(r.o.Trailer, r.value); err != nil {
		return err
	}
	if !matches(r.checksum, r.value) {
		return fmt.Errorf("%w: %s", ErrChecksum, r.o.Trailer)
	}
	return nil
}

// drain reads the source to its end, so that nothing can follow a body that is done.
func (r *Reader) drain() error {
	var b [8]byte
	for {
		n, err := r.src.Read(b[:])
		if perr := r.push(b[:n]); perr != nil {
			return perr
		}
		if err == io.EOF {
			return r.ended()
		}
		if err != nil {
			return err
		}
	}
}
