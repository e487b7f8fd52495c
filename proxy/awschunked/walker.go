package awschunked

import "io"

// Walker passes a body on as it is and checks its framing, decoded length and the name of its trailer on the way.
type Walker struct {
	parser
	src  io.Reader
	tail []byte // the end of the body, kept back until the source has ended
	err  error  // of every further Read, once tail is delivered
}

// NewWalker passes r on. o.Chunks must be nil: nothing is hashed, so no signature could be verified.
func NewWalker(r io.Reader, o Options) *Walker {
	return &Walker{parser: newParser(o), src: r}
}

func (w *Walker) Read(b []byte) (int, error) {
	for w.err == nil && len(b) > 0 {
		n, err := w.src.Read(b)
		if perr := w.push(b[:n]); perr != nil {
			w.err = perr
			break
		}
		if w.done() {
			n--
			w.keep(b[n], err)
		} else if err == io.EOF {
			w.err = w.ended()
		} else if err != nil {
			w.err = err
		}
		if n > 0 {
			return n, nil
		}
	}
	n := copy(b, w.tail)
	w.tail = w.tail[n:]
	if len(w.tail) > 0 {
		return n, nil
	}
	return n, w.err
}

// keep holds back the body's last byte, and what a client may put behind it, until the source ends.
func (w *Walker) keep(last byte, srcErr error) {
	tail := []byte{last}
	switch srcErr {
	case nil:
		tail, w.err = w.drain(w.src, tail)
	case io.EOF:
		w.err = w.ended()
	default:
		w.err = srcErr
	}
	if w.err == nil {
		w.tail, w.err = tail, io.EOF
	}
}
