package auth

import (
	"context"
	"fmt"
	"time"
)

// RevocationSource reads every revocation that may still matter. It is called every few seconds by Verifier.Watch.
type RevocationSource func(ctx context.Context) ([]Revocation, error)

// Revocation ends one token (TokenID), every token that one of our keys signed (KID), or of a tenant every token issued at
// or before At (Tenant) or, for as long as it is listed, every token (Tenant and Freeze).
type Revocation struct {
	TokenID, KID, Tenant string
	Freeze               bool
	At                   time.Time
}

const (
	watchEvery     = 2 * time.Second
	refreshTimeout = 10 * time.Second // a source that hangs must not stop the polling
)

// revocations is the set as it was read once. Never changed after it is made.
type revocations struct {
	tokens  map[string]bool
	kids    map[string]bool
	tenants map[string]time.Time // the latest At of each
	frozen  map[string]bool      // tenants
	readAt  time.Time            // when reading began: what came later may be missing
}

func newRevocations(list []Revocation, readAt time.Time) *revocations {
	set := &revocations{tokens: map[string]bool{}, kids: map[string]bool{}, tenants: map[string]time.Time{}, frozen: map[string]bool{}, readAt: readAt}
	for _, r := range list {
		switch {
		case r.TokenID != "":
			set.tokens[r.TokenID] = true
		case r.KID != "":
			set.kids[r.KID] = true
		case r.Freeze:
			set.frozen[r.Tenant] = true
		case r.At.After(set.tenants[r.Tenant]):
			set.tenants[r.Tenant] = r.At
		}
	}
	return set
}

// revoked says whether a revocation ends the token. That of a key asks for no time, which whoever stole the key would write
// as it suits. Tokens carry whole seconds, so one that was issued later in the second of a tenant's revocation ends too: the
// safe side.
func (set *revocations) revoked(id *Identity) bool {
	if set.tokens[id.TokenID] || set.kids[id.KID] {
		return true
	}
	at, ended := set.tenants[id.Tenant]
	return ended && !id.IssuedAt.After(at)
}

// Refresh reads the revocations once. Until the first success every token is refused with ErrStale; after a failure the
// set read before holds for VerifierConfig.MaxStaleness.
func (v *Verifier) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	began := v.now()
	list, err := v.source(ctx)
	if err != nil {
		return fmt.Errorf("read revocations: %w", err)
	}
	v.revocations.Store(newRevocations(list, began))
	return nil
}

// Watch reads the revocations every two seconds until ctx ends. The caller owns the goroutine that it runs on.
func (v *Verifier) Watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := v.Refresh(ctx); err != nil && ctx.Err() == nil {
			v.log.Warn("the revocations read before still hold", "error", err, "max_staleness", v.maxStaleness)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// checkRevoked refuses revoked tokens, and all of them when the set is too old to tell.
func (v *Verifier) checkRevoked(id *Identity, now time.Time) error {
	set := v.revocations.Load()
	switch {
	case set == nil:
		return fmt.Errorf("%w: none were read yet", ErrStale)
	case set.revoked(id):
		return fmt.Errorf("%w: ask for a new one", ErrRevoked)
	case set.frozen[id.Tenant]:
		return fmt.Errorf("%w: tokens of %s work again when an operator has thawed it", ErrFrozen, id.Tenant)
	case now.Sub(set.readAt) > v.maxStaleness:
		return fmt.Errorf("%w: last read at %s", ErrStale, set.readAt.UTC().Format(time.RFC3339))
	}
	return nil
}
