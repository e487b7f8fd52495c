package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"partway/auth"
	"partway/proxy/relay"
	"partway/proxy/storage"
	"partway/tracking"
)

// A tenant's total of a period is tracking.Spending's; see there what happens when a process ends halfway. Here is who is charged, when:
//
//	CompleteMultipartUpload   the parts that it names, before the record moves to completing; settled when the record has an end
//	PutObject, relayed        its length, before the first byte moves; settled or refunded with storage's answer
//	PutObject, redirected     its length, when it is granted
//	PutObject, signed         likewise
//	CopyObject                its source's length, before storage is asked
//
// Whose token asks pays: an operator's Complete of a tenant's upload costs nobody. Create and UploadPart charge nothing and refuse
// what no Complete could take, by what the gateway knew a moment ago (spent), so that storage is not filled in vain.

// Quota is what one tenant may upload in a period.
type Quota struct {
	Bytes int64 // 0: no limit, but where a token has its own
	Daily bool  // a period is a day; else a month
}

// period is the one that now lies in, and the first moment behind it.
func (q Quota) period(now time.Time) (name string, ends time.Time) {
	now = now.UTC()
	if q.Daily {
		return now.Format(time.DateOnly), time.Date(now.Year(), now.Month(), now.Day()+1, 0, 0, 0, 0, time.UTC)
	}
	return now.Format("2006-01"), time.Date(now.Year(), now.Month()+1, 1, 0, 0, 0, 0, time.UTC)
}

const (
	tidyAfter    = time.Minute    // how old a pending charge of an upload is before it is looked into: most end within seconds
	putMayTake   = 24 * time.Hour // after which a pending charge without a record counts for good
	pendingLimit = 64             // charges pending at once, past which old ones are looked into without need
	tidyAtOnce   = 16             // so many are looked into at once
	lookAgain    = 50 * time.Millisecond
)

// tenantLimit is how much r's tenant may upload in a period; 0: no limit.
func (g *Gateway) tenantLimit(r *Request) int64 {
	switch {
	case r.Identity.Operator:
		return 0
	case r.Scope != nil && r.Scope.MaxTenantBytes > 0:
		return r.Scope.MaxTenantBytes
	}
	return g.Quota.Bytes
}

// charge enters bytes into the total of r's tenant; nil if that has no limit. upload is the sealed id of the upload that they belong to, "" for
// a body in one PUT. Whoever gets a charge ends it. ErrConflict: the record is about to change; read it again.
func (g *Gateway) charge(ctx context.Context, r *Request, upload string, bytes int64) (*tracking.Charge, error) {
	limit := g.tenantLimit(r)
	if limit == 0 {
		return nil, nil
	}
	now := g.Now().UTC().Truncate(time.Millisecond)
	period, ends := g.Quota.period(now)
	c := &tracking.Charge{Tenant: r.Identity.Tenant, Period: period, ID: rand.Text()}
	p := tracking.Pending{Upload: upload, Bytes: bytes, At: now}
	total, err := g.Store.Charge(ctx, *c, p, limit)
	if errors.Is(err, tracking.ErrOverLimit) && g.tidy(ctx, total) {
		total, err = g.Store.Charge(ctx, *c, p, limit)
	}
	switch {
	case errors.Is(err, tracking.ErrOverLimit) && inFlight(total, upload):
		select { // the same Complete is charged elsewhere, and its record about to be moved: whoever lost that looks again
		case <-time.After(lookAgain):
		case <-ctx.Done():
		}
		return nil, tracking.ErrConflict
	case errors.Is(err, tracking.ErrOverLimit):
		g.spent.put(c.Tenant, period, total.Bytes, now)
		return nil, overQuota(total.Bytes, limit, ends)
	case err != nil:
		g.refund(ctx, c) // it may have entered
		return nil, fmt.Errorf("charging the tenant: %w", err)
	}
	g.spent.put(c.Tenant, period, total.Bytes, now)
	if len(total.Pending) > pendingLimit {
		g.tidy(ctx, total)
	}
	return c, nil
}

