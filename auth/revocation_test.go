package auth

import (
	"context"
	"errors"
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
	} {
		t.Run(c.name, func(t *testing.T) { checkRevocation(t, newWorld(t), c.revoked, c.want) })
	}
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

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var reads int
		var failure error
		w.verifier.source = func(ctx context.Context) ([]Revocation, error) {
			reads++
			if failure == nil && reads == 2 {
				<-ctx.Done() // hangs: only the timeout ends it
				return nil, ctx.Err()
			}
			return nil, failure
		}
		w.verifier.now = time.Now
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); w.verifier.Watch(ctx) }()

		synctest.Wait()
		if reads != 1 {
			t.Fatalf("%d reads at the start, want 1", reads)
		}
		first := w.verifier.revocations.Load()
		time.Sleep(watchEvery + refreshTimeout - 1) // the bubble's clock, not ours
		if got := w.verifier.revocations.Load(); reads != 2 || got != first {
			t.Fatalf("%d reads, set replaced: %v; want the hanging second", reads, got != first)
		}
		time.Sleep(2 * watchEvery)
		second := w.verifier.revocations.Load()
		if reads < 3 || second == first {
			t.Fatalf("%d reads: no set after the one that hung", reads)
		}
		failure = errors.New("store is down")
		time.Sleep(3 * watchEvery)
		if w.verifier.revocations.Load().readAt.Sub(second.readAt) > watchEvery {
			t.Error("a failed read replaced the warm set")
		}
		cancel()
		<-done
	})
}
