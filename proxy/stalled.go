package proxy

import (
	"context"
	"time"

	"partway/tracking"
)

// quietAfter: an upload is stalled when it is under way and the audit trail has had nothing of it for so long. No grant lives longer, and whatever is
// asked of an upload is in the trail, by whichever gateway, so no cache need be believed. Looking at its record asks nothing of an upload.
const quietAfter = 15 * time.Minute

// mostExamined bounds what a page costs where few records fit: it then ends early, with the cursor from which the next goes on.
const mostExamined = 1000

var underWay = map[tracking.State]bool{tracking.StateOpen: true, tracking.StatePaused: true, tracking.StateCompleting: true}

func (g *Gateway) stalled(ctx context.Context, u *tracking.Upload) (bool, error) {
	since := g.Now().Add(-quietAfter)
	if !underWay[u.State] || u.UpdatedAt.After(since) {
		return false, nil
	}
	events, _, err := g.Store.Events(ctx, tracking.EventQuery{UploadID: u.ID, Since: since, Limit: 1})
	return len(events) == 0, err
}

// uploadStanding is a record and whether it is stalled.
type uploadStanding struct {
	tracking.Upload
	Stalled bool `json:"stalled"`
}

// standings is a page of the uploads of q, of those alone that are stalled, or are not, if only says so.
func (g *Gateway) standings(ctx context.Context, q tracking.UploadQuery, only *bool) (kept []uploadStanding, next string, err error) {
	limit := q.Limit
	if limit == 0 {
		limit = 100 // the store's own default
	}
	for examined := 0; ; {
		q.Limit = limit - len(kept)
		items, next, err := g.Store.ListUploads(ctx, q)
		if err != nil {
			return nil, "", err
		}
		for _, u := range items {
			stalled, err := g.stalled(ctx, &u)
			if err != nil {
				return nil, "", err
			}
			if only == nil || stalled == *only {
				kept = append(kept, uploadStanding{u, stalled})
			}
		}
		q.Cursor, examined = next, examined+q.Limit
		if next == "" || 2*len(kept) > limit || examined >= mostExamined { // the last few would be looked for a few records at a time
			return kept, next, nil
		}
	}
}