// chargeMade enters once more what was charged and given back, whatever the limit: storage has made an object of u.
func (g *Gateway) chargeMade(ctx context.Context, before *tracking.Charge, u *tracking.Upload) (*tracking.Charge, error) {
	c := &tracking.Charge{Tenant: before.Tenant, Period: before.Period, ID: rand.Text()}
	p := tracking.Pending{Upload: u.ID, Bytes: u.Bytes, At: g.Now().UTC().Truncate(time.Millisecond)}
	if _, err := g.Store.Charge(ctx, *c, p, math.MaxInt64); err != nil {
		return nil, fmt.Errorf("charging the tenant for what storage has made: %w", err)
	}
	return c, nil
}

// refundUnless takes back what chargeMade entered, unless u, which has ended, names it, or is erased and names none.
func (g *Gateway) refundUnless(ctx context.Context, c *tracking.Charge, u *tracking.Upload) {
	if named := chargeOf(u); c == nil || u.Completion == nil || named != nil && *named == *c {
		return
	}
	g.refund(ctx, c)
}

// inFlight reports whether another charge of the same upload is pending. At most one of them will count.
func inFlight(s *tracking.Spending, upload string) bool {
	for _, p := range s.Pending {
		if upload != "" && p.Upload == upload {
			return true
		}
	}
	return false
}

// overQuota is a code of S3's that no client takes for a reason to try again at once; SlowDown would be tried until the period ends.
func overQuota(spent, limit int64, ends time.Time) *Error {
	return errEntityTooLarge.saying(fmt.Sprintf("Your tenant has uploaded %d of the %d bytes that it may until %s.", spent, limit, ends.Format(time.RFC3339))).
		with("TenantBytes", strconv.FormatInt(spent, 10), "MaxTenantBytes", strconv.FormatInt(limit, 10), "PeriodEnds", ends.Format(time.RFC3339))
}

// chargeOf is the charge that a record names; nil if none.
func chargeOf(u *tracking.Upload) *tracking.Charge {
	if u.Completion == nil {
		return nil
	}
	return u.Completion.Charge
}

// settle ends a charge whose bytes count; nil is none. One that cannot be settled counts as well, and whoever meets it settles it.
func (g *Gateway) settle(ctx context.Context, c *tracking.Charge) {
	g.endCharge(ctx, c, g.Store.Settle)
}

// refund takes a charge back; nil is none. One that cannot be taken back counts until somebody meets it.
func (g *Gateway) refund(ctx context.Context, c *tracking.Charge) {
	g.endCharge(ctx, c, g.Store.Refund)
}

func (g *Gateway) endCharge(ctx context.Context, c *tracking.Charge, end func(context.Context, tracking.Charge) error) {
	if c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	if err := end(ctx, *c); err != nil {
		g.Log.WarnContext(ctx, "a charge stays pending", "charge", c.ID, "period", c.Period, "error", err)
	}
}

// endPut ends the charge of a body in one PUT by how storage answered. Refunded is what storage certainly did not make an object of: what it
// refused, and bodies that never ended there. Everything else counts.
func (g *Gateway) endPut(ctx context.Context, c *tracking.Charge, err error) {
	if err == nil {
		g.settle(ctx, c)
		return
	}
	unmade := errors.Is(err, relay.ErrDial) || errors.Is(err, relay.ErrClient) || errors.Is(err, storage.ErrUnavailable) && !storage.Sent(err)
	if refusal := (*Error)(nil); errors.As(err, &refusal) {
		unmade = refusal.Status < http.StatusInternalServerError || refusal.Code == errSlowDown.Code
	}
	if unmade {
		g.refund(ctx, c)
		return
	}
	g.settle(ctx, c)
}

// tidy looks into charges that are pending for long, and reports whether it gave any back. See tracking.Spending for the rules.
func (g *Gateway) tidy(ctx context.Context, s *tracking.Spending) (back bool) {
	now, looked := g.Now(), 0
	for id, p := range s.Pending {
		c := &tracking.Charge{Tenant: s.Tenant, Period: s.Period, ID: id}
		age := now.Sub(p.At)
		switch {
		case looked == tidyAtOnce:
			return back
		case p.Upload == "" && age > putMayTake:
			g.settle(ctx, c)
		case p.Upload != "" && age > tidyAfter:
			back = g.tidyUpload(ctx, c, p.Upload) || back
		default:
			continue
		}
		looked++
	}
	return back
}

