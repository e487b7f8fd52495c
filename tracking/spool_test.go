package tracking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestTrailAwayGoesToSpoolAndDrainsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		w := newWriter(t, WriterConfig{Trail: trail, SpoolDir: t.TempDir(), SpoolMax: 1 << 20})
		mustRecord(t, w, "a")
		trail.from(failed)
		mustRecord(t, w, "b", "c", "d")
		wantOperations(t, trail, "a")
		if w.Spooled() != 3 || w.Queued() != 0 {
			t.Fatalf("spooled %d, queued %d", w.Spooled(), w.Queued())
		}
		trail.from(stored)
		mustRecord(t, w, "e")
		time.Sleep(longestPause)
		synctest.Wait()
		wantOperations(t, trail, "a", "b", "c", "d", "e")
		if w.Spooled() != 0 {
			t.Fatalf("spooled %d after draining", w.Spooled())
		}
		before := len(trail.tries())
		mustRecord(t, w, "f")
		if got := len(trail.tries()) - before; got != 1 {
			t.Fatalf("%d appends for one batch after draining", got)
		}
		mustClose(t, w)
		wantOperations(t, trail, "a", "b", "c", "d", "e", "f")
	})
}

func TestTrailThatHangsIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		trail.from(hanging)
		w := newWriter(t, WriterConfig{Trail: trail, SpoolDir: t.TempDir(), SpoolMax: 1 << 20, Timeout: time.Second})
		start := time.Now()
		mustRecord(t, w, "a")
		if took := time.Since(start); took != time.Second {
			t.Fatalf("first record took %v, want the timeout", took)
		}
		mustRecord(t, w, "b")
		if took := time.Since(start); took != time.Second {
			t.Fatalf("second record waited for the trail: %v", took)
		}
		trail.from(stored)
		time.Sleep(time.Minute)
		mustClose(t, w)
		wantOperations(t, trail, "a", "b")
	})
}

func TestDrainerPausesWhileTrailIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		trail.from(failed)
		w := newWriter(t, WriterConfig{Trail: trail, SpoolDir: t.TempDir(), SpoolMax: 1 << 20})
		mustRecord(t, w, "a")
		time.Sleep(time.Hour)
		if got, most := len(trail.tries()), int(time.Hour/longestPause)+10; got > most || got < most/2 {
			t.Fatalf("%d tries in an hour, want about %d", got, most)
		}
		mustClose(t, w)
	})
}

func TestAppendThatPersistedIsStoredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		trail.from(persisted)
		w := newWriter(t, WriterConfig{Trail: trail, SpoolDir: t.TempDir(), SpoolMax: 1 << 20})
		mustRecord(t, w, "a", "b")
		trail.from(stored)
		time.Sleep(time.Minute)
		mustClose(t, w)
		wantOperations(t, trail, "a", "b")
	})
}

func TestLeftoversOfAnEarlierRunDrainFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := WriterConfig{Trail: new(fakeTrail), SpoolDir: t.TempDir(), SpoolMax: 1 << 20}
		config.Trail.(*fakeTrail).from(failed)
		first := newWriter(t, config)
		mustRecord(t, first, "a", "b")
		mustClose(t, first)

		trail := new(fakeTrail)
		trail.from(failed)
		config.Trail = trail
		second := newWriter(t, config)
		if second.Spooled() != 2 {
			t.Fatalf("spooled %d, want 2", second.Spooled())
		}
		mustRecord(t, second, "c")
		trail.from(stored)
		time.Sleep(time.Minute)
		mustRecord(t, second, "d")
		mustClose(t, second)
		wantOperations(t, trail, "a", "b", "c", "d")
		if first.id == second.id {
			t.Fatal("two runs share a writer id")
		}
	})
}

func TestNoSpoolFailsAndRetriesTheSameBatch(t *testing.T) {
	for name, how := range map[string]outcome{"failed": failed, "failed but persisted": persisted} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				trail := new(fakeTrail)
				w := newWriter(t, WriterConfig{Trail: trail})
				mustRecord(t, w, "a")
				trail.from(how)
				start := time.Now()
				for _, operation := range []string{"b", "c"} {
					if err := w.Record(t.Context(), Event{Operation: operation}); !errors.Is(err, ErrUnavailable) {
						t.Fatalf("record %s: %v", operation, err)
					}
				}
				if took := time.Since(start); took != 0 {
					t.Fatalf("refusals took %v", took)
				}
				if w.Queued() != 1 {
					t.Fatalf("queued %d, want the event of the batch that is kept", w.Queued())
				}
				trail.from(stored)
				time.Sleep(longestPause)
				mustRecord(t, w, "d")
				mustClose(t, w)
				wantOperations(t, trail, "a", "b", "d")
				for _, try := range trail.tries() {
					if i := slices.IndexFunc(trail.all(), func(b Batch) bool { return b.Seq == try.Seq }); string(trail.all()[i].MAC) != string(try.MAC) {
						t.Fatalf("seq %d was sealed twice", try.Seq)
					}
				}
			})
		})
	}
}

func TestNotesWaitWhileNothingCanBeStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		trail.from(failed)
		w := newWriter(t, WriterConfig{Trail: trail})
		w.Note(Event{Operation: "first"})
		time.Sleep(time.Second)
		for range noteQueue {
			w.Note(Event{Operation: "waiting"})
		}
		blocked := make(chan struct{})
		go func() {
			w.Note(Event{Operation: "last"})
			close(blocked)
		}()
		time.Sleep(time.Hour)
		select {
		case <-blocked:
			t.Fatal("a note past the bound did not block")
		default:
		}
		if got := w.Queued(); got != noteQueue+2 {
			t.Fatalf("queued %d, want %d", got, noteQueue+2)
		}
		trail.from(stored)
		<-blocked
		mustClose(t, w)
		if got := trail.operations(); len(got) != noteQueue+2 || got[0] != "first" || got[len(got)-1] != "last" {
			t.Fatalf("%d events", len(got))
		}
	})
}

func TestFullSpoolRefusesAndTheChainStaysWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		trail.from(failed)
		w := newWriter(t, WriterConfig{Trail: trail, SpoolDir: t.TempDir(), SpoolMax: 4 << 10})
		var kept []string
		for n := 0; ; n++ {
			operation := fmt.Sprint(n)
			err := w.Record(t.Context(), Event{Operation: operation})
			kept = append(kept, operation) // the refused one too: its batch was sealed
			if err != nil {
				if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errSpoolFull) {
					t.Fatalf("record into a full spool: %v", err)
				}
				break
			}
		}
		if len(kept) < 3 || w.spool.bytes.Load() > 4<<10 {
			t.Fatalf("%d events, %d bytes in the spool", len(kept), w.spool.bytes.Load())
		}
		if err := w.Record(t.Context(), Event{Operation: "refused"}); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("record behind a full spool: %v", err)
		}
		trail.from(stored)
		time.Sleep(time.Minute)
		mustRecord(t, w, "back")
		mustClose(t, w)
		wantOperations(t, trail, append(kept, "back")...)
		if got := w.spool.bytes.Load(); got != 0 {
			t.Fatalf("%d bytes counted in an empty spool", got)
		}
	})
}

func TestLossAtCloseIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		trail.from(failed)
		w := newWriter(t, WriterConfig{Trail: trail})
		w.Note(Event{})
		time.Sleep(time.Second)
		w.Note(Event{})
		if err := w.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "2 audit events lost") {
			t.Fatalf("close: %v", err)
		}
	})
}

func TestSpoolEmptiesUnderSteadyLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		trail.from(failed)
		w := newWriter(t, WriterConfig{Trail: trail, SpoolDir: t.TempDir(), SpoolMax: 1 << 30})
		for range 20 {
			mustRecord(t, w, "x")
		}
		// A trail that is back but slower than the spool: without giving way the queue would only grow.
		trail.delay.Store(int64(20 * time.Millisecond))
		trail.from(stored)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var callers sync.WaitGroup
		for range 4 {
			callers.Go(func() {
				for w.Record(ctx, Event{Operation: "x"}) == nil {
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		time.Sleep(30 * time.Second)
		if got := w.Spooled(); got != 0 {
			t.Errorf("%d batches in the spool", got)
		}
		cancel()
		callers.Wait()
		mustClose(t, w)
		if faults := faultsOf(trail.all()); faults != nil {
			t.Fatal(faults)
		}
	})
}

// Whatever the trail does, the trail's chain is whole at the end, an acknowledged event is in it once, and no event twice.
func TestAcknowledgedEventsAreStoredOnce(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		outcomes := rapid.SliceOfN(rapid.SampledFrom([]outcome{stored, failed, persisted, hanging}), 0, 40).Draw(r, "outcomes")
		withSpool := rapid.Bool().Draw(r, "spool")
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"record", "note", "pause", "restart"}), 1, 30).Draw(r, "steps")
		synctest.Test(t, func(t *testing.T) {
			trail := new(fakeTrail)
			trail.next = func() (how outcome) {
				if len(outcomes) > 0 {
					how, outcomes = outcomes[0], outcomes[1:]
				}
				return how
			}
			config := WriterConfig{Trail: trail}
			if withSpool {
				config.SpoolDir, config.SpoolMax = t.TempDir(), 4<<10
			}
			w := newWriter(t, config)
			acknowledged := map[string]bool{}
			for n, step := range steps {
				operation := fmt.Sprint(n)
				switch step {
				case "record":
					if w.Record(t.Context(), Event{Operation: operation}) == nil {
						acknowledged[operation] = true
					}
				case "note":
					w.Note(Event{Operation: operation})
				case "pause":
					time.Sleep(time.Second)
				case "restart":
					_ = w.Close(t.Context()) // a loss is of events that were not acknowledged
					w = newWriter(t, config)
				}
			}
			trail.from(stored)
			time.Sleep(time.Hour)
			mustClose(t, w)
			if faults := faultsOf(trail.all()); faults != nil {
				t.Error(faults)
			}
			seen := map[string]int{}
			for _, operation := range trail.operations() {
				seen[operation]++
			}
			for operation, count := range seen {
				if count > 1 {
					t.Errorf("event %s is stored %d times", operation, count)
				}
			}
			for operation := range acknowledged {
				if seen[operation] != 1 {
					t.Errorf("acknowledged event %s is stored %d times", operation, seen[operation])
				}
			}
		})
		if t.Failed() {
			r.FailNow()
		}
	})
}
