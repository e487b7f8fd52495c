package proxy

import (
	"context"
	"sync"
)

// turns lets one Complete of an upload with the same list go to storage after the other: some storage fails both of two at once, or hides the upload
// while it puts the object together. Gateways beside this one are not known here: what they do is found out from the record. So is what became of another
// list, which does not wait.
type turns struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // by upload id and list; closed when its turn ends
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
