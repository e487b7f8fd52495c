package proxy

import (
	"context"
	"fmt"
)

// admit is what a proved request must pass before anything is done for it: it comes from where its token may be used, and its tenant is
// within its rate. Operators have no rate, so that whoever has to stop a tenant always can.
func (g *Gateway) admit(ctx context.Context, r *Request) error {
	if err := r.Identity.CheckAddress(r.Client); err != nil {
		return err
	}
	if g.Rates == nil || r.Identity.Operator {
		return nil
	}
	within, err := g.Rates.Take(ctx, r.Identity.Tenant)
	if err != nil {
		return fmt.Errorf("asking for the tenant's rate: %w", err)
	}
	if !within {
		r.overRate = true
		return errSlowDown
	}
	return nil
}
