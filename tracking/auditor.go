package tracking

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Auditor checks, exports, thins out and erases the trail, with the keys of its chain. Its methods work on a bounded part at a time and
// give a cursor for the next, so that a call ends in a few seconds however long the trail is. Safe for concurrent use, by several
// gateways too.
type Auditor struct {
	Archive    Archive
	Uploads    Uploads        // whose records lose their personal fields too
	Keys       map[int][]byte // chain keys by the version of their master key
	KeyVersion int            // of the active one
	Now        func() time.Time
}

const (
	chainPage = 200             // batches that are asked of the store at once
	partTime  = 5 * time.Second // that one call works before it hands back a cursor
)

// Verification is what a part of the trail was found to be.
type Verification struct {
	Counts
	Faults []*ChainError `json:"faults"` // the first of each writer
	Next   string        `json:"next_cursor"`
}

// verifyCursor is where a Verify goes on: in the store, and in the chain of the writer it was at.
type verifyCursor struct {
	Store string `json:"p"`
	Link  *link  `json:"l"`
}

// Erasures are those on record, by tenant.
func (a *Auditor) Erasures(ctx context.Context) (map[string]time.Time, error) {
	list, err := a.Archive.Erasures(ctx)
	if err != nil {
		return nil, err
	}
	return erasedUntil(list, a.Keys), nil
}

// Verify checks the trail from behind cursor on, writer by writer, limit batches at most (0: as many as go into the time). ErrBadCursor.
func (a *Auditor) Verify(ctx context.Context, cursor string, anchors map[string]Anchor, limit int) (*Verification, error) {
	var from verifyCursor
	if cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(cursor)
		if err != nil || json.Unmarshal(raw, &from) != nil || from.Store == "" || from.Link == nil {
			return nil, fmt.Errorf("verify: %w", ErrBadCursor)
		}
	}
	erasures, err := a.Erasures(ctx)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	w := walk{Checker: Checker{Keys: a.Keys, Erasures: erasures, Anchors: anchors}, at: from.Link}
	if w.at != nil {
		w.links = map[string]*link{w.at.Writer: w.at}
	}
	started := a.Now()
	for {
		size := chainPage
		if limit > 0 {
			size = min(size, limit-w.Batches)
		}
		page, next, err := a.Archive.Chain(ctx, from.Store, size)
		if err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
		for i := range page {
			w.step(&page[i])
		}
		from.Store = next
		if next == "" {
			w.finish()
			return &Verification{Counts: w.Counts, Faults: w.faults}, nil
		}
		if w.at != nil && (a.Now().Sub(started) > partTime || limit > 0 && w.Batches >= limit) {
			raw, err := json.Marshal(verifyCursor{next, w.at})
			if err != nil {
				return nil, fmt.Errorf("verify: %w", err)
			}
			return &Verification{Counts: w.Counts, Faults: w.faults, Next: base64.RawURLEncoding.EncodeToString(raw)}, nil
		}
	}
}

// walk is a Checker that meets one writer after the other, in their order, and remembers the one that it is at.
type walk struct {
	Checker
	at *link
}

func (w *walk) step(b *Batch) {
	// A batch that is not what was sealed may lie about its writer: it counts as one of the writer that it was found among.
	if w.at == nil || b.Writer != w.at.Writer && w.sealed(b) == nil {
		w.leave(b.Writer, false)
		w.at = w.linkOf(b.Writer)
	}
	w.add(w.at, b)
}

func (w *walk) finish() { w.leave("", true) }

// leave ends the writer that w is at. The anchored writers between it and the next have nothing left.
func (w *walk) leave(next string, last bool) {
	before := ""
	if w.at != nil {
		before = w.at.Writer
		w.end(w.at)
	}
	var gone []string
	for writer := range w.Anchors {
		if writer > before && (last || writer < next) {
			gone = append(gone, writer)
		}
	}
	w.missing(gone)
}

// Expire drops the batches from before the given time, and leaves of each writer the last of them as a stub. It counts the batches. Those
// that are not as they were sealed stay, for Verify to name.
func (a *Auditor) Expire(ctx context.Context, before time.Time) (dropped int, err error) {
	q, check := EventQuery{Until: before, Limit: chainPage}, Checker{Keys: a.Keys}
	for {
		page, next, err := a.Archive.Batches(ctx, q)
		if err != nil {
			return dropped, fmt.Errorf("drop old events: %w", err)
		}
		last := map[string]*Batch{}
		for i := range page {
			// Its own seal must vouch for its time: whoever can write to the store must not have a gateway drop what is new.
			if b := &page[i]; b.Cut == nil && check.sealed(b) == nil {
				dropped++
				if l := last[b.Writer]; l == nil || l.Seq < b.Seq {
					last[b.Writer] = b
				}
			}
		}
		for _, b := range last {
			if err := a.Archive.CutChain(ctx, stubOf(b, a.Now(), a.Keys[a.KeyVersion], a.KeyVersion)); err != nil {
				return dropped, fmt.Errorf("drop old events: %w", err)
			}
		}
		if next == "" {
			break
		}
		q.Cursor = next
	}
	if dropped == 0 {
		return 0, nil
	}
	return dropped, a.Archive.Scrub(ctx)
}
