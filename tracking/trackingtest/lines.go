package trackingtest

import (
	"testing"

	"partway/tracking"
)

func release(t *testing.T, open func(t *testing.T) tracking.Sessions) {
	t.Run("what was reserved for a time is not on its way and counts until it lapses; what counts for good, and what landed, stays", func(t *testing.T) {
		s := open(t)
		granted := part(1, 10)
		granted.Until = future()
		mustReserve(t, s, "u1", granted, 0, 10)
		mustReserve(t, s, "u1", part(2, 5), 0, 15)
		wantErr(t, s.Land(t.Context(), "u1", parts(landed(3, 7)), future()), nil)
		wantErr(t, s.Release(t.Context(), "u1", 1, 2, 3, 4), nil)
		wantErr(t, s.Release(t.Context(), "u1", 1), nil)
		released := granted
		released.Road = tracking.RoadNone
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: parts(released, part(2, 5), landed(3, 7)), Bytes: 22})
		_, err := s.Reserve(t.Context(), "u1", parts(part(4, 1)), 22, future())
		wantErr(t, err, tracking.ErrOverLimit)
	})
	t.Run("of a session nobody knows", func(t *testing.T) {
		s := open(t)
		wantErr(t, s.Release(t.Context(), "u1", 1), nil)
		wantNoSession(t, s, "u1")
	})
}

func onePart(t *testing.T, open func(t *testing.T) tracking.Sessions) {
	s := open(t)
	lapsed := part(3, 10)
	lapsed.Until = past()
	if _, err := s.Reserve(t.Context(), "u1", parts(part(1, 10), lapsed), 0, future()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, s.Land(t.Context(), "u1", parts(landed(2, 7)), future()), nil)
	for _, want := range parts(part(1, 10), landed(2, 7)) {
		got, err := s.Part(t.Context(), "u1", want.Number)
		wantErr(t, err, nil)
		wantEqual(t, "part", *got, want)
	}
	for name, ask := range map[string]func() (*tracking.Part, error){
		"a number without a line":       func() (*tracking.Part, error) { return s.Part(t.Context(), "u1", 4) },
		"a line that lapsed":            func() (*tracking.Part, error) { return s.Part(t.Context(), "u1", 3) },
		"of a session that nobody knew": func() (*tracking.Part, error) { return s.Part(t.Context(), "u2", 1) },
	} {
		_, err := ask()
		t.Run(name, func(t *testing.T) { wantErr(t, err, tracking.ErrNotFound) })
	}
}
