package trackingtest

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"partway/tracking"
)

func spendings(t *testing.T, open func(t *testing.T) tracking.Store) {
	t.Run("nothing was ever charged", func(t *testing.T) {
		s := open(t)
		_, err := s.Spending(t.Context(), "acme", "2026-03")
		wantErr(t, err, tracking.ErrNotFound)
		for name, end := range ends(s) {
			if err := end(t, charge("a")); err != nil {
				t.Errorf("%s of an unknown charge: %v", name, err)
			}
		}
		_, err = s.Spending(t.Context(), "acme", "2026-03")
		wantErr(t, err, tracking.ErrNotFound)
	})
	t.Run("a charge counts at once, and reads back as it was entered", func(t *testing.T) {
		s := open(t)
		mustCharge(t, s, charge("a"), pending("id-0001", 60), 100, 60)
		want := tracking.Spending{Tenant: "acme", Period: "2026-03", Bytes: 60, Pending: map[string]tracking.Pending{"a": pending("id-0001", 60)}}
		wantEqual(t, "spending", *mustSpending(t, s, "2026-03"), want)
	})
	t.Run("up to the limit and no byte past it, which changes nothing", func(t *testing.T) {
		s := open(t)
		mustCharge(t, s, charge("a"), pending("", 60), 100, 60)
		mustCharge(t, s, charge("b"), pending("", 40), 100, 100)
		before := mustSpending(t, s, "2026-03")
		for _, bytes := range []int64{1, 101, math.MaxInt64} {
			stands, err := s.Charge(t.Context(), charge("c"), pending("", bytes), 100)
			wantErr(t, err, tracking.ErrOverLimit)
			wantEqual(t, "what stands in the way", stands, before)
		}
		wantEqual(t, "spending", mustSpending(t, s, "2026-03"), before)
		mustCharge(t, s, charge("c"), pending("", 0), 100, 100)
		mustCharge(t, s, charge("d"), pending("", 1), 101, 101)
	})
	t.Run("over the limit at once enters nothing", func(t *testing.T) {
		s := open(t)
		stands, err := s.Charge(t.Context(), charge("a"), pending("", 101), 100)
		wantErr(t, err, tracking.ErrOverLimit)
		wantEqual(t, "bytes", stands.Bytes, int64(0))
		mustCharge(t, s, charge("a"), pending("", 100), 100, 100)
	})
	t.Run("a charge that is pending does not count twice, whatever the limit is by now", func(t *testing.T) {
		s := open(t)
		mustCharge(t, s, charge("a"), pending("", 60), 100, 60)
		mustCharge(t, s, charge("a"), pending("", 60), 100, 60)
		mustCharge(t, s, charge("a"), pending("", 60), 10, 60)
	})
	t.Run("settled, it counts for good and cannot be refunded", func(t *testing.T) {
		s := open(t)
		mustCharge(t, s, charge("a"), pending("", 60), 100, 60)
		for _, name := range []string{"Settle", "Settle", "Refund"} {
			if err := ends(s)[name](t, charge("a")); err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "after "+name, *mustSpending(t, s, "2026-03"), tracking.Spending{Tenant: "acme", Period: "2026-03", Bytes: 60})
		}
	})
	t.Run("refunded, it counts no more, however often that is said", func(t *testing.T) {
		s := open(t)
		mustCharge(t, s, charge("a"), pending("", 60), 100, 60)
		mustCharge(t, s, charge("b"), pending("", 30), 100, 90)
		for _, name := range []string{"Refund", "Refund", "Settle"} {
			if err := ends(s)[name](t, charge("a")); err != nil {
				t.Fatal(err)
			}
			want := tracking.Spending{Tenant: "acme", Period: "2026-03", Bytes: 30, Pending: map[string]tracking.Pending{"b": pending("", 30)}}
			wantEqual(t, "after "+name, *mustSpending(t, s, "2026-03"), want)
		}
		mustCharge(t, s, charge("c"), pending("", 70), 100, 100)
	})
	t.Run("tenants and periods are apart", func(t *testing.T) {
		s := open(t)
		for _, c := range []tracking.Charge{
			{Tenant: "acme", Period: "2026-03", ID: "a"}, {Tenant: "acme", Period: "2026-04", ID: "a"}, {Tenant: "acme2", Period: "2026-03", ID: "a"},
			{Tenant: "acme", Period: "2026-03-01", ID: "a"},
		} {
			mustCharge(t, s, c, pending("", 100), 100, 100)
		}
	})
	t.Run("of 50 charges at one moment no more enter than fit, however they end", func(t *testing.T) { racingCharges(t, open(t)) })
	t.Run("of 50 refunds at one moment one takes back", func(t *testing.T) {
		s := open(t)
		mustCharge(t, s, charge("a"), pending("", 60), 1000, 60)
		mustCharge(t, s, charge("b"), pending("", 500), 1000, 560)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if err := s.Refund(t.Context(), charge("a")); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		wantEqual(t, "bytes", mustSpending(t, s, "2026-03").Bytes, int64(500))
	})
}

// racingCharges lets chargers at one limit, a third of whom settle and a third of whom give back what they got.
func racingCharges(t *testing.T, s tracking.Store) {
	const limit, each = 205, 10
	var (
		mu           sync.Mutex
		kept, passed int64
		all          sync.WaitGroup
	)
	for n := range 50 {
		all.Go(func() {
			c := charge(fmt.Sprintf("c%d", n))
			now, err := s.Charge(t.Context(), c, pending("", each), limit)
			if errors.Is(err, tracking.ErrOverLimit) {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
			bytes := int64(each)
			switch n % 3 {
			case 0:
				err = s.Settle(t.Context(), c)
			case 1:
				err, bytes = s.Refund(t.Context(), c), 0
			}
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			kept += bytes
			passed = max(passed, now.Bytes)
		})
	}
	all.Wait()
	if passed > limit {
		t.Errorf("the sum reached %d of %d", passed, limit)
	}
	wantEqual(t, "bytes", mustSpending(t, s, "2026-03").Bytes, kept)
	if kept == 0 || kept > limit {
		t.Errorf("%d bytes were kept of %d", kept, limit)
	}
}

func charge(id string) tracking.Charge {
	return tracking.Charge{Tenant: "acme", Period: "2026-03", ID: id}
}

func pending(upload string, bytes int64) tracking.Pending {
	return tracking.Pending{Upload: upload, Bytes: bytes, At: epoch}
}

// ends are the two ways that a charge ends.
func ends(s tracking.Spendings) map[string]func(*testing.T, tracking.Charge) error {
	return map[string]func(*testing.T, tracking.Charge) error{
		"Settle": func(t *testing.T, c tracking.Charge) error { return s.Settle(t.Context(), c) },
		"Refund": func(t *testing.T, c tracking.Charge) error { return s.Refund(t.Context(), c) },
	}
}

func mustCharge(t *testing.T, s tracking.Spendings, c tracking.Charge, p tracking.Pending, limit, want int64) {
	t.Helper()
	now, err := s.Charge(t.Context(), c, p, limit)
	if err != nil {
		t.Fatalf("charge %+v: %v", c, err)
	}
	wantEqual(t, "bytes", now.Bytes, want)
}

func mustSpending(t *testing.T, s tracking.Spendings, period string) *tracking.Spending {
	t.Helper()
	now, err := s.Spending(t.Context(), "acme", period)
	if err != nil {
		t.Fatal(err)
	}
	if len(now.Pending) == 0 {
		now.Pending = nil
	}
	return now
}
