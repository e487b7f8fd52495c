package relay

import (
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
