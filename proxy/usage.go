package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"partway/tracking"
)

// usage is what a tenant uploaded in the period that now lies in.
type usage struct {
	Tenant   string    `json:"tenant"`
	Period   string    `json:"period"`
	EndsAt   time.Time `json:"ends_at"`
	Bytes    int64     `json:"bytes"`
	Pending  int64     `json:"pending_bytes"`      // of them, whose outcome is not recorded yet
	MaxBytes int64     `json:"max_bytes,omitzero"` // limits.tenant_bytes; a token may have another
}

func (g *Gateway) apiUsage(ctx context.Context, r *Request, _ string) (*Response, error) {
	tenant, err := tenantOf(r)
	if err != nil {
		return nil, err
	}
	if tenant == "" {
		return nil, errInvalidArgument.saying("Whose usage? Give a tenant.")
	}
	period, ends := g.Quota.period(g.Now())
	out := usage{Tenant: tenant, Period: period, EndsAt: ends, MaxBytes: g.Quota.Bytes}
	total, err := g.Store.Spending(ctx, tenant, period)
	if errors.Is(err, tracking.ErrNotFound) {
		total, err = &tracking.Spending{}, nil
	}
	if err != nil {
		return nil, err
	}
	out.Bytes = total.Bytes
	for _, p := range total.Pending {
		out.Pending += p.Bytes
	}
	return jsonReply(http.StatusOK, out), nil
}
