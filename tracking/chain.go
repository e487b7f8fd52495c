package tracking

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"
)

// Fault is what a Checker finds wrong.
type Fault string

// The faults of a chain.
const (
	FaultEdited    Fault = "was edited"                                       // it is not what was sealed
	FaultMissing   Fault = "is missing"                                       // it is not there, though a later one is
	FaultReordered Fault = "is not in its place"                              // it is there, elsewhere or twice
	FaultErased    Fault = "was erased, and no record says that it should be" // its personal fields are gone
	FaultKey       Fault = "is sealed under a key that is not here"           //
	FaultFormat    Fault = "has a format that this version does not know"     //
)

// ChainError names what is not as it was sealed: an event, or with Event empty a batch.
type ChainError struct {
	Writer string `json:"writer"`
	Seq    int64  `json:"seq"`
	Event  string `json:"event,omitempty"` // its id
	Fault  Fault  `json:"fault"`
}

func (e *ChainError) Error() string {
	if e.Event != "" {
		return fmt.Sprintf("event %s %s", e.Event, e.Fault)
	}
	return fmt.Sprintf("batch %d of writer %s (events %s and on) %s", e.Seq, e.Writer, eventID(e.Writer, e.Seq, 0), e.Fault)
}

// Checker checks batches against their seals and against their neighbours. It is shown the batches of each writer in the order in
// which they are stored, from Seq 1 on; writers may be interleaved. It remembers one link per writer.
//
// What it cannot show: batches cut from a writer's end, a writer that is gone as a whole, and what the holder of the key rewrote.
type Checker struct {
	Keys   map[int][]byte       // chain keys by the version of their master key
	Erased map[string]time.Time // tenant -> the events before then may be erased

	links  map[string]*link
	writer []string // in the order of their first batch
}

// link is the end of a writer's chain so far.
type link struct {
	seq   int64
	mac   []byte
	fault *ChainError // the first
}

// Add takes the next batch.
func (c *Checker) Add(b *Batch) {
	l := c.links[b.Writer]
	if l == nil {
		if c.links == nil {
			c.links = map[string]*link{}
		}
		l = new(link)
		c.links[b.Writer] = l
		c.writer = append(c.writer, b.Writer)
	}
	found := c.check(l, b)
	switch {
	case l.fault == nil:
		l.fault = found
	case l.fault.Fault == FaultMissing && l.fault.Seq == b.Seq: // there it is
		l.fault = &ChainError{Writer: b.Writer, Seq: b.Seq, Fault: FaultReordered}
	}
}

// Faults are the first of each writer that has one.
func (c *Checker) Faults() []*ChainError {
	var all []*ChainError
	for _, writer := range c.writer {
		if fault := c.links[writer].fault; fault != nil {
			all = append(all, fault)
		}
	}
	return all
}

// check moves l on to b.
func (c *Checker) check(l *link, b *Batch) *ChainError {
	faulty := func(f Fault) *ChainError { return &ChainError{Writer: b.Writer, Seq: b.Seq, Fault: f} }
	key, known := c.Keys[b.KeyVersion]
	switch {
	case b.Format != batchFormat:
		return faulty(FaultFormat)
	case !known:
		return faulty(FaultKey)
	case !hmac.Equal(b.MAC, macOf(b, key)):
		return faulty(FaultEdited)
	}
	want, prev := l.seq+1, l.mac
	if b.Seq < want {
		return faulty(FaultReordered)
	}
	l.seq, l.mac = b.Seq, b.MAC
	switch {
	case b.Seq > want:
		return &ChainError{Writer: b.Writer, Seq: want, Fault: FaultMissing}
	case !bytes.Equal(b.Prev, prev):
		return faulty(FaultEdited)
	}
	return c.checkEvents(b)
}

// checkEvents holds b's events to its hashes, which its MAC has vouched for.
func (c *Checker) checkEvents(b *Batch) *ChainError {
	faulty := func(i int, f Fault) *ChainError {
		return &ChainError{Writer: b.Writer, Seq: b.Seq, Event: eventID(b.Writer, b.Seq, i), Fault: f}
	}
	var f fields
	for i := range max(len(b.Hashes)/sha256.Size, len(b.Events)) {
		id := eventID(b.Writer, b.Seq, i)
		if i >= len(b.Events) || b.Events[i].ID != id {
			switch {
			case slices.ContainsFunc(b.Events, func(e Event) bool { return e.ID == id }):
				return faulty(i, FaultReordered)
			case i < len(b.Events) && len(b.Events) >= len(b.Hashes)/sha256.Size:
				return faulty(i, FaultEdited) // in its place stands one of another name
			default:
				return faulty(i, FaultMissing)
			}
		}
		e := &b.Events[i]
		sum, whole := e.hash(&f)
		if (i+1)*sha256.Size > len(b.Hashes) || !whole || !bytes.Equal(sum[:], b.Hashes[i*sha256.Size:(i+1)*sha256.Size]) {
			return faulty(i, FaultEdited)
		}
		if e.Erased != nil && !e.Time.Before(c.Erased[e.Tenant]) {
			return faulty(i, FaultErased)
		}
	}
	return nil
}
