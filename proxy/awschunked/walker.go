package awschunked

import "io"

// Walker passes a body on as it is and checks its framing, decoded length and the name of its trailer on the way.
type Walker struct {
	parser
	src   io.Reader
	last  byte  // the byte that came last, kept back until the next one or a right end comes
	holds bool  // there is a last byte
	err   error // of every further Read; io.EOF once last is delivered
}

// NewWalker passes r on. o.Chunks must be nil: nothing is hashed, so no signature could be verified.
func NewWalker(r io.Reader, o Options) *Walker {
	return &Walker{parser: newParser(o), src: r}
}

func (w *Walker) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	var spare [1]byte
	for w.err == nil {
		in := spare[:] // b[0] is for the byte that was kept back
		if len(b) > 1 {
			in = b[1:]
		}
		n, err := w.src.Read(in)
		if w.err = w.push(in[:n]); w.err != nil {
			break
		}
		if w.err = err; err == io.EOF {
			if w.err = w.ended(); w.err == nil {
				w.err = io.EOF
			}
		}
		if n = w.shift(b, in[:n]); n > 0 {
			return n, nil
		}
	}
	if w.err == io.EOF && w.holds { //nolint:errorlint // an error that wraps io.EOF is an error
		w.holds = false
		b[0] = w.last
		return 1, io.EOF
	}
	return 0, w.err
}

// shift puts the byte that was kept back in front of in, all but in's last byte into b, and keeps that back.
func (w *Walker) shift(b, in []byte) int {
	n := len(in)
	if n == 0 {
		return 0
	}
	last := in[n-1]
	if w.holds {
		b[0] = w.last // and in, unless b is of one byte, is behind it already
	} else {
		n = copy(b, in[:n-1])
	}
	w.last, w.holds = last, true
	return n
}
