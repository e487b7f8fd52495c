package memory_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"partway/tracking"
	"partway/tracking/memory"
	"partway/tracking/trackingtest"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestContract(t *testing.T) {
	trackingtest.Sessions(t, func(t *testing.T) tracking.Sessions {
		s := memory.New(memory.Config{})
		t.Cleanup(func() { s.Close() })
		return s
	})
}

func TestExpiryGoesByTheClock(t *testing.T) {
	now := epoch
	s := memory.New(memory.Config{Now: func() time.Time { return now }})
	ctx := t.Context()
	grant := tracking.Part{Number: 1, Bytes: 60, Road: "sign", Until: epoch.Add(time.Minute)}
	if _, err := s.Reserve(ctx, "u1", []tracking.Part{grant}, 100, epoch.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	other := tracking.Part{Number: 2, Bytes: 60, Road: "relay"}
	now = epoch.Add(time.Minute - 1)
	if _, err := s.Reserve(ctx, "u1", []tracking.Part{other}, 100, epoch.Add(time.Hour)); !errors.Is(err, tracking.ErrOverLimit) {
		t.Fatalf("before the grant lapses: %v", err)
	}
	now = epoch.Add(time.Minute)
	if sum, err := s.Reserve(ctx, "u1", []tracking.Part{other}, 100, epoch.Add(time.Hour)); err != nil || sum != 60 {
		t.Fatalf("when it has lapsed: %d, %v", sum, err)
	}
	now = epoch.Add(time.Hour - 1)
	if _, err := s.Session(ctx, "u1"); err != nil {
		t.Fatal(err)
	}
	now = epoch.Add(time.Hour)
	if _, err := s.Session(ctx, "u1"); !errors.Is(err, tracking.ErrNotFound) {
		t.Fatalf("expired session: %v", err)
	}
}

func TestBoundDropsWhatExpiresFirst(t *testing.T) {
	now := epoch
	s := memory.New(memory.Config{Lines: 6, Now: func() time.Time { return now }})
	reserve := func(id string, number int, until time.Duration) {
		t.Helper()
		if _, err := s.Reserve(t.Context(), id, []tracking.Part{{Number: number, Bytes: 1}}, 0, epoch.Add(until)); err != nil {
			t.Fatal(err)
		}
	}
	known := func(want ...bool) {
		t.Helper()
		for i, want := range want {
			_, err := s.Session(t.Context(), fmt.Sprint("u", i+1))
			if got := err == nil; got != want {
				t.Errorf("u%d known: %t, want %t", i+1, got, want)
			}
		}
	}
	reserve("u1", 1, 3*time.Hour)
	reserve("u2", 1, 2*time.Hour)
	reserve("u3", 1, 4*time.Hour)
	known(true, true, true)
	reserve("u1", 2, 3*time.Hour)
	known(true, false, true)
	for number := range 20 {
		reserve("u1", number, time.Hour)
	}
	known(true, false, false)
	reserve("u2", 1, 5*time.Hour)
	known(false, true, false)
}

func TestClosedIsUnavailable(t *testing.T) {
	s := memory.New(memory.Config{})
	s.Close()
	if err := s.PutState(t.Context(), "u1", tracking.StateOpen, time.Now().Add(time.Hour)); !errors.Is(err, tracking.ErrUnavailable) {
		t.Fatalf("after close: %v", err)
	}
}
