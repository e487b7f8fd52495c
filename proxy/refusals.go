package proxy

import (
	"context"
	"sync"
	"time"

	"partway/tracking"
)

const (
	refusalsWindow = time.Minute
	refusalsKinds  = 1000 // distinct (code, address, tenant) per window; more are counted under address "other"
)

// refusals counts what was refused before anyone was known, or because a tenant is over its rate, so that a flood of such requests costs
// the audit trail a few events a minute and not one durable write each.
type refusals struct {
	mu     sync.Mutex
	counts map[refusalKind]int64
}

type refusalKind struct {
	code, address string
	tenant        string // "" before authentication
	status        int
}

func newRefusals() *refusals { return &refusals{counts: map[refusalKind]int64{}} }

func (f *refusals) add(e tracking.Event) {
	kind := refusalKind{e.Outcome, e.ClientAddress, e.Tenant, e.Status}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.counts[kind]; !known && len(f.counts) >= refusalsKinds {
		kind.address = "other"
	}
	f.counts[kind]++
}

// run writes one event per kind and window, the last ones when ctx ends.
func (f *refusals) run(ctx context.Context, w *tracking.Writer) {
	tick := time.NewTicker(refusalsWindow)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.flush(w)
		case <-ctx.Done():
			f.flush(w)
			return
		}
	}
}

func (f *refusals) flush(w *tracking.Writer) {
	f.mu.Lock()
	counts := f.counts
	f.counts = map[refusalKind]int64{}
	f.mu.Unlock()
	for kind, n := range counts {
		operation := opRefusedUnproved
		if kind.tenant != "" {
			operation = opRefusedOverRate
		}
		w.Note(tracking.Event{Operation: operation, Tenant: kind.tenant, Road: string(RoadNone), Outcome: kind.code, Status: kind.status,
			ClientAddress: kind.address, Count: n})
	}
}
