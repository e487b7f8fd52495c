package tracking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var chainKey = []byte("chain key of the tests")

// outcome of one append to a fakeTrail.
type outcome int

const (
	stored    outcome = iota
	failed            // and not stored
	persisted         // stored, but reported as failed
	hanging           // until the caller gives up, not stored
	refused           // and not stored, by a trail that is there
)

// fakeTrail keeps batches in the order of arrival.
type fakeTrail struct {
	delay    atomic.Int64 // of every append, in nanoseconds
	calls    atomic.Int64 // of AppendBatch
	mu       sync.Mutex
	next     func() outcome // nil: stored
	batches  []Batch
	attempts []Batch
}

func (f *fakeTrail) AppendBatch(ctx context.Context, batches ...*Batch) error {
	f.calls.Add(1)
	for _, b := range batches {
		if err := f.appendOne(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeTrail) appendOne(ctx context.Context, b *Batch) error {
	time.Sleep(time.Duration(f.delay.Load())) // not under the lock: a bubble's clock stands while someone waits for one
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts = append(f.attempts, clone(b))
	how := stored
	if f.next != nil {
		how = f.next()
	}
	if how == hanging {
		f.mu.Unlock()
		<-ctx.Done()
		f.mu.Lock()
	}
	if how == stored || how == persisted {
		f.keep(b)
	}
	switch how {
	case stored:
		return nil
	case refused:
		return errors.New("fake trail: not such a batch")
	default:
		return fmt.Errorf("fake trail: %w", ErrUnavailable)
	}
}

func (f *fakeTrail) keep(b *Batch) {
	for i := range f.batches {
		if f.batches[i].Writer == b.Writer && f.batches[i].Seq == b.Seq {
			return
		}
	}
	f.batches = append(f.batches, clone(b))
}

func (f *fakeTrail) Events(context.Context, EventQuery) ([]Event, string, error) { return nil, "", nil }

// from sets how appends go from now on.
func (f *fakeTrail) from(how outcome) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = func() outcome { return how }
}

func (f *fakeTrail) all() []Batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Batch(nil), f.batches...)
}

func (f *fakeTrail) tries() []Batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Batch(nil), f.attempts...)
}

// operations are the events' in stored order: the tests tell events apart by them.
func (f *fakeTrail) operations() []string {
	var all []string
	for _, b := range f.all() {
		for _, e := range b.Events {
			all = append(all, e.Operation)
		}
	}
	return all
}

func clone(b *Batch) (c Batch) {
	raw, err := json.Marshal(b)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil {
		panic(err)
	}
	return c
}

func newWriter(t *testing.T, c WriterConfig) *Writer {
	t.Helper()
	c.ChainKey, c.Gateway = chainKey, "gw1"
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	w, err := NewWriter(c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func mustClose(t *testing.T, w *Writer) {
	t.Helper()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func mustRecord(t *testing.T, w *Writer, operations ...string) {
	t.Helper()
	for _, operation := range operations {
		if err := w.Record(t.Context(), Event{Operation: operation}); err != nil {
			t.Fatalf("record %s: %v", operation, err)
		}
	}
}

func wantOperations(t *testing.T, f *fakeTrail, want ...string) {
	t.Helper()
	if got := f.operations(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("trail has %v, want %v", got, want)
	}
	if faults := faultsOf(f.all()); faults != nil {
		t.Fatal(faults)
	}
}
