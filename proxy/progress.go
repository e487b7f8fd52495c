package proxy

import (
	"context"
	"time"

	"partway/tracking"
)

// progress sums up an upload's ledger. Bytes are as declared; storage's own count comes with the Complete.
type progress struct {
	PartsLanded  int       `json:"parts_landed"`
	BytesLanded  int64     `json:"bytes_landed"`
	PartsGranted int       `json:"parts_granted"` // and not known to have landed
	BytesGranted int64     `json:"bytes_granted"`
	GrantedUntil time.Time `json:"granted_until,omitzero"` // the latest; zero: no grant is open
}

type uploadWithProgress struct {
	uploadStanding
	Progress *progress `json:"progress,omitempty"` // nil: it has ended, the ledger is away, or nobody asked for it
}

// withProgress adds what the ledger knows of uploads that are under way.
func (g *Gateway) withProgress(ctx context.Context, items []uploadStanding) []uploadWithProgress {
	out := make([]uploadWithProgress, len(items))
	for i, u := range items {
		out[i].uploadStanding = u
		if u.State.Terminal() {
			continue
		}
		if s, err := g.Sessions.Session(ctx, u.ID); err == nil {
			out[i].Progress = progressOf(s.Parts)
		}
	}
	return out
}

func progressOf(parts []tracking.Part) *progress {
	p := &progress{}
	for _, part := range parts {
		if part.Until.IsZero() || part.Landed != nil {
			p.PartsLanded++
			p.BytesLanded += max(part.Bytes, 0)
			continue
		}
		p.PartsGranted++
		p.BytesGranted += max(part.Bytes, 0)
		if part.Until.After(p.GrantedUntil) {
			p.GrantedUntil = part.Until
		}
	}
	return p
}
