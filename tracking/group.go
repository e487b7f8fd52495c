package tracking

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	batchEvents = 500
	// batchBytes leaves room for one more event under 1 MiB, of the 16 MiB that a document of MongoDB may have. That of a
	// DeleteObjects, with up to 1000 keys, may take 3 MiB more, the events of 1000 parts that one call signed 5 MiB.
	batchBytes = 1<<20 - 64<<10
	// eventBytes is about the size of an event without its strings.
	eventBytes = 400
	// longestString is what an event keeps of one of its strings, some of which a client may make as long as a head can be. So an
	// event fits into the room that batchBytes leaves, and an upload id into a key of bbolt (32 KiB). S3's longest key has 1 KiB.
	longestString = 3 << 10
)

// run is the writer's goroutine: it stores one group of events after the other until Close.
func (w *Writer) run() {
	defer close(w.ended)
	for {
		w.giveWay()
		g := w.gather()
		if len(g.entries) == 0 {
			return
		}
		w.store(g)
		if w.stuck != nil && !w.unstick() {
			return
		}
	}
}

// group is the events of one batch to be.
type group struct {
	entries []entry
	events  int
	waiting int // entries that a caller of Record waits for
	bytes   int
}

func (g *group) add(e entry) {
	for i := range e.events {
		g.bytes += clean(&e.events[i])
	}
	g.entries = append(g.entries, e)
	g.events += len(e.events)
	if e.done != nil {
		g.waiting++
	}
}

func (g *group) full() bool { return g.events >= batchEvents || g.bytes >= batchBytes }

func (g *group) release(err error) {
	for _, e := range g.entries {
		if e.done != nil {
			e.done <- err
		}
	}
}

// gather takes the events that wait now, and waits for as many callers as came together the last time, Window at most: a
// lone caller waits for nobody, a crowd shares one durable write. Notes alone, for which nobody waits, take the whole
// Window. Empty: Close was called and nothing is left.
func (w *Writer) gather() *group {
	g := new(group)
	if !w.next(g, nil) {
		return g
	}
	window := time.NewTimer(w.c.Window)
	defer window.Stop()
	for !g.full() && (w.ready(g) || (g.waiting == 0 || g.waiting < w.company) && w.next(g, window.C)) {
	}
	w.company = g.waiting
	return g
}

// next waits for one event. It reports false when enough fires first, or when Close was called and no event is there.
func (w *Writer) next(g *group, enough <-chan time.Time) bool {
	select {
	case e := <-w.writes:
		g.add(e)
	case e := <-w.notes:
		g.add(e)
	case <-enough:
		return false
	case <-w.closing:
		return w.ready(g)
	}
	return true
}

// ready takes one event that is there already.
func (w *Writer) ready(g *group) bool {
	select {
	case e := <-w.writes:
		g.add(e)
	case e := <-w.notes:
		g.add(e)
	default:
		return false
	}
	return true
}

// store seals g's events, stores the batch and tells the callers. If it can be stored nowhere it is w.stuck.
func (w *Writer) store(g *group) {
	b := w.batch(g)
	seal(b, w.c.ChainKey)
	w.prev = b.MAC
	if err := w.put(b, w.append); err != nil {
		w.stuck = b
		w.c.Log.Error("audit events can be stored nowhere; requests are refused until they can", "error", err)
		g.release(fmt.Errorf("record event: %w: %w", ErrUnavailable, err))
		return
	}
	w.queued.Add(-int64(g.events))
	g.release(nil)
}

func (w *Writer) batch(g *group) *Batch {
	// Milliseconds are what every store keeps; finer times would come back as others and break the MAC.
	now := w.c.Now().UTC().Truncate(time.Millisecond)
	if now.Before(w.last) {
		now = w.last
	}
	w.last = now
	w.seq++
	b := &Batch{Writer: w.id, Seq: w.seq, Time: now, KeyVersion: w.c.KeyVersion, Prev: w.prev, Events: make([]Event, 0, g.events)}
	for _, entry := range g.entries {
		b.Events = append(b.Events, entry.events...)
	}
	for i := range b.Events {
		e := &b.Events[i]
		e.ID, e.Time, e.Gateway, e.Writer, e.Seq = eventID(w.id, w.seq, i), now, w.c.Gateway, w.id, w.seq
	}
	return b
}

// unstick stores the stuck batch, trying again with growing pauses; callers of Record are refused meanwhile, notes stay in
// their queue. It reports false when Close was called and the last try failed too.
func (w *Writer) unstick() bool {
	var pause backoff
	for {
		refusal := fmt.Errorf("record event: %w: earlier events wait to be stored", ErrUnavailable)
		closing := w.refuse(refusal, pause.next())
		err := w.put(w.stuck, w.appendLate)
		if err == nil {
			w.queued.Add(-int64(len(w.stuck.Events)))
			w.stuck = nil
			w.c.Log.Info("audit events are stored again")
			return true
		}
		if closing {
			w.lost = fmt.Errorf("%d audit events lost: %w", len(w.stuck.Events)+len(w.notes), err)
			return false
		}
	}
}

// refuse answers callers of Record with err for the given time. It reports whether Close was called.
func (w *Writer) refuse(err error, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case e := <-w.writes:
			w.queued.Add(-int64(len(e.events)))
			e.done <- err
		case <-timer.C:
			return false
		case <-w.closing:
			return true
		}
	}
}

// put stores b in the trail or, if that fails or older batches wait there, in the spool. Any failure of the trail counts: an
// audit trail that refuses a batch must not lose it.
func (w *Writer) put(b *Batch, store func(...*Batch) error) error {
	var away error
	if w.spool.len() == 0 {
		if away = store(b); away == nil {
			return nil
		}
	}
	if w.spool == nil {
		return away
	}
	if err := w.spool.append(b); err != nil {
		return errors.Join(away, err)
	}
	if away != nil {
		w.c.Log.Warn("audit trail is away, batches wait in the spool", "error", away)
	}
	signal(w.wake)
	return nil
}

// clean makes e's strings valid UTF-8, which clients' headers need not be, and cuts long ones: a store that refused one would
// hold up all behind it, and one that repaired it would break the MAC. It returns e's size, about.
func clean(e *Event) int {
	size := eventBytes
	for _, s := range []*string{
		&e.Tenant, &e.Subject, &e.TokenID, &e.RequestID, &e.Operation, &e.Bucket, &e.Key, &e.Target, &e.UploadID, &e.ETag, &e.Checksum,
		&e.Road, &e.Reason, &e.Outcome, &e.ClientAddress, &e.UserAgent,
	} {
		*s = cut(strings.ToValidUTF8(*s, "\ufffd"))
		size += len(*s)
	}
	for i, s := range e.Keys {
		e.Keys[i] = cut(strings.ToValidUTF8(s, "\ufffd"))
		size += len(e.Keys[i])
	}
	return size
}

// cut marks what it shortens with an ellipsis.
func cut(s string) string {
	const ellipsis = "\u2026"
	if len(s) <= longestString {
		return s
	}
	return strings.ToValidUTF8(s[:longestString-len(ellipsis)], "") + ellipsis // without the half of a character
}
