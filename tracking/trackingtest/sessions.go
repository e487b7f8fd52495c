package trackingtest

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"partway/tracking"
)

// Sessions checks one implementation. open returns an empty one that nothing else uses and closes it with t.Cleanup. Each
// subtest opens its own. Expiries are an hour before or behind the real clock, which the implementation must go by.
func Sessions(t *testing.T, open func(t *testing.T) tracking.Sessions) {
	t.Run("State", func(t *testing.T) { sessionStates(t, open) })
	t.Run("Reserve", func(t *testing.T) { reserve(t, open) })
	t.Run("Land", func(t *testing.T) { land(t, open) })
	t.Run("Release", func(t *testing.T) { release(t, open) })
	t.Run("Part", func(t *testing.T) { onePart(t, open) })
	t.Run("a cancelled context is ErrUnavailable and changes nothing", func(t *testing.T) {
		s := open(t)
		mustPut(t, s, "u1", tracking.StateOpen, future())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, s.PutState(ctx, "u1", tracking.StatePaused, future()), tracking.ErrUnavailable)
		_, err := s.Reserve(ctx, "u1", parts(part(1, 10)), 0, future())
		wantErr(t, err, tracking.ErrUnavailable)
		wantErr(t, s.Land(ctx, "u1", parts(landed(1, 10)), future()), tracking.ErrUnavailable)
		wantErr(t, s.Release(ctx, "u1", 1), tracking.ErrUnavailable)
		_, err = s.Part(ctx, "u1", 1)
		wantErr(t, err, tracking.ErrUnavailable)
		_, err = s.Session(ctx, "u1")
		wantErr(t, err, tracking.ErrUnavailable)
		wantErr(t, s.Forget(ctx, "u1"), tracking.ErrUnavailable)
		wantErr(t, s.Ping(ctx), tracking.ErrUnavailable)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen})
	})
	t.Run("Ping answers while open", func(t *testing.T) {
		if err := open(t).Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func sessionStates(t *testing.T, open func(t *testing.T) tracking.Sessions) {
	t.Run("an unknown session is not found", func(t *testing.T) {
		wantNoSession(t, open(t), "nobody")
	})
	t.Run("PutState creates", func(t *testing.T) {
		s := open(t)
		mustPut(t, s, "u1", tracking.StatePaused, future())
		wantSession(t, s, "u1", tracking.Session{State: tracking.StatePaused})
		wantNoSession(t, s, "u2")
	})
	t.Run("PutState keeps the parts", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, 10), 0, 10)
		mustPut(t, s, "u1", tracking.StateCompleting, future())
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateCompleting, Parts: []tracking.Part{part(1, 10)}, Bytes: 10})
	})
	t.Run("a session expires", func(t *testing.T) {
		s := open(t)
		mustPut(t, s, "u1", tracking.StateAborted, past())
		wantNoSession(t, s, "u1")
		mustReserve(t, s, "u1", part(1, 10), 0, 10)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: []tracking.Part{part(1, 10)}, Bytes: 10})
	})
	t.Run("an expired session's parts are gone too", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, 10), 0, 10)
		mustPut(t, s, "u1", tracking.StateOpen, past())
		mustReserve(t, s, "u1", part(2, 5), 0, 5)
	})
	t.Run("Forget drops it, twice if asked", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, 10), 0, 10)
		mustPut(t, s, "u2", tracking.StateOpen, future())
		for range 2 {
			if err := s.Forget(t.Context(), "u1"); err != nil {
				t.Fatal(err)
			}
		}
		wantNoSession(t, s, "u1")
		wantSession(t, s, "u2", tracking.Session{State: tracking.StateOpen})
		mustReserve(t, s, "u1", part(2, 5), 0, 5)
	})
}

