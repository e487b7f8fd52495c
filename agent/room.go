package agent

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// room bounds the bytes that are kept somewhere at once. Who finds none waits, in turn.
type room struct {
	bytes int64
	free  *semaphore.Weighted
}

func newRoom(bytes int64) *room { return &room{bytes, semaphore.NewWeighted(bytes)} }

// take waits for room until ctx ends. What is larger than all of it has it to itself.
func (r *room) take(ctx context.Context, bytes int64) (release func(), err error) {
	bytes = min(bytes, r.bytes)
	if err := r.free.Acquire(ctx, bytes); err != nil {
		return func() {}, fmt.Errorf("%w: waiting for room: %w", errBroke, err)
	}
	return func() { r.free.Release(bytes) }, nil
}
