package tracking_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"partway/tracking"
)

// ratesFunc is a Rates of one function.
type ratesFunc func() (bool, error)

func (f ratesFunc) Take(context.Context, string) (bool, error) { return f() }

func TestSharedRates(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	var asked int
	var away error
	r := &tracking.SharedRates{
		Shared: ratesFunc(func() (bool, error) { asked++; return away == nil, away }),
		Local:  ratesFunc(func() (bool, error) { return false, nil }),
		Now:    func() time.Time { return now },
	}
	take := func(what string, want bool, wantAsked int) {
		t.Helper()
		asked = 0
		if within, err := r.Take(t.Context(), "acme"); err != nil || within != want || asked != wantAsked {
			t.Fatalf("%s: %v, %v, the shared rate was asked %d times; want %v and %d", what, within, err, asked, want, wantAsked)
		}
	}
	take("there", true, 1)
	away = tracking.ErrUnavailable
	take("away", false, 1)
	now = now.Add(time.Second - 1)
	take("within a second it is not asked again", false, 0)
	now = now.Add(1)
	take("still away", false, 1)
	away = nil
	now = now.Add(time.Second)
	take("back", true, 1)

	away = errors.New("broken")
	if _, err := r.Take(t.Context(), "acme"); !errors.Is(err, away) {
		t.Errorf("%v, want %v", err, away)
	}
}

// A caller that gives up says nothing about the shared rate.
func TestSharedRatesOutliveACallerInAHurry(t *testing.T) {
	r := &tracking.SharedRates{
		Shared: ratesFunc(func() (bool, error) { return false, tracking.ErrUnavailable }),
		Local:  ratesFunc(func() (bool, error) { return true, nil }),
		Now:    time.Now,
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Take(ctx, "acme"); !errors.Is(err, tracking.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}
