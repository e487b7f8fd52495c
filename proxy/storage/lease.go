package storage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"partway/auth/sigv4"
)

const (
	// leaseRenewal is how long before its end a lease is renewed, while it goes on being used. A short one is renewed at half its life, and one
	// without an end so long after it began: who gave it may have changed it.
	leaseRenewal = 10 * time.Minute
	// leaseRemnant is what must remain of a lease for another URL. Below it the URL could end before its upload has begun.
	leaseRemnant = time.Minute
	// leasePause is how long after it was asked in vain STS is not asked again for the same: every part would wait for it.
	leasePause = 5 * time.Second
	// maxLeases bounds how many are kept. The one that was not used for longest makes room.
	maxLeases = 4096
)

// leases keeps credentials that end: those that a role was assumed with, one for each holding, or those that were found, of the one holding that there
// is. Asking for them is shared by all who want the same, and goes on when those who wait give up, so that the next finds them.
type leases struct {
	what   string // is asked for, in errors
	assume func(context.Context, holding) (*sigv4.Signer, time.Time, error)

	base   context.Context // of every request to STS; ends with close
	cancel context.CancelFunc
	asking sync.WaitGroup

	mu  sync.Mutex
	all map[holding]*lease
}

// lease is one holding's credentials. Its fields are leases.mu's.
type lease struct {
	signer  *sigv4.Signer // nil until STS first answered
	expires time.Time     // zero: they do not
	used    time.Time
	due     time.Time     // when STS is to be asked next
	asked   chan struct{} // closed when STS has answered; nil: it is not being asked
	err     error         // of the last answer
}

// lasts reports whether another URL can be signed.
func (e *lease) lasts(now time.Time) bool {
	return e.signer != nil && (e.expires.IsZero() || e.expires.Sub(now) >= leaseRemnant)
}

func newLeases(what string, assume func(context.Context, holding) (*sigv4.Signer, time.Time, error)) *leases {
	l := &leases{what: what, assume: assume, all: map[holding]*lease{}}
	l.base, l.cancel = context.WithCancel(context.Background())
	return l
}

// get returns the credentials for h, and when they end: leaseRemnant or more from now. It waits for STS no longer than ctx.
// ErrNoIdentity, wrapped, with ctx's error where it was that which ended.
func (l *leases) get(ctx context.Context, h holding, now time.Time) (*sigv4.Signer, time.Time, error) {
	l.mu.Lock()
	if err := l.base.Err(); err != nil {
		l.mu.Unlock()
		return nil, time.Time{}, fmt.Errorf("%w: closed: %w", ErrNoIdentity, err)
	}
	e := l.lease(h)
	e.used = now
	if e.asked == nil && !now.Before(e.due) {
		e.asked = make(chan struct{})
		l.asking.Go(func() { l.ask(h, e, now) })
	}
	asked, lasts := e.asked, e.lasts(now)
	l.mu.Unlock()
	if !lasts && asked != nil {
		select {
		case <-asked:
		case <-ctx.Done():
			return nil, time.Time{}, fmt.Errorf("%w: %s: %w", ErrNoIdentity, l.what, ctx.Err())
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !e.lasts(now) {
		return nil, time.Time{}, fmt.Errorf("%w: %s: %w", ErrNoIdentity, l.what, e.err)
	}
	return e.signer, e.expires, nil
}

// ask asks STS and wakes who waits.
func (l *leases) ask(h holding, e *lease, now time.Time) {
	ctx, cancel := context.WithTimeout(l.base, ownTimeout)
	defer cancel()
	signer, expires, err := l.assume(ctx, h)
	life := expires.Sub(now)
	if err == nil && !expires.IsZero() && life < leaseRemnant {
		err = fmt.Errorf("the credentials end %s from now; want %s or more", life, leaseRemnant)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e.err = err; {
	case err != nil:
		e.due = now.Add(leasePause)
	case expires.IsZero():
		e.signer, e.expires, e.due = signer, expires, now.Add(leaseRenewal)
	default:
		e.signer, e.expires, e.due = signer, expires, expires.Add(-max(leaseRemnant, min(leaseRenewal, life/2)))
	}
	close(e.asked)
	e.asked = nil
}

// lease returns h's entry, a new one if there is none.
func (l *leases) lease(h holding) *lease {
	if e := l.all[h]; e != nil {
		return e
	}
	if len(l.all) >= maxLeases {
		var oldest holding
		var at *lease
		for h, e := range l.all {
			if at == nil || e.used.Before(at.used) {
				oldest, at = h, e
			}
		}
		delete(l.all, oldest) // who waits for it still holds it
	}
	e := &lease{}
	l.all[h] = e
	return e
}

// close ends what is being asked. From then on there is nothing to get.
func (l *leases) close() {
	l.mu.Lock()
	l.cancel()
	l.mu.Unlock()
	l.asking.Wait()
}
