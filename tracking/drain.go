package tracking

import (
	"context"
	"errors"
	"time"
)

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second
	// catchUp is the least time between two batches while the spool drains into a trail that is back: it would never empty if
	// it filled as fast.
	catchUp = 50 * time.Millisecond
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

// append stores b in the trail, within Timeout.
func (w *Writer) append(b *Batch) error {
	ctx, cancel := context.WithTimeout(w.ctx, w.c.Timeout)
	defer cancel()
	return w.c.Trail.AppendBatch(ctx, b)
}

// drain is the goroutine that moves batches from the spool to the trail, oldest first and unchanged, until Close.
func (w *Writer) drain() {
	defer close(w.drained)
	var pause backoff
	for w.ctx.Err() == nil {
		if w.spool.len() == 0 {
			select {
			case <-w.wake:
			case <-w.ctx.Done():
			}
			continue
		}
		if err := w.drainFirst(); err != nil {
			w.draining.Store(false)
			if !errors.Is(err, ErrUnavailable) {
				w.c.Log.Error("spooled audit batch was not taken, trying again", "error", err)
			}
			select {
			case <-time.After(pause.next()):
			case <-w.ctx.Done():
			}
			continue
		}
		pause = backoff{}
		w.draining.Store(true)
		if w.spool.len() == 0 {
			w.draining.Store(false)
			w.c.Log.Info("audit spool has drained")
			signal(w.emptied)
		}
	}
}

func (w *Writer) drainFirst() error {
	b, err := w.spool.first()
	if err != nil || b == nil {
		return err
	}
	if err := w.append(b); err != nil {
		return err
	}
	return w.spool.removeFirst()
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
