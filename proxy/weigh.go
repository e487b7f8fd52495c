package proxy

import (
	"context"

	"partway/tracking"
)

// weighMost bounds the ledgers that are read per state and sweep: each is a question to the sessions.
const weighMost = 1000

// weighUploads tells the metrics how many bytes storage keeps in parts that no object has yet: what open and paused uploads cost. counted is how
// many there are of each; beyond weighMost, the rest is taken to be like the ones that end first. A ledger that is away leaves the last figure.
func (g *Gateway) weighUploads(ctx context.Context, counted map[tracking.State]int64) {
	for _, state := range []tracking.State{tracking.StateOpen, tracking.StatePaused} {
		weighed, bytes, err := g.weigh(ctx, state)
		if err != nil {
			g.Log.Debug("unfinished uploads not weighed", "state", state, "error", err)
			continue
		}
		if weighed > 0 && counted[state] > weighed {
			bytes *= float64(counted[state]) / float64(weighed)
		}
		g.metrics.uploadBytes.WithLabelValues(string(state)).Set(bytes)
	}
}

func (g *Gateway) weigh(ctx context.Context, state tracking.State) (weighed int64, bytes float64, err error) {
	q := tracking.DueQuery{State: state, Before: g.Now().AddDate(100, 0, 0), Limit: sweepPage}
	for weighed < weighMost {
		page, err := g.Store.DueUploads(ctx, q)
		if err != nil {
			return 0, 0, err
		}
		for i := range page {
			s, err := g.Sessions.Session(ctx, page[i].ID)
			if err != nil {
				return 0, 0, err
			}
			bytes += float64(progressOf(s.Parts).BytesLanded)
			weighed++
			q = q.After(&page[i])
		}
		if len(page) < q.Limit {
			break
		}
	}
	return weighed, bytes, nil
}
