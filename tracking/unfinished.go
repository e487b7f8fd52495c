package tracking

import (
	"context"
	"time"
)

// UnfinishedStates are those that an upload can still leave, each with its own time at which the sweep looks at it; see Upload.Due.
var UnfinishedStates = []State{StateOpen, StatePaused, StateCompleting, StateAborting, StateUnknown}

// Due is the time that orders unfinished uploads for the sweep: the end of its life for one that waits for its client, the last move of
// one that something was about to happen to.
func (u *Upload) Due() time.Time {
	if u.State.Waiting() {
		return u.ExpiresAt
	}
	return u.UpdatedAt
}

// Waiting reports whether the next move is a client's.
func (s State) Waiting() bool { return s == StateOpen || s == StatePaused }

// DueQuery selects uploads of one unfinished state whose Due lies before Before, by (Due, Record). Intents are not among them.
type DueQuery struct {
	State       State
	Before      time.Time
	AfterTime   time.Time // start behind (AfterTime, AfterRecord) if AfterRecord is not empty
	AfterRecord string
	Limit       int // 1..1000
}

// After is q from behind u.
func (q DueQuery) After(u *Upload) DueQuery {
	q.AfterTime, q.AfterRecord = u.Due(), u.Record
	return q
}

// IntentQuery selects records without an ID that were created before Before, by (CreatedAt, Record).
type IntentQuery struct {
	Before      time.Time
	AfterTime   time.Time // start behind (AfterTime, AfterRecord) if AfterRecord is not empty
	AfterRecord string
	Limit       int // 1..1000
}

// After is q from behind u.
func (q IntentQuery) After(u *Upload) IntentQuery {
	q.AfterTime, q.AfterRecord = u.CreatedAt, u.Record
	return q
}

// Unfinished is what the sweep asks for. Safe for concurrent use.
type Unfinished interface {
	// DueUploads returns up to q.Limit uploads by (Due, Record).
	DueUploads(ctx context.Context, q DueQuery) ([]Upload, error)
	// Intents returns up to q.Limit intents by (CreatedAt, Record).
	Intents(ctx context.Context, q IntentQuery) ([]Upload, error)
	// NewestIntent returns the intent of this very key that was created last (by CreatedAt, then Record). ErrNotFound if it has none.
	NewestIntent(ctx context.Context, bucket, key string) (*Upload, error)
	// CountUnfinished counts the uploads of each unfinished state, intents not among them. Its cost grows with what is unfinished and
	// not with what was ever stored.
	CountUnfinished(ctx context.Context) (map[State]int64, error)
}
