package proxy

import (
	"context"
	"sync"
)

// turns lets one Complete of an upload after the other go to storage. Some storage hides the upload while it puts the object together,
// and a second Complete would find neither. Gateways beside this one are not known here: what they do is found out from the record.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // by upload id; closed when its turn ends
}

// take waits for the turn of id, which lasts until end is called.
func (t *turns) take(ctx context.Context, id string) (end func(), err error) {
	for {
		t.mu.Lock()
		other := t.busy[id]
		if other == nil {
			mine := make(chan struct{})
			t.busy[id] = mine
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				delete(t.busy, id)
				t.mu.Unlock()
				close(mine)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
