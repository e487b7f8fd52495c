package auth

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRevocation(t *testing.T) {
	for _, c := range []struct {
		name    string
		revoked Revocation
		want    error
	}{
		{"another token", Revocation{TokenID: "other"}, nil},
		{"another tenant", Revocation{Tenant: "other", At: noon.Add(time.Hour)}, nil},
		{"the tenant, before it was issued", Revocation{Tenant: "acme", At: noon.Add(-time.Nanosecond)}, nil},
		{"the tenant, as it was issued", Revocation{Tenant: "acme", At: noon}, ErrRevoked},
		{"the tenant, later", Revocation{Tenant: "acme", At: noon.Add(time.Minute)}, ErrRevoked},
		{"another tenant frozen", Revocation{Tenant: "other", Freeze: true, At: noon.Add(-time.Hour)}, nil},
		{"the tenant frozen, before it was issued", Revocation{Tenant: "acme", Freeze: true, At: noon.Add(-time.Hour)}, ErrFrozen},
		{"another key", Revocation{KID: "other", At: noon.Add(time.Hour)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) { checkRevocation(t, newWorld(t), c.revoked, c.want) })
	}
}

// Whoever stole a key writes the times of a token as it suits.
func TestRevocationOfAKeyAsksForNoTime(t *testing.T) {
	w := newWorld(t)
	checkRevocation(t, w, Revocation{KID: w.signing.KID, At: noon.Add(-time.Hour)}, ErrRevoked)
}

func TestThawedTenantIsLetIn(t *testing.T) {
	w := newWorld(t)
	checkRevocation(t, w, Revocation{Tenant: "acme", Freeze: true, At: noon.Add(-time.Hour)}, ErrFrozen)
	checkRevocation(t, w, Revocation{Tenant: "acme", At: noon.Add(-time.Hour)}, nil)
}

func TestRevocationOfOneToken(t *testing.T) {
	w := newWorld(t)
	key := w.issue(t, ClassKey)
	r := signHeader(put(), signer(key), emptySHA256, noon)
	w.revoked = []Revocation{{TokenID: key.ID}}
	if _, _, err := w.verifier.Authenticate(r, noon); err != nil {
		t.Fatalf("before the set was read: %v", err)
	}
	if err := w.verifier.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.verifier.Authenticate(r, noon); !errors.Is(err, ErrRevoked) {
		t.Errorf("cached token after its revocation: %v", err)
	}
	checkRevocation(t, w, Revocation{TokenID: "other"}, nil)
}

func checkRevocation(t *testing.T, w *world, revoked Revocation, want error) {
	t.Helper()
	r := bearer(put(), w.issue(t, ClassBearer).Token)
	// The later At of a tenant counts, in whatever order they come.
	w.revoked = []Revocation{revoked, {Tenant: revoked.Tenant, At: noon.Add(-time.Hour)}}
	if err := w.verifier.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.verifier.Authenticate(r, noon); !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
}

func TestStaleness(t *testing.T) {
	w := newWorld(t)
	key := w.issue(t, ClassKey)
	at := func(v *Verifier, now time.Time) error {
		_, _, err := v.Authenticate(signHeader(put(), signer(key), emptySHA256, now), now)
		return err
	}
	if err := at(w.newVerifier(t), noon); !errors.Is(err, ErrStale) {
		t.Errorf("cold start: %v, want ErrStale", err)
	}
	if err := at(w.verifier, noon.Add(15*time.Minute)); err != nil {
		t.Errorf("warm set within its time: %v", err)
	}
	if err := at(w.verifier, noon.Add(15*time.Minute+1)); !errors.Is(err, ErrStale) {
		t.Errorf("warm set after its time: %v, want ErrStale", err)
	}
}

// The clock of the bubble is not ours: its sleeps last no time and end exactly when they say.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const hangs, failsFrom = 2, 5
		var reads atomic.Int64
		w.verifier.source = func(ctx context.Context) ([]Revocation, error) {
			switch n := reads.Add(1); {
			case n == hangs:
				<-ctx.Done()
				return nil, ctx.Err()
			case n >= failsFrom:
				return nil, errors.New("store is down")
			}
			return nil, nil
		}
		w.verifier.now = time.Now
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.verifier.Watch(ctx) }()

		synctest.Wait()
		first := w.verifier.revocations.Load()
		time.Sleep(watchEvery + refreshTimeout - 1)
		if got := w.verifier.revocations.Load(); reads.Load() != hangs || got != first {
			t.Fatalf("%d reads, set replaced: %v; want one that hangs", reads.Load(), got != first)
		}
		time.Sleep(watchEvery + 1)
		synctest.Wait()
		last := w.verifier.revocations.Load()
		if reads.Load() != failsFrom-1 || last == first {
			t.Fatalf("%d reads, set replaced: %v; want two more after the one that hung", reads.Load(), last != first)
		}
		time.Sleep(3 * watchEvery)
		synctest.Wait()
		if reads.Load() != failsFrom+2 || w.verifier.revocations.Load() != last {
			t.Errorf("%d reads; a failed one must leave the warm set", reads.Load())
		}
		cancel()
		<-done
	})
}
