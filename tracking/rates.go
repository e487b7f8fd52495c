package tracking

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Rates holds each tenant to a number of requests per second, given to its constructor. A tenant that was quiet may send one
// second's worth at once. Safe for concurrent use.
type Rates interface {
	// Take counts one request of the tenant, and reports whether it is within the rate; one that is not counts for nothing.
	// ErrUnavailable.
	Take(ctx context.Context, tenant string) (within bool, err error)
}

// awayFor is how long a shared rate that did not answer is not asked again: each question may cost a request its timeout.
const awayFor = time.Second

// SharedRates asks Shared, which all gateways share, and goes by Local alone while that does not answer. So Local must be
// the stricter: several gateways allow it each.
type SharedRates struct {
	Shared, Local Rates
	Now           func() time.Time

	away atomic.Int64 // until then Shared is not asked; Unix nanoseconds
}

// Take is Rates'.
func (r *SharedRates) Take(ctx context.Context, tenant string) (bool, error) {
	if now := r.Now(); now.UnixNano() >= r.away.Load() {
		within, err := r.Shared.Take(ctx, tenant)
		if err == nil || !errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
			return within, err
		}
		r.away.Store(now.Add(awayFor).UnixNano())
	}
	return r.Local.Take(ctx, tenant)
}
