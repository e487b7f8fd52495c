package trackingtest

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"partway/tracking"
)

// Rates checks one implementation. open returns one that nothing else uses, for that many requests per second by the real
// clock, and closes it with t.Cleanup.
func Rates(t *testing.T, open func(t *testing.T, perSecond int) tracking.Rates) {
	t.Run("a second's worth at once, and no more", func(t *testing.T) {
		// At 3 requests in a second, and so the fourth a third of a second later, there is time to ask five times.
		r := open(t, 3)
		for i, want := range []bool{true, true, true, false, false} {
			if within := mustTake(t, r, "acme"); within != want {
				t.Fatalf("request %d within the rate: %v, want %v", i+1, within, want)
			}
		}
	})
	t.Run("tenants are apart", func(t *testing.T) {
		r := open(t, 1)
		for _, tenant := range []string{"acme", "acme2", "other"} {
			if !mustTake(t, r, tenant) {
				t.Fatalf("the first request of %s is over the rate", tenant)
			}
		}
		if mustTake(t, r, "acme") {
			t.Fatal("a second one is within")
		}
	})
	t.Run("the rate goes on, and what was refused does not count", func(t *testing.T) {
		const perSecond = 20
		r := open(t, perSecond)
		started, taken := time.Now(), 0
		for taken < 2*perSecond {
			if mustTake(t, r, "acme") {
				taken++
			}
		}
		// One second's worth at once, the other in a second: sooner is over the rate, much later would be under it.
		if took := time.Since(started); took < 950*time.Millisecond || took > 3*time.Second {
			t.Fatalf("%d requests in %v", taken, took)
		}
	})
	t.Run("callers at once get no more than the rate", func(t *testing.T) {
		const perSecond = 40
		r := open(t, perSecond)
		var taken atomic.Int64
		var all sync.WaitGroup
		started := time.Now()
		for range 8 {
			all.Go(func() {
				for range 20 {
					if within, err := r.Take(t.Context(), "acme"); err != nil {
						t.Error(err)
					} else if within {
						taken.Add(1)
					}
				}
			})
		}
		all.Wait()
		most := perSecond + int64(time.Since(started)*perSecond/time.Second) + 1
		if n := taken.Load(); n < perSecond || n > most {
			t.Fatalf("%d of 160 within the rate, want %d to %d", n, perSecond, most)
		}
	})
	t.Run("a cancelled context is ErrUnavailable", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := open(t, 1).Take(ctx, "acme")
		wantErr(t, err, tracking.ErrUnavailable)
	})
}

func mustTake(t *testing.T, r tracking.Rates, tenant string) bool {
	t.Helper()
	within, err := r.Take(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	return within
}