func reserve(t *testing.T, open func(t *testing.T) tracking.Sessions) {
	t.Run("an unknown session enters as open", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, 10), 100, 10)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: []tracking.Part{part(1, 10)}, Bytes: 10})
	})
	t.Run("parts are summed and listed by number", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(10000, 3<<40), 0, 3<<40)
		mustReserve(t, s, "u1", part(2, 20), 0, 3<<40+20)
		mustReserve(t, s, "u1", part(10, 5), 0, 3<<40+25)
		wantSession(t, s, "u1", tracking.Session{
			State: tracking.StateOpen, Parts: []tracking.Part{part(2, 20), part(10, 5), part(10000, 3<<40)}, Bytes: 3<<40 + 25,
		})
	})
	t.Run("a part counts once, with its largest length and latest facts", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, 10), 0, 10)
		mustReserve(t, s, "u1", part(1, 30), 0, 30)
		last := part(1, 20)
		last.Checksum, last.Road = "crc32:BBBBBB==", "redirect"
		mustReserve(t, s, "u1", last, 0, 30)
		want := last
		want.Bytes = 30
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: []tracking.Part{want}, Bytes: 30})
	})
	t.Run("an undeclared length counts as 0 until one is declared", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, -1), 5, 0)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: []tracking.Part{part(1, -1)}, Bytes: 0})
		mustReserve(t, s, "u1", part(1, 5), 5, 5)
		mustReserve(t, s, "u1", part(1, -1), 5, 5)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: []tracking.Part{part(1, 5)}, Bytes: 5})
	})
	t.Run("up to the limit and no byte past it, which changes nothing", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, 60), 100, 60)
		mustReserve(t, s, "u1", part(2, 40), 100, 100)
		before := mustSession(t, s, "u1")
		over := part(3, 1)
		_, err := s.Reserve(t.Context(), "u1", parts(over), 100, past())
		wantErr(t, err, tracking.ErrOverLimit)
		larger := part(2, 41)
		larger.Road = "sign"
		_, err = s.Reserve(t.Context(), "u1", parts(larger), 100, future())
		wantErr(t, err, tracking.ErrOverLimit)
		wantEqual(t, "session", mustSession(t, s, "u1"), before)
		mustReserve(t, s, "u1", part(2, 40), 100, 100)
		mustReserve(t, s, "u1", part(3, 0), 100, 100)
	})
	t.Run("no declared length is too large to be over the limit", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, 60), 100, 60)
		for _, bytes := range []int64{math.MaxInt64, math.MaxInt64 - 59} {
			_, err := s.Reserve(t.Context(), "u1", parts(part(2, bytes)), 100, future())
			wantErr(t, err, tracking.ErrOverLimit)
		}
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: []tracking.Part{part(1, 60)}, Bytes: 60})
	})
	t.Run("without a limit the sum still does not overflow", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, 60), 0, 60)
		_, err := s.Reserve(t.Context(), "u1", parts(part(2, math.MaxInt64)), 0, future())
		wantErr(t, err, tracking.ErrOverLimit)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: []tracking.Part{part(1, 60)}, Bytes: 60})
	})
	t.Run("over the limit at once enters no session", func(t *testing.T) {
		s := open(t)
		_, err := s.Reserve(t.Context(), "u1", parts(part(1, 101)), 100, future())
		wantErr(t, err, tracking.ErrOverLimit)
		wantNoSession(t, s, "u1")
	})
	t.Run("a grant counts until its time has passed", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, 10), 0, 10)
		granted, lapsed := part(2, 20), part(3, 70)
		granted.Until, lapsed.Until = future(), past()
		mustReserve(t, s, "u1", granted, 100, 30)
		if _, err := s.Reserve(t.Context(), "u1", parts(lapsed), 100, future()); err != nil {
			t.Fatal(err)
		}
		mustReserve(t, s, "u1", part(4, 70), 100, 100)
		wantSession(t, s, "u1", tracking.Session{
			State: tracking.StateOpen, Parts: []tracking.Part{part(1, 10), granted, part(4, 70)}, Bytes: 100,
		})
	})
	t.Run("the latest time of a number's grants stands, and landing outlasts any", func(t *testing.T) {
		s := open(t)
		early, late, landed := part(1, 10), part(1, 10), part(1, 10)
		late.Until, early.Until = future(), past()
		for _, step := range []struct{ give, want tracking.Part }{{late, late}, {early, late}, {landed, landed}, {early, landed}, {late, landed}} {
			mustReserve(t, s, "u1", step.give, 0, 10)
			wantEqual(t, "part", mustSession(t, s, "u1").Parts, []tracking.Part{step.want})
		}
	})
	t.Run("not in a state but open", func(t *testing.T) {
		for _, state := range []tracking.State{
			tracking.StatePaused, tracking.StateCompleting, tracking.StateCompleted, tracking.StateAborting, tracking.StateAborted,
			tracking.StateSuperseded, tracking.StateUnknown,
		} {
			s := open(t)
			mustPut(t, s, "u1", state, future())
			_, err := s.Reserve(t.Context(), "u1", parts(part(1, 1000)), 1, future())
			wantErr(t, err, tracking.ErrNotOpen)
			wantSession(t, s, "u1", tracking.Session{State: state})
			mustPut(t, s, "u1", tracking.StateOpen, future())
			mustReserve(t, s, "u1", part(1, 1), 1, 1)
		}
	})
	t.Run("a refusal does not touch the expiry, a reservation does", func(t *testing.T) {
		s := open(t)
		mustPut(t, s, "u1", tracking.StatePaused, future())
		_, err := s.Reserve(t.Context(), "u1", parts(part(1, 1)), 0, past())
		wantErr(t, err, tracking.ErrNotOpen)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StatePaused})
		mustPut(t, s, "u1", tracking.StateOpen, future())
		if _, err := s.Reserve(t.Context(), "u1", parts(part(1, 1)), 0, past()); err != nil {
			t.Fatal(err)
		}
		wantNoSession(t, s, "u1")
	})
	t.Run("all of several parts enter, or none", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(2, 10), 100, 10)
		_, err := s.Reserve(t.Context(), "u1", parts(part(1, 50), part(2, 20), part(3, 31)), 100, past())
		wantErr(t, err, tracking.ErrOverLimit)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: parts(part(2, 10)), Bytes: 10})
		sum, err := s.Reserve(t.Context(), "u1", parts(part(1, 50), part(2, 20), part(3, 30)), 100, future())
		wantErr(t, err, nil)
		wantEqual(t, "sum", sum, int64(100))
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: parts(part(1, 50), part(2, 20), part(3, 30)), Bytes: 100})
	})
	t.Run("a thousand parts at once", func(t *testing.T) {
		s := open(t)
		var all []tracking.Part
		for n := range 1000 {
			all = append(all, part(n+1, 3))
		}
		sum, err := s.Reserve(t.Context(), "u1", all, 3000, future())
		wantErr(t, err, nil)
		wantEqual(t, "sum", sum, int64(3000))
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: all, Bytes: 3000})
	})
	t.Run("sessions do not share a sum", func(t *testing.T) {
		s := open(t)
		mustReserve(t, s, "u1", part(1, 10), 10, 10)
		mustReserve(t, s, "u2", part(1, 10), 10, 10)
	})
	t.Run("of 50 reservations at one moment no more enter than fit", func(t *testing.T) {
		s := open(t)
		var (
			mu      sync.Mutex
			entered int
			largest int64
			wg      sync.WaitGroup
		)
		for n := range 50 {
			wg.Go(func() {
				sum, err := s.Reserve(t.Context(), "u1", parts(part(n+1, 10)), 205, future())
				if err != nil && !errors.Is(err, tracking.ErrOverLimit) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					entered++
					largest = max(largest, sum)
				}
			})
		}
		wg.Wait()
		wantEqual(t, "entered", entered, 20)
		wantEqual(t, "largest sum", largest, int64(200))
		got := mustSession(t, s, "u1")
		wantEqual(t, "bytes", got.Bytes, int64(200))
		wantEqual(t, "parts", len(got.Parts), 20)
	})
}

