package tracking

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What is personal: the subject of a token, object keys, copy sources, client addresses and user agents. What stays is who paid for it
// (tenant, token id), what was done to which bucket and upload, when, with what outcome, sizes and checksums. The tenant's name and
// the ids are pseudonyms: the token records say whose they are.
//
// Upload records of the tenant lose subject, key and the answer that a Complete is given again, once their upload has been over for
// retryLife: before, a client may need that answer.
const retryLife = 24 * time.Hour

// Erased counts what Erase has erased.
type Erased struct {
	Events  int `json:"events"`
	Uploads int `json:"uploads"`
}

// RecordErasure makes it durable that the tenant's events from before until are erased: from then on no gateway stores one as it was
// that has waited, and Erase may begin. A later one that is on record already stands.
func (a *Auditor) RecordErasure(ctx context.Context, tenant, tokenID string, until time.Time) error {
	e := &Erasure{Tenant: tenant, Until: until.UTC().Truncate(time.Millisecond), At: a.Now().UTC().Truncate(time.Millisecond), TokenID: tokenID, KeyVersion: a.KeyVersion}
	e.MAC = e.mac(a.Keys[a.KeyVersion])
	return a.Archive.PutErasure(ctx, e)
}

// uploadsCursor begins a cursor of the second half of Erase.
const uploadsCursor = "u."

// Erase erases what is stored of the tenant from before until, from behind cursor on: the events, then the upload records. ErrBadCursor.
func (a *Auditor) Erase(ctx context.Context, tenant string, until time.Time, cursor string) (done Erased, next string, err error) {
	started := a.Now()
	at, records := strings.CutPrefix(cursor, uploadsCursor)
	for {
		var n int
		if records {
			n, at, err = a.eraseUploads(ctx, tenant, until, at)
			done.Uploads += n
		} else {
			n, at, err = a.Archive.EraseEvents(ctx, tenant, until, at)
			done.Events += n
		}
		switch {
		case err != nil:
			return done, "", fmt.Errorf("erase: %w", err)
		case at == "" && records:
			return done, "", a.Archive.Scrub(ctx)
		case at == "":
			records = true
		}
		if a.Now().Sub(started) > partTime {
			if records {
				at = uploadsCursor + at
			}
			return done, at, nil
		}
	}
}

func (a *Auditor) eraseUploads(ctx context.Context, tenant string, until time.Time, cursor string) (erased int, next string, err error) {
	page, next, err := a.Uploads.ListUploads(ctx, UploadQuery{Tenant: tenant, States: []State{StateCompleted, StateAborted, StateSuperseded}, Cursor: cursor})
	if err != nil {
		return 0, "", err
	}
	over := a.Now().Add(-retryLife)
	for i := range page {
		u := &page[i]
		if !u.UpdatedAt.Before(until) || !u.UpdatedAt.Before(over) || u.Subject == "" && u.Key == "" && u.Completion == nil {
			continue
		}
		u.Subject, u.Key, u.Completion = "", "", nil
		switch err := a.Uploads.SwapUpload(ctx, u); {
		case errors.Is(err, ErrConflict) || errors.Is(err, ErrNotFound): // another gateway was at it
		case err != nil:
			return erased, "", err
		default:
			erased++
		}
	}
	return erased, next, nil
}

// repeatFor is how long after it was asked for an erasure is repeated: what was on its way then, and records that were too young, are
// found later.
const repeatFor = 3 * retryLife

// Repeat erases again what was asked for lately.
func (a *Auditor) Repeat(ctx context.Context) error {
	list, err := a.Archive.Erasures(ctx)
	if err != nil {
		return fmt.Errorf("erase again: %w", err)
	}
	sealed := erasedUntil(list, a.Keys)
	for _, e := range list {
		until, ours := sealed[e.Tenant]
		if !ours || e.At.Before(a.Now().Add(-repeatFor)) {
			continue
		}
		for cursor, more := "", true; more; more = cursor != "" {
			if _, cursor, err = a.Erase(ctx, e.Tenant, until, cursor); err != nil {
				return err
			}
		}
	}
	return nil
}
