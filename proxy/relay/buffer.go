package relay

import (
	"io"
	"sync"
	"sync/atomic"
)

// A body that is copied rather than spliced needs a buffer. Large ones save system calls, but a thousand of them would be 256 MiB: so only some
// are out at once, and whoever comes then gets a small one.
const (
	largeBuffer  = 256 << 10
	smallBuffer  = 32 << 10
	recordBuffer = 16<<10 + chunkFrame // what one read from TLS returns at most, and the frame of a chunk around it
	largeBuffers = 64
)

var (
	largePool  = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, largeBuffer)} }}
	smallPool  = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, smallBuffer)} }}
	recordPool = sync.Pool{New: func() any { return &buffer{bytes: make([]byte, recordBuffer)} }}
	largeOut   atomic.Int64
)

type buffer struct{ bytes []byte }

// lease is of the buffer that one body is copied through. One for TLS is held only while something is in it: a thousand clients that are waited for
// would hold a thousand.
type lease struct {
	buffer  *buffer // nil while none is held
	records bool    // what is read comes from TLS
	first   [1]byte
}

// newLease returns one that close must follow.
func newLease(records bool) *lease {
	l := &lease{records: records}
	if !records {
		l.buffer = takeBuffer(false)
	}
	return l
}

// read reads once, into the buffer but for so many bytes at its beginning and its end.
func (l *lease) read(src io.Reader, before, after int) (n int, err error) {
	var one int
	if l.buffer == nil {
		one, err = src.Read(l.first[:])
		l.buffer = takeBuffer(true)
		copy(l.buffer.bytes[before:], l.first[:one])
		if one == 0 || err != nil {
			return one, err
		}
	}
	n, err = src.Read(l.buffer.bytes[before+one : len(l.buffer.bytes)-after]) // the rest of the record, which is there if it has more than one byte
	return one + n, err
}

// emptied lets go of a buffer that need not be kept.
func (l *lease) emptied() {
	if l.records {
		l.close()
	}
}

func (l *lease) close() {
	if l.buffer != nil {
		l.buffer.giveBack()
		l.buffer = nil
	}
}

// takeBuffer returns one that giveBack must follow. records: what is read into it comes from TLS.
func takeBuffer(records bool) *buffer {
	if records {
		return recordPool.Get().(*buffer)
	}
	if largeOut.Add(1) > largeBuffers {
		largeOut.Add(-1)
		return smallPool.Get().(*buffer)
	}
	return largePool.Get().(*buffer)
}

func (b *buffer) giveBack() {
	switch len(b.bytes) {
	case recordBuffer:
		recordPool.Put(b)
	case smallBuffer:
		smallPool.Put(b)
	default:
		largeOut.Add(-1)
		largePool.Put(b)
	}
}