// tidyUpload ends the charge c of an upload as its record says, and reports whether it gave it back.
func (g *Gateway) tidyUpload(ctx context.Context, c *tracking.Charge, id string) (back bool) {
	u, err := g.Store.Upload(ctx, id)
	switch {
	case errors.Is(err, tracking.ErrNotFound): // nobody can know
		g.settle(ctx, c)
		return false
	case err != nil:
		return false
	case chargeOf(u) != nil && *chargeOf(u) == *c:
		if u.State.Terminal() || u.State == tracking.StateUnknown {
			g.settle(ctx, c)
		}
		return false // else it may yet become an object
	case u.Completion == nil && (u.State == tracking.StateCompleted || u.State == tracking.StateSuperseded): // erased: it names no charge any more
		g.settle(ctx, c)
		return false
	case u.State == tracking.StateOpen:
		// A Complete that was charged may be about to move the record. Written anew, the record cannot be moved by who read it before.
		if err := g.Store.SwapUpload(ctx, u); err != nil {
			return false
		}
	}
	g.refund(ctx, c)
	return true
}

// uploadLimit is how large an upload of r's may become and the refusal of more; 0: no limit. The error is the refusal of any: the tenant's
// total is spent. Of that it knows what was true a moment ago, and it never waits long: what is exact is the charge.
func (g *Gateway) uploadLimit(ctx context.Context, r *Request) (limit int64, refusal *Error, err error) {
	limit, refusal = r.Scope.MaxObjectBytes, overLimit(r.Scope.MaxObjectBytes)
	quota := g.tenantLimit(r)
	if quota == 0 {
		return limit, refusal, nil
	}
	now := g.Now()
	period, ends := g.Quota.period(now)
	spent := g.spent.get(ctx, g.spending, r.Identity.Tenant, period, now)
	over := overQuota(spent, quota, ends)
	if spent >= quota {
		return 0, nil, over
	}
	if left := quota - spent; limit == 0 || left < limit {
		return left, over, nil
	}
	return limit, refusal, nil
}

// spending is what a tenant has spent, without what was left pending and is to be given back: who is refused for that charges nothing, and so would
// never look into it.
func (g *Gateway) spending(ctx context.Context, tenant, period string) (*tracking.Spending, error) {
	total, err := g.Store.Spending(ctx, tenant, period)
	if err == nil && g.tidy(ctx, total) {
		return g.Store.Spending(ctx, tenant, period)
	}
	return total, err
}

// spent is what tenants had spent a moment ago.
type spent struct {
	mu sync.Mutex
	of map[string]spentBy // by tenant
}

type spentBy struct {
	period string
	bytes  int64
	at     time.Time
}

const (
	spentLife    = 2 * time.Second
	spentTimeout = 250 * time.Millisecond
	spentTenants = 10_000 // past which it begins anew
)

func (s *spent) put(tenant, period string, bytes int64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil || len(s.of) >= spentTenants {
		s.of = map[string]spentBy{}
	}
	s.of[tenant] = spentBy{period, bytes, now}
}

// get asks if what is known is old. Those who come meanwhile, and all while the store is away, go by the old.
func (s *spent) get(ctx context.Context, ask func(ctx context.Context, tenant, period string) (*tracking.Spending, error), tenant, period string, now time.Time) int64 {
	s.mu.Lock()
	known := s.of[tenant]
	s.mu.Unlock()
	if known.period == period && now.Sub(known.at) < spentLife {
		return known.bytes
	}
	if known.period != period {
		known.bytes = 0
	}
	s.put(tenant, period, known.bytes, now)
	ctx, cancel := context.WithTimeout(ctx, spentTimeout)
	defer cancel()
	total, err := ask(ctx, tenant, period)
	if err != nil {
		return known.bytes
	}
	s.put(tenant, period, total.Bytes, now)
	return total.Bytes
}

// counted is what a part counts as before storage has it: its length or, where none was declared (-1) and there is a limit, the largest that
// it can come to.
func counted(s *auth.Scope, declared, limit int64) int64 {
	switch {
	case declared >= 0 || limit == 0 && s.MaxPartBytes == 0:
		return declared
	case s.MaxPartBytes > 0:
		return s.MaxPartBytes
	}
	return min(limit, auth.MaxPartBytes)
}

// checkPart holds one part to the token's limit.
func checkPart(s *auth.Scope, bytes int64) error {
	if s.MaxPartBytes > 0 && bytes > s.MaxPartBytes {
		return errEntityTooLarge.saying(fmt.Sprintf("Your proposed upload exceeds the %d bytes that your token allows per part.", s.MaxPartBytes))
	}
	return nil
}
