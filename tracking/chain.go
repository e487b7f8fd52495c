package tracking

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Fault is what a Checker finds wrong.
type Fault string

// The faults of a chain.
const (
	FaultEdited    Fault = "was edited"                                   // it is not what was sealed
	FaultMissing   Fault = "is missing"                                   // it is not there, though a later one is, or was anchored
	FaultReordered Fault = "is not in its place"                          // it is there, elsewhere or twice
	FaultErased    Fault = "was erased, and no record says that it may"   // its personal fields are gone
	FaultAnchored  Fault = "is not the one that was anchored"             // who did that had the key
	FaultKey       Fault = "is sealed under a key that is not here"       //
	FaultFormat    Fault = "has a format that this version does not know" //
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
	return fmt.Sprintf("batch %d of writer %s (event %s and those beside it) %s", e.Seq, e.Writer, eventID(e.Writer, e.Seq, 0), e.Fault)
}

// Anchor is the end of a writer's chain at some time. Kept where who can write to the trail cannot, it proves that nothing up to it
// was cut off or rewritten since.
type Anchor struct {
	Writer string    `json:"writer"`
	Seq    int64     `json:"seq"`
	MAC    []byte    `json:"mac"`
	Time   time.Time `json:"time"` // of the batch
}

// Checker checks batches against their seals and against their neighbours. It is shown the batches of each writer in the order in
// which they are stored, from Seq 1 or a cut on; writers may be interleaved. It remembers one link per writer.
//
// What it cannot show: batches cut from a writer's end behind the last anchor, a writer that is gone as a whole and was never
// anchored, and what the holder of the key rewrote behind the last anchor.
type Checker struct {
	Keys     map[int][]byte       // chain keys by the version of their master key
	Erasures map[string]time.Time // tenant -> the events before then may be erased
	Anchors  map[string]Anchor    // the last of each writer

	// Of an export, which may be a part of the trail.
	Started bool // a chain may begin anywhere
	Sparse  bool // batches, and events in them, may be left out: each is checked by itself

	Counts
	links   map[string]*link
	writers []string // in the order of their first batch
	faults  []*ChainError
}

// Counts of what was checked.
type Counts struct {
	Writers  int       `json:"writers"`
	Batches  int       `json:"batches"`
	Events   int       `json:"events"`
	Erased   int       `json:"erased"`   // of the events
	Cut      int       `json:"cut"`      // writers whose older batches retention has dropped
	Anchored int       `json:"anchored"` // writers
	Behind   int       `json:"behind"`   // batches of which no anchor tells: all later ones of a writer
	First    time.Time `json:"first,omitzero"`
	Last     time.Time `json:"last,omitzero"`
}

// Plus adds the counts of another part.
func (c *Counts) Plus(d Counts) {
	c.Writers, c.Batches, c.Events, c.Erased = c.Writers+d.Writers, c.Batches+d.Batches, c.Events+d.Events, c.Erased+d.Erased
	c.Cut, c.Anchored, c.Behind = c.Cut+d.Cut, c.Anchored+d.Anchored, c.Behind+d.Behind
	c.span(d.First)
	c.span(d.Last)
}

func (c *Counts) span(t time.Time) {
	if t.IsZero() {
		return
	}
	if c.First.IsZero() || t.Before(c.First) {
		c.First = t
	}
	if t.After(c.Last) {
		c.Last = t
	}
}

// link is the end of a writer's chain so far.
type link struct {
	Writer   string      `json:"w"`
	Seq      int64       `json:"s"`
	MAC      []byte      `json:"m"`
	Fault    *ChainError `json:"f,omitempty"` // the first behind the last cut
	Cut      bool        `json:"c,omitempty"`
	Anchored bool        `json:"a,omitempty"` // its anchor was met
}

// Add takes the next batch.
func (c *Checker) Add(b *Batch) { c.add(c.linkOf(b.Writer), b) }

func (c *Checker) linkOf(writer string) *link {
	l := c.links[writer]
	if l == nil {
		if c.links == nil {
			c.links = map[string]*link{}
		}
		l = &link{Writer: writer}
		c.links[writer] = l
		c.writers = append(c.writers, writer)
		c.Writers++
	}
	return l
}

func (c *Checker) add(l *link, b *Batch) {
	c.Batches++
	c.Events += len(b.Events)
	c.span(b.Time)
	fault := c.sealed(b)
	if fault == nil {
		fault = c.follow(l, b)
	}
	switch {
	case l.Fault == nil:
		l.Fault = fault
	case l.Fault.Fault == FaultMissing && l.Fault.Seq == b.Seq: // there it is
		l.Fault = &ChainError{Writer: b.Writer, Seq: b.Seq, Fault: FaultReordered}
	}
}

// sealed tells whether b is what was sealed, by itself and apart from its events.
func (c *Checker) sealed(b *Batch) *ChainError {
	key, known := c.Keys[b.KeyVersion]
	if b.Cut != nil {
		key, known = c.Keys[b.Cut.KeyVersion]
	}
	switch {
	case b.Format != batchFormat:
		return batchFault(b, FaultFormat)
	case !known:
		return batchFault(b, FaultKey)
	case b.Cut != nil:
		if len(b.Events) == 0 && hmac.Equal(b.Cut.MAC, b.cutMAC(key)) {
			return nil
		}
	case hmac.Equal(b.MAC, macOf(b, key)):
		return nil
	}
	return batchFault(b, FaultEdited)
}

