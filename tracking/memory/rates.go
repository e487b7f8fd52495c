package memory

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"partway/tracking"
)

// Rates is a tracking.Rates of one process. Per tenant it keeps one time: when the requests so far would all have come, had
// they come at the rate (the generic cell rate algorithm, which is a token bucket).
type Rates struct {
	interval time.Duration // between two requests at the rate
	burst    time.Duration // how far the time may run ahead
	now      func() time.Time

	mu    sync.Mutex
	due   map[string]time.Time
	sweep int // tenants at which the idle ones are dropped
}

var _ tracking.Rates = (*Rates)(nil)

const firstSweep = 1024

// NewRates allows perSecond requests, 1 or more, by the clock now.
func NewRates(perSecond int, now func() time.Time) *Rates {
	interval := time.Second / time.Duration(perSecond)
	return &Rates{interval: interval, burst: time.Second - interval, now: now, due: map[string]time.Time{}, sweep: firstSweep}
}

// Take is tracking.Rates'.
func (r *Rates) Take(ctx context.Context, tenant string) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("take from the rate: %w: %w", tracking.ErrUnavailable, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	due := r.due[tenant]
	if due.Before(now) {
		due = now
	}
	if due.Sub(now) > r.burst {
		return false, nil
	}
	r.due[tenant] = due.Add(r.interval)
	if len(r.due) >= r.sweep {
		maps.DeleteFunc(r.due, func(_ string, due time.Time) bool { return !due.After(now) })
		r.sweep = max(firstSweep, 2*len(r.due))
	}
	return true, nil
}