func land(t *testing.T, open func(t *testing.T) tracking.Sessions) {
	mustLand := func(t *testing.T, s tracking.Sessions, list ...tracking.Part) {
		t.Helper()
		wantErr(t, s.Land(t.Context(), "u1", list, future()), nil)
	}
	t.Run("what landed lapses no more, and keeps what was declared", func(t *testing.T) {
		s := open(t)
		granted, other := part(1, 10), part(2, -1)
		granted.Until, other.Until, other.Checksum = future(), future(), "crc32:CCCCCC=="
		mustReserve(t, s, "u1", granted, 0, 10)
		mustReserve(t, s, "u1", other, 0, 10)
		told := landed(1, 8)
		told.Road, told.Checksum = "redirect", "md5:else"
		mustLand(t, s, told, landed(2, 5))
		first, second := granted, other
		first.Until, first.Landed = time.Time{}, told.Landed
		second.Until, second.Bytes, second.Landed = time.Time{}, 5, landed(2, 5).Landed
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: parts(first, second), Bytes: 15})
	})
	t.Run("a number without a line, and a session nobody knew", func(t *testing.T) {
		s := open(t)
		mustLand(t, s, landed(10000, 7))
		want := landed(10000, 7)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: parts(want), Bytes: 7})
		mustReserve(t, s, "u1", part(1, 3), 10, 10)
	})
	t.Run("a grant that lapsed counts no more but for what landed", func(t *testing.T) {
		s := open(t)
		granted := part(1, 10)
		granted.Until = past()
		if _, err := s.Reserve(t.Context(), "u1", parts(granted), 0, future()); err != nil {
			t.Fatal(err)
		}
		mustLand(t, s, landed(1, 4))
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: parts(landed(1, 4)), Bytes: 4})
	})
	t.Run("the last landing stands, until another body is on its way", func(t *testing.T) {
		s := open(t)
		mustLand(t, s, landed(1, 10))
		again := landed(1, 10)
		again.Landed.ETag, again.Landed.MD5 = "\"other\"", "5d41402abc4b2a76b9719d911017c592"
		mustLand(t, s, again)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: parts(again), Bytes: 10})
		mustReserve(t, s, "u1", part(1, 5), 0, 10)
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateOpen, Parts: parts(part(1, 10)), Bytes: 10})
	})
	t.Run("in any state, which it leaves", func(t *testing.T) {
		s := open(t)
		mustPut(t, s, "u1", tracking.StateCompleting, future())
		mustLand(t, s, landed(1, 10))
		wantSession(t, s, "u1", tracking.Session{State: tracking.StateCompleting, Parts: parts(landed(1, 10)), Bytes: 10})
	})
	t.Run("it decides the expiry", func(t *testing.T) {
		s := open(t)
		mustPut(t, s, "u1", tracking.StateOpen, future())
		wantErr(t, s.Land(t.Context(), "u1", parts(landed(1, 10)), past()), nil)
		wantNoSession(t, s, "u1")
	})
}

