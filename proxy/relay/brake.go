package relay

import (
	"net"
	"sync"
	"time"
)

// longAgo as a deadline ends a read or write that is under way.
var longAgo = time.Unix(1, 0)

// brake stops one transfer from outside, by deadlines in the past on the client's reads and storage's writes. Once it is applied the
// transfer cannot set later ones; once the transfer ended it can do no harm to what comes next on these connections.
type brake struct {
	client, storage net.Conn

	mu             sync.Mutex
	applied, ended bool
}

func (b *brake) apply() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended || b.applied {
		return
	}
	b.applied = true
	_ = b.client.SetReadDeadline(longAgo)
	_ = b.storage.SetWriteDeadline(longAgo)
}

func (b *brake) readUntil(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.applied {
		_ = b.client.SetReadDeadline(t)
	}
}

func (b *brake) writeUntil(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.applied {
		_ = b.storage.SetWriteDeadline(t)
	}
}

func (b *brake) isApplied() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.applied
}

// end takes the brake out of use.
func (b *brake) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
}