func batchFault(b *Batch, f Fault) *ChainError {
	return &ChainError{Writer: b.Writer, Seq: b.Seq, Fault: f}
}

// follow moves l on to b, whose seal is whole.
func (c *Checker) follow(l *link, b *Batch) *ChainError {
	prev := *l
	if b.Seq <= prev.Seq {
		return batchFault(b, FaultReordered)
	}
	l.Seq, l.MAC = b.Seq, b.MAC
	anchor, anchored := c.Anchors[b.Writer]
	wrong := anchored && b.Seq == anchor.Seq && !hmac.Equal(b.MAC, anchor.MAC)
	if anchored && b.Seq >= anchor.Seq && (b.Seq == anchor.Seq || b.Cut != nil) {
		l.Anchored = true
	}
	if !anchored || b.Seq > anchor.Seq {
		c.Behind++
	}
	switch {
	case b.Cut != nil: // what may lie before is on its way out
		l.Fault = nil
		if !l.Cut {
			c.Cut++
		}
		l.Cut = true
		if wrong {
			return batchFault(b, FaultAnchored)
		}
		return nil
	case b.Seq != prev.Seq+1 && !c.Sparse && (prev.Seq != 0 || !c.Started):
		return &ChainError{Writer: b.Writer, Seq: prev.Seq + 1, Fault: FaultMissing}
	case b.Seq == prev.Seq+1 && !bytes.Equal(b.Prev, prev.MAC):
		return batchFault(b, FaultEdited)
	case wrong:
		return batchFault(b, FaultAnchored)
	}
	return c.checkEvents(b)
}

// checkEvents holds b's events to its hashes, which its MAC has vouched for.
func (c *Checker) checkEvents(b *Batch) *ChainError {
	var f fields
	hashes, next := len(b.Hashes)/sha256.Size, 0
	faulty := func(i int, f Fault) *ChainError {
		return &ChainError{Writer: b.Writer, Seq: b.Seq, Event: eventID(b.Writer, b.Seq, i), Fault: f}
	}
	for i := range hashes {
		id := eventID(b.Writer, b.Seq, i)
		if next == len(b.Events) || b.Events[next].ID != id {
			switch {
			case slices.ContainsFunc(b.Events, func(e Event) bool { return e.ID == id }):
				return faulty(i, FaultReordered)
			case c.Sparse:
				continue
			case next < len(b.Events) && len(b.Events) >= hashes:
				return faulty(i, FaultEdited) // in its place stands one of another name
			}
			return faulty(i, FaultMissing)
		}
		e := &b.Events[next]
		next++
		sum, whole := e.hash(&f)
		if !whole || !bytes.Equal(sum[:], b.Hashes[i*sha256.Size:(i+1)*sha256.Size]) {
			return faulty(i, FaultEdited)
		}
		if e.Erased != nil {
			if c.Erased++; !e.Time.Before(c.Erasures[e.Tenant]) {
				return faulty(i, FaultErased)
			}
		}
	}
	if next < len(b.Events) { // more than were sealed
		id := b.Events[next].ID
		if slices.ContainsFunc(b.Events[:next], func(e Event) bool { return e.ID == id }) {
			return &ChainError{Writer: b.Writer, Seq: b.Seq, Event: id, Fault: FaultReordered}
		}
		return &ChainError{Writer: b.Writer, Seq: b.Seq, Event: id, Fault: FaultEdited}
	}
	return nil
}

// end is the end of what there is of a writer: only now is it known whether a cut follows a fault, and that an anchored batch is not there.
func (c *Checker) end(l *link) {
	if l.Fault == nil && !l.Anchored && !c.Sparse {
		if anchor, anchored := c.Anchors[l.Writer]; anchored && anchor.Seq > l.Seq {
			l.Fault = &ChainError{Writer: l.Writer, Seq: l.Seq + 1, Fault: FaultMissing}
		}
	}
	if l.Anchored {
		c.Anchored++
	}
	if l.Fault != nil {
		c.faults = append(c.faults, l.Fault)
	}
	delete(c.links, l.Writer)
}

// End returns the first fault of each writer that has one, at the end of all batches. all says that no writer was left out: then those that
// were anchored and not seen are missing.
func (c *Checker) End(all bool) []*ChainError {
	for _, writer := range c.writers {
		if l := c.links[writer]; l != nil {
			c.end(l)
		}
	}
	if all {
		c.missing(slices.DeleteFunc(slices.Collect(maps.Keys(c.Anchors)), func(w string) bool { return slices.Contains(c.writers, w) }))
	}
	return c.faults
}

// missing are writers of which there is nothing, though they were anchored.
func (c *Checker) missing(writers []string) {
	slices.Sort(writers)
	for _, writer := range writers {
		c.faults = append(c.faults, &ChainError{Writer: writer, Seq: 1, Fault: FaultMissing})
	}
}

// eventID names an event by its place.
func eventID(writer string, seq int64, index int) string {
	id := make([]byte, 0, len(writer)+24)
	id = append(append(id, writer...), '-')
	id = append(strconv.AppendInt(id, seq, 10), '-')
	return string(strconv.AppendInt(id, int64(index), 10))
}
