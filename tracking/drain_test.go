package tracking

import (
	"bytes"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A batch that is not taken holds up all behind it, so the log must not fall silent about it.
func TestLogTellsOfABatchThatIsNotTaken(t *testing.T) {
	for _, c := range []struct {
		name              string
		how               outcome
		atOnce, inAnyHour int // errors logged
	}{
		{"refused", refused, 1, 60},
		{"away", failed, 0, 59},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				trail := new(fakeTrail)
				trail.from(c.how)
				var log lockedBuffer
				errorsOnly := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
				w := newWriter(t, WriterConfig{Trail: trail, SpoolDir: t.TempDir(), SpoolMax: 1 << 20, Log: errorsOnly})
				mustRecord(t, w, "a", "b")
				synctest.Wait()
				if got := strings.Count(log.String(), "\n"); got != c.atOnce {
					t.Errorf("%d errors at once, want %d:\n%s", got, c.atOnce, log.String())
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := strings.Count(log.String(), "\n"); got < c.inAnyHour-2 || got > c.inAnyHour+1 {
					t.Errorf("%d errors in an hour, want about %d", got, c.inAnyHour)
				}
				if !strings.Contains(log.String(), "batch 1 of writer "+w.id) || !strings.Contains(log.String(), "batches=2") {
					t.Errorf("the log does not say which batch, or how many wait:\n%s", log.String())
				}
				trail.from(stored)
				time.Sleep(longestPause)
				synctest.Wait()
				wantOperations(t, trail, "a", "b")
				mustClose(t, w)
			})
		})
	}
}

// Hundreds of batches that waited move many at once, in order; after a failure one by one, so that what can be stored is.
func TestWhatWaitedMovesManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		trail.from(failed)
		w := newWriter(t, WriterConfig{Trail: trail, SpoolDir: t.TempDir(), SpoolMax: 1 << 30})
		var want []string
		for i := range 300 {
			want = append(want, strconv.Itoa(i))
			mustRecord(t, w, want[i])
		}
		before := trail.calls.Load()
		trail.from(stored)
		time.Sleep(longestPause)
		synctest.Wait()
		wantOperations(t, trail, want...)
		if calls := trail.calls.Load() - before; calls > 20 {
			t.Errorf("%d calls for 300 batches", calls)
		}
		mustClose(t, w)
		if faults := faultsOf(trail.all()); faults != nil {
			t.Fatal(faults)
		}
	})
}

// The spool gives out no more at once than fits, but always something.
func TestTheSpoolGivesOutWhatFits(t *testing.T) {
	s, err := openSpool(t.TempDir(), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for seq := range 5 {
		if err := s.append(&Batch{Writer: "w", Seq: int64(seq + 1)}); err != nil {
			t.Fatal(err)
		}
	}
	each := int(s.bytes.Load() / 5)
	for _, c := range []struct{ n, size, want int }{{1, 1, 1}, {5, 1, 1}, {5, 2 * each, 2}, {5, 2*each + each - 1, 2}, {3, 1 << 20, 3}, {9, 1 << 20, 5}} {
		got, err := s.first(c.n, c.size)
		if err != nil || len(got) != c.want || got[0].Seq != 1 || got[c.want-1].Seq != int64(c.want) {
			t.Errorf("first(%d, %d): %d batches (%v), want %d from the first on", c.n, c.size, len(got), err, c.want)
		}
	}
	if err := s.removeFirst(2); err != nil {
		t.Fatal(err)
	}
	if got, err := s.first(9, 1<<20); err != nil || len(got) != 3 || got[0].Seq != 3 || s.bytes.Load() != int64(3*each) {
		t.Errorf("after two were removed: %d batches (%v), %d bytes", len(got), err, s.bytes.Load())
	}
}

// lockedBuffer may be read while a logger writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