// landed is a part as it is reported.
func landed(number int, bytes int64) tracking.Part {
	p := part(number, bytes)
	p.Landed = &tracking.Landed{Bytes: bytes, ETag: "\"a tag, with words\"", SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
	return p
}

func part(number int, bytes int64) tracking.Part {
	return tracking.Part{Number: number, Bytes: bytes, Checksum: "crc32:AAAAAA==", Road: "relay"}
}

func parts(list ...tracking.Part) []tracking.Part { return list }

func mustPut(t *testing.T, s tracking.Sessions, id string, state tracking.State, until time.Time) {
	t.Helper()
	if err := s.PutState(t.Context(), id, state, until); err != nil {
		t.Fatal(err)
	}
}

func mustReserve(t *testing.T, s tracking.Sessions, id string, p tracking.Part, maxBytes, want int64) {
	t.Helper()
	sum, err := s.Reserve(t.Context(), id, parts(p), maxBytes, future())
	if err != nil {
		t.Fatalf("reserve %+v: %v", p, err)
	}
	wantEqual(t, "sum", sum, want)
}

func mustSession(t *testing.T, s tracking.Sessions, id string) *tracking.Session {
	t.Helper()
	got, err := s.Session(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Parts) == 0 {
		got.Parts = nil
	}
	return got
}

func wantSession(t *testing.T, s tracking.Sessions, id string, want tracking.Session) {
	t.Helper()
	wantEqual(t, "session", mustSession(t, s, id), &want)
}

func wantNoSession(t *testing.T, s tracking.Sessions, id string) {
	t.Helper()
	_, err := s.Session(t.Context(), id)
	wantErr(t, err, tracking.ErrNotFound)
}
