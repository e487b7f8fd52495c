package tracking

import (
	"bytes"
	"log/slog"
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
