package tracking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
	// catchUp is the least time between two batches while the spool drains into a trail that is back: it would never empty if
	// it filled as fast.
	catchUp = 50 * time.Millisecond
	// stride is how many batches move at once, when they go well, and strideBytes how much: after an hour's outage there are hundreds of
	// thousands, and one by one each would wait for the store's answer and the disk.
	stride      = 64
	strideBytes = 1 << 20
	// complainEvery is how often the log hears of a batch that is still not taken.
	complainEvery = time.Minute
)

// backoff is the pauses between tries.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(firstPause, 2*b.last), longestPause)
	return b.last
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// append stores batches in the trail, within Timeout.
func (w *Writer) append(batches ...*Batch) error {
	ctx, cancel := context.WithTimeout(w.ctx, w.c.Timeout)
	defer cancel()
	err := w.c.Trail.AppendBatch(ctx, batches...)
	if err == nil && w.anchored != nil {
		for _, b := range batches {
			w.anchors.stored(b)
		}
	}
	return err
}

// appendLate stores batches that have waited: what was to be erased meanwhile is erased first. Their seals do not change.
func (w *Writer) appendLate(batches ...*Batch) error {
	if w.c.Erasures != nil {
		ctx, cancel := context.WithTimeout(w.ctx, w.c.Timeout)
		until, err := w.c.Erasures(ctx)
		cancel()
		if err != nil {
			return fmt.Errorf("read what is to be erased: %w", err)
		}
		for _, b := range batches {
			b.Erase(until)
		}
	}
	return w.append(batches...)
}

// stall is the time since when the spool's oldest batch has not been taken.
type stall struct{ since, complaint time.Time }

// complain tells the log of a refusal at once and every minute, of a trail that is away from the first minute on.
func (w *Writer) complain(s *stall, err error) {
	now := time.Now()
	if s.since.IsZero() {
		s.since, s.complaint = now, now
		if errors.Is(err, ErrUnavailable) { // put has warned, and it may pass
			s.complaint = now.Add(complainEvery)
		}
	}
	if now.Before(s.complaint) {
		return
	}
	s.complaint = now.Add(complainEvery)
	w.c.Log.Error("audit trail does not take the oldest batch of the spool; all behind it wait, and a full spool refuses requests",
		"error", err, "batches", w.spool.len(), "for", now.Sub(s.since).Round(time.Second))
}

// drain is the goroutine that moves batches from the spool to the trail, oldest first and unchanged, until Close.
func (w *Writer) drain() {
	defer close(w.drained)
	var pause backoff
	var stalled stall
	batches := 1
	for w.ctx.Err() == nil {
		if w.spool.len() == 0 {
			select {
			case <-w.wake:
			case <-w.ctx.Done():
			}
			continue
		}
		if err := w.drainFirst(batches); err != nil {
			batches = 1 // so that one which is not taken holds up none before it
			w.draining.Store(false)
			w.complain(&stalled, err)
			select {
			case <-time.After(pause.next()):
			case <-w.ctx.Done():
			}
			continue
		}
		batches = min(2*batches, stride)
		pause, stalled = backoff{}, stall{}
		w.draining.Store(true)
		if w.spool.len() == 0 {
			w.draining.Store(false)
			w.c.Log.Info("audit spool has drained")
			signal(w.emptied)
			if err := w.spool.scrub(w.ctx); err != nil && w.ctx.Err() == nil {
				w.c.Log.Warn("what the audit spool held may still be read in its file", "error", err)
			}
		}
	}
}

// drainFirst moves the oldest batches, n at most.
func (w *Writer) drainFirst(n int) error {
	batches, err := w.spool.first(n, strideBytes)
	if err != nil || len(batches) == 0 {
		return err
	}
	if err := w.appendLate(batches...); err != nil {
		return fmt.Errorf("store batch %d of writer %s and %d behind it: %w", batches[0].Seq, batches[0].Writer, len(batches)-1, err)
	}
	return w.spool.removeFirst(len(batches))
}

// giveWay slows this writer down while the drainer catches up.
func (w *Writer) giveWay() {
	if !w.draining.Load() {
		return
	}
	turn := time.NewTimer(catchUp)
	defer turn.Stop()
	select {
	case <-turn.C:
	case <-w.emptied:
	case <-w.closing:
	}
}
