package bolt

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"partway/tracking"
	"partway/tracking/trackingtest"
)

// The whole contract, with entries that are entered into the listings now and then rather than never.
func TestContractWhileListingsAreEntered(t *testing.T) {
	trackingtest.Store(t, func(t *testing.T) tracking.Store {
		s, err := Open(Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		s.listAtOnce, s.db.NoSync = 2, true
		return s
	})
}

// Whatever was entered, waits or is gone: a walk sees what is under the name, in order, once. Names are such that one is part of another, closed or not.
func TestAListingFindsWhatWasAdded(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.db.NoSync = true
	pool := []string{"a", "aa", "\x00", "\x01", "\x00\x01", "a\x00\x01a", "\xff"}
	rapid.Check(t, func(rt *rapid.T) {
		tx, err := s.db.Begin(true)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		want := map[string]map[string]bool{}
		atOnce := rapid.SampledFrom([]int{1, 8, 40}).Draw(rt, "at once")
		batch := rapid.Custom(func(rt *rapid.T) string {
			return instant(time.UnixMilli(rapid.Int64Range(0, 20).Draw(rt, "at"))) + closed("w") + number(1)
		})
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			key := batch.Draw(rt, "batch")
			if names := want[key]; names != nil {
				var all []string
				for name := range names {
					all = append(all, name)
				}
				if err := byUpload.drop(tx, []byte(key), all); err != nil {
					rt.Fatal(err)
				}
				delete(want, key)
				continue
			}
			names := rapid.SliceOfN(rapid.SampledFrom(append(pool, "")), 0, 5).Draw(rt, "names")
			want[key] = map[string]bool{}
			for _, name := range names {
				want[key][name] = true
			}
			if err := byUpload.add(tx, key, names, atOnce); err != nil {
				rt.Fatal(err)
			}
		}
		from := batch.Draw(rt, "from")
		for _, name := range pool {
			var expected []string
			for key, names := range want {
				if names[name] && key >= from {
					expected = append(expected, key)
				}
			}
			slices.Sort(expected)
			if got := slices.Collect(byUpload.from(tx, name, from)); !reflect.DeepEqual(got, expected) {
				rt.Fatalf("under %q from %x: %x, want %x", name, from, got, expected)
			}
		}
	})
}

// What waits is in the file: it is found by whoever opens that next, and is bounded.
func TestWhatWaitsToBeListedIsKeptAndBounded(t *testing.T) {
	dir := t.TempDir()
	const atOnce, many = 10, 35
	for n := range many {
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		s.db.NoSync, s.listAtOnce = true, atOnce
		b := &tracking.Batch{Writer: "w", Seq: int64(n + 1), Time: time.UnixMilli(int64(n)), Events: []tracking.Event{{UploadID: fmt.Sprint("u", n%3), Tenant: "t"}}}
		if err := s.AppendBatch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		page, _, err := s.Events(t.Context(), tracking.EventQuery{UploadID: "u1"})
		if err != nil || len(page) != (n+2)/3 {
			t.Fatalf("after %d batches: %d events of an upload, %v; want %d", n+1, len(page), err, (n+2)/3)
		}
		err = s.db.View(func(tx *bbolt.Tx) error {
			for _, l := range []listing{byUpload, byTenant} {
				if got := tx.Bucket(l.waiting).Stats().KeyN; got != (n+1)%atOnce {
					t.Fatalf("after %d batches %d wait, want %d", n+1, got, (n+1)%atOnce)
				}
				if got, most := tx.Bucket(l.sorted).Stats().KeyN, max(0, atOnce-2*((n+1)%atOnce)); got > most {
					t.Fatalf("after %d batches %d are sorted, want %d at most", n+1, got, most)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
