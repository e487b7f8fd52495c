package tracking

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestRecordStampsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		at := time.Date(2026, 3, 1, 13, 0, 0, 123_999_999, time.FixedZone("CET", 3600))
		w := newWriter(t, WriterConfig{Trail: trail, Now: func() time.Time { return at }})
		mustRecord(t, w, "UploadPart")
		mustClose(t, w)
		b := trail.all()[0]
		e := b.Events[0]
		want := Event{
			ID: w.id + "-1-0", Time: time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC), Operation: "UploadPart",
			Gateway: "gw1", Writer: w.id, Seq: 1, Salt: e.Salt,
		}
		if !reflect.DeepEqual(e, want) || b.Seq != 1 || b.Writer != w.id || !b.Time.Equal(e.Time) || w.id == "" {
			t.Fatalf("batch %+v, want the event %+v", b, want)
		}
	})
}

func TestTimeDoesNotRunBackwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		w := newWriter(t, WriterConfig{Trail: trail, Now: func() time.Time { return now }})
		mustRecord(t, w, "a")
		now = now.Add(-time.Hour)
		mustRecord(t, w, "b")
		mustClose(t, w)
		if a, b := trail.all()[0].Time, trail.all()[1].Time; b.Before(a) {
			t.Fatalf("times %v, %v", a, b)
		}
	})
}

func TestLoneCallerWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWriter(t, WriterConfig{Trail: new(fakeTrail), Window: time.Second})
		start := time.Now()
		mustRecord(t, w, "a", "b", "c")
		if waited := time.Since(start); waited != 0 {
			t.Fatalf("waited %v", waited)
		}
		mustClose(t, w)
	})
}

func TestCrowdSharesBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd, rounds = 1200, 3
		trail := new(fakeTrail)
		trail.delay.Store(int64(time.Millisecond)) // which a bubble's clock takes once all others wait: they come together
		w := newWriter(t, WriterConfig{Trail: trail})
		for range rounds {
			var wg sync.WaitGroup
			for range crowd {
				wg.Go(func() { mustRecord(t, w, "UploadPart") })
			}
			wg.Wait()
		}
		mustClose(t, w)
		if got := len(trail.operations()); got != crowd*rounds {
			t.Fatalf("%d events, want %d", got, crowd*rounds)
		}
		for _, b := range trail.all() {
			if len(b.Events) > batchEvents {
				t.Fatalf("a batch of %d events", len(b.Events))
			}
		}
		if got := len(trail.all()); got > rounds*(crowd/batchEvents+3) {
			t.Fatalf("%d batches for %d events", got, crowd*rounds)
		}
	})
}

// A document of MongoDB holds 16 MiB, and JSON may need six bytes for one.
func TestBatchIsBoundedInBytes(t *testing.T) {
	const most = 16 << 20 / 6
	for _, c := range []struct {
		name   string
		long   string // every string of every event
		events int
	}{
		{"as long as a head", strings.Repeat("x", 16<<10), 60},
		{"longer", strings.Repeat("<\xff", 64<<10), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				trail := new(fakeTrail)
				w := newWriter(t, WriterConfig{Trail: trail})
				for range c.events {
					var e Event
					v := reflect.ValueOf(&e).Elem()
					for f := range v.NumField() {
						if v.Field(f).Kind() == reflect.String {
							v.Field(f).SetString(c.long)
						}
					}
					w.Note(e)
				}
				mustClose(t, w)
				for _, b := range trail.all() {
					raw, err := bson.Marshal(b)
					if err != nil || len(raw) > most {
						t.Fatalf("a batch of %d bytes, %v", len(raw), err)
					}
				}
				if got := len(trail.operations()); got != c.events {
					t.Fatalf("%d events, want %d", got, c.events)
				}
			})
		})
	}
}

func TestLongStringsAreCut(t *testing.T) {
	for _, c := range []struct{ name, given, want string }{
		{"as long as may be", strings.Repeat("x", longestString), strings.Repeat("x", longestString)},
		{"longer", strings.Repeat("x", longestString+1), strings.Repeat("x", longestString-3) + "\u2026"},
		{"within a character", "xy" + strings.Repeat("\u00e9", longestString), "xy" + strings.Repeat("\u00e9", longestString/2-3) + "\u2026"},
		{"longer once repaired", strings.Repeat("x\xff", longestString/3), strings.Repeat("x\ufffd", longestString/4-1) + "x\u2026"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Event{UserAgent: c.given}
			size := clean(&e)
			if e.UserAgent != c.want || size != eventBytes+len(c.want) {
				t.Errorf("%d bytes, ...%q, want %d, ...%q", len(e.UserAgent), e.UserAgent[len(e.UserAgent)-8:], len(c.want), c.want[len(c.want)-8:])
			}
		})
	}
}

func TestNotesAreWrittenWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		w := newWriter(t, WriterConfig{Trail: trail})
		w.Note(Event{Operation: "GetObject"})
		w.Note(Event{Operation: "HeadObject"})
		if w.Queued() != 2 {
			t.Fatalf("queued %d, want 2", w.Queued())
		}
		time.Sleep(3 * time.Millisecond)
		synctest.Wait()
		wantOperations(t, trail, "GetObject", "HeadObject")
		if w.Queued() != 0 || len(trail.all()) != 1 {
			t.Fatalf("queued %d, batches %d", w.Queued(), len(trail.all()))
		}
		mustClose(t, w)
	})
}

func TestSeveralEventsOfOneCallAreDurableTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		w := newWriter(t, WriterConfig{Trail: trail})
		events := make([]Event, 1000)
		for i := range events {
			events[i].Operation = "UploadPart"
		}
		if err := w.Record(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		if got, batches := len(trail.operations()), len(trail.all()); got != 1000 || batches != 1 || w.Queued() != 0 {
			t.Fatalf("%d events in %d batches, %d queued", got, batches, w.Queued())
		}
		trail.from(failed)
		if err := w.Record(t.Context(), events[:3]...); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("record: %v", err)
		}
		trail.from(stored)
		mustClose(t, w)
	})
}

func TestCloseWritesWhatWasHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		w := newWriter(t, WriterConfig{Trail: trail})
		for range 1234 {
			w.Note(Event{Operation: "x"})
		}
		mustClose(t, w)
		if got := len(trail.operations()); got != 1234 || w.Queued() != 0 {
			t.Fatalf("%d events, %d queued", got, w.Queued())
		}
		if err := w.Record(t.Context(), Event{}); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("record after close: %v", err)
		}
		if err := w.Close(t.Context()); err == nil {
			t.Fatal("closed twice")
		}
	})
}

func TestCloseCutsAHangingTrailShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		trail.from(hanging)
		w := newWriter(t, WriterConfig{Trail: trail, Timeout: time.Hour})
		w.Note(Event{Operation: "a"})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := w.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "1 audit events lost") {
			t.Fatalf("close: %v", err)
		}
		if took := time.Since(start); took != time.Second {
			t.Fatalf("took %v", took)
		}
	})
}

func TestRecordGivesUpWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		trail := new(fakeTrail)
		trail.from(hanging)
		w := newWriter(t, WriterConfig{Trail: trail, Timeout: time.Minute})
		taken := make(chan error, 1)
		go func() { taken <- w.Record(t.Context(), Event{Operation: "taken"}) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Record(ctx, Event{Operation: "not taken"}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("record: %v", err)
		}
		trail.from(stored)
		if err := <-taken; !errors.Is(err, ErrUnavailable) {
			t.Fatalf("record of a trail that hangs: %v", err)
		}
		mustClose(t, w)
		wantOperations(t, trail, "taken")
		if w.Queued() != 0 {
			t.Fatalf("queued %d", w.Queued())
		}
	})
}

func TestEveryStringIsMadeValid(t *testing.T) {
	var e Event
	v := reflect.ValueOf(&e).Elem()
	given := map[string]bool{"ID": true, "Gateway": true, "Writer": true} // by the Writer
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.String {
			v.Field(i).SetString("a\xffb")
		}
	}
	e.Keys = []string{"a\xffb", strings.Repeat("x", longestString+1)}
	clean(&e)
	if e.Keys[0] != "a\ufffdb" || len(e.Keys[1]) != longestString {
		t.Errorf("keys %q and one of %d bytes", e.Keys[0], len(e.Keys[1]))
	}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Field(i).Kind() == reflect.String && !given[name] && !utf8.ValidString(v.Field(i).String()) {
			t.Errorf("%s keeps bytes that are not UTF-8", name)
		}
	}
}

func TestNewWriterChecksItsConfig(t *testing.T) {
	dir := t.TempDir()
	busy := newWriter(t, WriterConfig{Trail: new(fakeTrail), SpoolDir: dir, SpoolMax: 1 << 20})
	defer mustClose(t, busy)
	for _, c := range []struct {
		name, want string
		config     WriterConfig
	}{
		{"no trail", "no trail", WriterConfig{ChainKey: chainKey}},
		{"no key", "no chain key", WriterConfig{Trail: new(fakeTrail)}},
		{"no spool size", "needs a size", WriterConfig{Trail: new(fakeTrail), ChainKey: chainKey, SpoolDir: t.TempDir()}},
		{
			"a spool in use", fmt.Sprintf("%s: another partway process uses it", filepath.Join(dir, spoolFile)),
			WriterConfig{Trail: new(fakeTrail), ChainKey: chainKey, SpoolDir: dir, SpoolMax: 1 << 20},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := NewWriter(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}
