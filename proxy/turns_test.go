package proxy

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestTurns(t *testing.T) {
	turns := turns{busy: map[string]chan struct{}{}}
	var all sync.WaitGroup
	inside := 0 // guarded by the turn alone: the race detector looks on
	for range 50 {
		all.Go(func() {
			end, err := turns.take(t.Context(), "a")
			if err != nil {
				t.Error(err)
				return
			}
			inside++
			end()
		})
	}
	all.Wait()
	if inside != 50 || len(turns.busy) != 0 {
		t.Errorf("%d had their turn, %d are kept", inside, len(turns.busy))
	}

	end, err := turns.take(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer end()
	other, err := turns.take(t.Context(), "b") // does not wait for a
	if err != nil {
		t.Fatal(err)
	}
	other()
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	if _, err := turns.take(ctx, "a"); !errors.Is(err, gone) {
		t.Errorf("waiting in vain: %v", err)
	}
}
