package tracking

import (
	"context"
	"log/slog"
	"time"
)

// upkeep is how often a Keeper works.
const upkeep = time.Hour

// OperationDropEvents is what the event of dropping old ones is named.
const OperationDropEvents = "partway:DropEvents"

// Keeper is the regular work on the trail. Every gateway may have one: what one has done the others find done.
type Keeper struct {
	Auditor   *Auditor
	Writer    *Writer       // to which dropping is an event
	Retention time.Duration // how long events are kept; 0: for ever
	Log       *slog.Logger
}

// Run works at once and every hour, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(upkeep)
	defer tick.Stop()
	for {
		k.work(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (k *Keeper) work(ctx context.Context) {
	if err := k.Auditor.Repeat(ctx); err != nil && ctx.Err() == nil {
		k.Log.Warn("erasures could not be repeated, and will be", "error", err)
	}
	if k.Retention == 0 {
		return
	}
	// Whole days: a segment of the trail is what a writer wrote on one of them (UTC).
	before := k.Auditor.Now().UTC().Add(-k.Retention).Truncate(24 * time.Hour)
	dropped, err := k.Auditor.Expire(ctx, before)
	if dropped > 0 {
		k.Log.Info("old audit events dropped", "batches", dropped, "before", before)
		k.Writer.Note(Event{Operation: OperationDropEvents, Target: before.Format(time.RFC3339), Road: "none", Outcome: "ok", Status: 200, Count: int64(dropped)})
	}
	if err != nil && ctx.Err() == nil {
		k.Log.Warn("old audit events could not be dropped, and will be", "error", err)
	}
}
