package tracking

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// What is erased while a batch waits is gone from it when it is stored, and its seal holds.
func TestABatchThatWaitedIsStoredErased(t *testing.T) {
	for _, spool := range []bool{true, false} {
		t.Run(map[bool]string{true: "in the spool", false: "in memory"}[spool], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				trail := new(fakeTrail)
				var known atomic.Pointer[map[string]time.Time] // nil: away
				c := WriterConfig{Trail: trail, Erasures: func(context.Context) (map[string]time.Time, error) {
					if erasures := known.Load(); erasures != nil {
						return *erasures, nil
					}
					return nil, errors.New("away")
				}}
				if spool {
					c.SpoolDir, c.SpoolMax = t.TempDir(), 1<<20
				}
				w := newWriter(t, c)
				trail.from(failed)
				_ = w.Record(t.Context(), Event{Operation: "a", Tenant: "acme", Subject: "alice-the-secret"}, Event{Operation: "b", Tenant: "other", Subject: "bob"})
				until := map[string]time.Time{"acme": time.Now().Add(time.Second)}
				trail.from(stored)
				time.Sleep(time.Minute)
				if n := len(trail.all()); n != 0 {
					t.Fatalf("%d batches stored while nobody knew what is to be erased", n)
				}
				known.Store(&until)
				time.Sleep(time.Minute)
				mustClose(t, w)
				events := trail.all()[0].Events
				if events[0].Subject != "" || events[0].Erased == nil || events[1].Subject != "bob" {
					t.Fatalf("stored: %+v", events)
				}
				check := Checker{Keys: map[int][]byte{0: chainKey}, Erasures: until}
				check.Add(&trail.all()[0])
				if faults := check.End(true); faults != nil {
					t.Fatal(faults)
				}
				if spool {
					if raw, err := os.ReadFile(filepath.Join(c.SpoolDir, spoolFile)); err != nil || bytes.Contains(raw, []byte("alice-the-secret")) {
						t.Fatalf("it is still in the file of the spool: %v", err)
					}
				}
			})
		})
	}
}

func TestOlderEventsAreDroppedByTheDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		w := newWriter(t, WriterConfig{Trail: trail})
		archive := &expiring{batches: sealedChain()} // of 2026-03-01, 12:00
		var ahead atomic.Int64
		clock := func() time.Time {
			return time.Date(2026, 3, 8, 23, 59, 0, 0, time.UTC).Add(time.Duration(ahead.Load()))
		}
		a := &Auditor{Archive: archive, Keys: testKeys, KeyVersion: 1, Now: clock}
		k := &Keeper{Auditor: a, Writer: w, Retention: 7 * 24 * time.Hour, Log: w.c.Log}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); k.Run(ctx) }()
		synctest.Wait()
		if stubs := archive.cut(); len(stubs) != 0 {
			t.Fatalf("dropped a day too early: %v", stubs)
		}
		ahead.Store(int64(time.Minute))
		time.Sleep(time.Hour)
		synctest.Wait()
		if stubs := archive.cut(); len(stubs) != 2 || stubs["a"].Seq != 3 || stubs["b"].Seq != 3 {
			t.Fatalf("stubs %v", stubs)
		}
		cancel()
		<-ended
		mustClose(t, w)
		if e := trail.all()[0].Events[0]; e.Operation != "partway:DropEvents" || e.Count != 6 || e.Target != "2026-03-02T00:00:00Z" {
			t.Fatalf("event %+v", e)
		}
	})
}

// expiring keeps what is cut.
type expiring struct {
	fakeArchive
	batches []Batch

	mu    sync.Mutex
	stubs map[string]*Batch
}

func (x *expiring) cut() map[string]*Batch {
	x.mu.Lock()
	defer x.mu.Unlock()
	return maps.Clone(x.stubs)
}

func (x *expiring) Batches(_ context.Context, q EventQuery) (page []Batch, next string, err error) {
	for _, b := range x.batches {
		if b.Time.Before(q.Until) {
			page = append(page, b)
		}
	}
	return page, "", nil
}

func (x *expiring) CutChain(_ context.Context, stub *Batch) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.stubs == nil {
		x.stubs = map[string]*Batch{}
	}
	x.stubs[stub.Writer] = stub
	return nil
}

func (x *expiring) Scrub(context.Context) error { return nil }
