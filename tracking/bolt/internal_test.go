package bolt

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"partway/tracking"
)

// A field that gains json:"-" and is forgotten in row would be lost silently.
func TestRowKeepsEveryField(t *testing.T) {
	u := tracking.Upload{Completion: &tracking.Completion{Charge: new(tracking.Charge)}, Notice: new(tracking.Notice), Resumable: new(tracking.Resumable)}
	fill(t, reflect.ValueOf(&u).Elem())
	fill(t, reflect.ValueOf(u.Completion).Elem())
	fill(t, reflect.ValueOf(u.Completion.Charge).Elem())
	fill(t, reflect.ValueOf(u.Notice).Elem())
	fill(t, reflect.ValueOf(u.Resumable).Elem())
	raw, err := encodeUpload(&u)
	if err != nil {
		t.Fatal(err)
	}
	back, err := decodeUpload(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, &u) {
		t.Fatalf("got %+v\nwant %+v", back, &u)
	}
}

func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case string, tracking.State:
			f.SetString(v.Type().Field(i).Name)
		case int, int64:
			f.SetInt(int64(i + 1))
		case time.Time:
			f.Set(reflect.ValueOf(time.UnixMilli(1772366400000 + int64(i)).UTC()))
		case []byte:
			f.SetBytes([]byte{0, 0xff})
		case []string:
			f.Set(reflect.ValueOf([]string{"a", "b"}))
		case *tracking.Completion, *tracking.Charge, *tracking.Notice, *tracking.Resumable:
		default:
			t.Fatalf("teach this test %s %s", v.Type().Field(i).Name, f.Type())
		}
	}
}

// Refusals must not make bbolt roll back and repeat what shares their transaction.
func TestRefusalLeavesItsCompanionsAlone(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.db.MaxBatchDelay = time.Hour // until all have come
	s.db.MaxBatchSize = 3
	runs := make([]int, 3)
	var wg sync.WaitGroup
	for n := range runs {
		wg.Go(func() {
			err := s.update(t.Context(), "test", func(*bbolt.Tx) error {
				runs[n]++
				if n == 1 {
					return fmt.Errorf("refused: %w", tracking.ErrConflict)
				}
				return nil
			})
			if errors.Is(err, tracking.ErrConflict) != (n == 1) || (err != nil) != (n == 1) {
				t.Errorf("caller %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	if !reflect.DeepEqual(runs, []int{1, 1, 1}) {
		t.Fatalf("runs %v", runs)
	}
}

func TestClosedStringsSortAsTheStringsDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.SampledFrom([]rune{0, 1, 2, 'a', '/', 0xff, 0x10ffff}), 0, 4, -1)
		a, b := text.Draw(t, "a"), text.Draw(t, "b")
		rest := text.Draw(t, "rest")
		if (a < b) != (closed(a)+rest < closed(b)) && a != b {
			t.Fatalf("%q and %q sort otherwise once closed", a, b)
		}
		if a != b && (behind(closed(a)) < closed(b)) != (a < b) {
			t.Fatalf("behind %q is not before %q", a, b)
		}
		if behind(closed(a)) <= closed(a)+rest {
			t.Fatalf("behind %q does not skip %q", a, rest)
		}
	})
}

func TestInstantsSortAsTheTimesDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		millis := rapid.Int64Range(-1<<60, 1<<60)
		a, b := millis.Draw(t, "a"), millis.Draw(t, "b")
		if (a < b) != (instant(time.UnixMilli(a)) < instant(time.UnixMilli(b))) {
			t.Fatalf("%d and %d sort otherwise", a, b)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(uploadCursor.cursor(instant(time.UnixMilli(0)) + "record"))
	f.Add(eventCursor.cursor(place{batch: instant(time.UnixMilli(0)), behind: 1}.position()))
	f.Add("")
	f.Fuzz(func(t *testing.T, cursor string) {
		for _, kind := range []cursorKind{uploadCursor, eventCursor} {
			if _, err := kind.position(cursor); err != nil && !errors.Is(err, tracking.ErrBadCursor) {
				t.Fatal(err)
			}
			if _, err := eventsFrom(tracking.EventQuery{Cursor: cursor}); err != nil && !errors.Is(err, tracking.ErrBadCursor) {
				t.Fatal(err)
			}
		}
	})
}
