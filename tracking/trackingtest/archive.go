package trackingtest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"partway/tracking"
)

// allBatches walks Chain or Batches to its end.
func allBatches(t *testing.T, read func(cursor string) ([]tracking.Batch, string, error)) (all []tracking.Batch) {
	t.Helper()
	cursor := ""
	for range 1000 {
		page, next, err := read(cursor)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		cursor = next
	}
	t.Fatal("the batches never end")
	return nil
}

func chainOf(t *testing.T, s tracking.Archive, limit int) []tracking.Batch {
	t.Helper()
	return allBatches(t, func(cursor string) ([]tracking.Batch, string, error) { return s.Chain(t.Context(), cursor, limit) })
}

func batchesOf(t *testing.T, s tracking.Archive, q tracking.EventQuery) []tracking.Batch {
	t.Helper()
	return allBatches(t, func(cursor string) ([]tracking.Batch, string, error) {
		q.Cursor = cursor
		return s.Batches(t.Context(), q)
	})
}

// names are "writer-seq" of batches, with a "/" behind those that are cut.
func names(bs []tracking.Batch) (all []string) {
	for _, b := range bs {
		name := fmt.Sprintf("%s-%d", b.Writer, b.Seq)
		if b.Cut != nil {
			name += "/"
		}
		all = append(all, name)
	}
	return all
}

func stub(writer string, seq int64, second int) *tracking.Batch {
	b := batch(writer, seq, second)
	b.Prev, b.Cut = nil, &tracking.Cut{At: epoch, KeyVersion: 3, MAC: []byte{7}}
	return b
}

func archive(t *testing.T, open func(t *testing.T) tracking.Store) {
	a, b := event("acme", "u1"), event("other", "u2")

	t.Run("a batch reads back as it was written", func(t *testing.T) {
		s := open(t)
		want := batch("w1", 1, 0, a, event("", ""))
		want.Format, want.KeyVersion, want.Hashes = 1, 255, make([]byte, 64)
		want.Events[0].Salt, want.Events[1].Erased = []byte{0, 1}, []byte{0xff, 0}
		mustAppend(t, s, want)
		wantEqual(t, "chain", chainOf(t, s, 10), []tracking.Batch{*want})
		wantEqual(t, "batches", batchesOf(t, s, tracking.EventQuery{}), []tracking.Batch{*want})
	})
	t.Run("the chain is by writer and seq, whatever the times", func(t *testing.T) {
		s := open(t)
		mustAppend(t, s, batch("w2", 1, 0, a), batch("w1", 10, 3, a), batch("w1", 9, 2, a), batch("w1", 100, 4, b), batch("w1", 1, 9, b), batch("w10", 1, 0, b))
		want := []string{"w1-1", "w1-9", "w1-10", "w1-100", "w10-1", "w2-1"}
		for _, limit := range []int{1, 2, 6, 7} {
			wantEqual(t, fmt.Sprintf("chain, %d a page", limit), names(chainOf(t, s, limit)), want)
		}
	})
	t.Run("batches are oldest first, of a tenant and a time", func(t *testing.T) {
		s := open(t)
		mustAppend(t, s, batch("w2", 2, 5, a), batch("w1", 11, 5, b, a, a), batch("w1", 9, 5, b), batch("w3", 1, 4, a), batch("w0", 1, 6, a))
		at := func(second int) time.Time { return epoch.Add(time.Duration(second) * time.Second) }
		for _, c := range []struct {
			q    tracking.EventQuery
			want []string
		}{
			{tracking.EventQuery{}, []string{"w3-1", "w1-9", "w1-11", "w2-2", "w0-1"}},
			{tracking.EventQuery{Tenant: "acme"}, []string{"w3-1", "w1-11", "w2-2", "w0-1"}},
			{tracking.EventQuery{Tenant: "acm"}, nil},
			{tracking.EventQuery{Since: at(5)}, []string{"w1-9", "w1-11", "w2-2", "w0-1"}},
			{tracking.EventQuery{Tenant: "acme", Since: at(5), Until: at(6)}, []string{"w1-11", "w2-2"}},
			{tracking.EventQuery{Until: at(4)}, nil},
		} {
			for _, limit := range []int{1, 2, 100} {
				c.q.Limit = limit
				wantEqual(t, fmt.Sprintf("%+v", c.q), names(batchesOf(t, s, c.q)), c.want)
			}
		}
	})
	t.Run("a large batch ends a page", func(t *testing.T) {
		s := open(t)
		large := a
		for range 2 << 10 {
			large.Keys = append(large.Keys, string(make([]byte, 1<<10)))
		}
		for seq := range 6 {
			mustAppend(t, s, batch("w1", int64(seq+1), seq, large))
		}
		page, next, err := s.Chain(t.Context(), "", 100)
		if err != nil || next == "" || len(page) == 0 || len(page) > 4 {
			t.Errorf("a page of %d, next %q, %v", len(page), next, err)
		}
		want := []string{"w1-1", "w1-2", "w1-3", "w1-4", "w1-5", "w1-6"}
		wantEqual(t, "chain", names(chainOf(t, s, 100)), want)
		wantEqual(t, "batches", names(batchesOf(t, s, tracking.EventQuery{})), want)
	})
	t.Run("a malformed cursor is refused", func(t *testing.T) {
		s := open(t)
		for _, cursor := range malformedCursors {
			_, _, err := s.Chain(t.Context(), cursor, 10)
			wantErr(t, err, tracking.ErrBadCursor)
			_, _, err = s.Batches(t.Context(), tracking.EventQuery{Cursor: cursor})
			wantErr(t, err, tracking.ErrBadCursor)
			_, _, err = s.EraseEvents(t.Context(), "acme", future(), cursor)
			wantErr(t, err, tracking.ErrBadCursor)
		}
	})
	t.Run("a cut leaves one batch of what lies before, and others alone", func(t *testing.T) {
		s := open(t)
		for seq := range 5 {
			mustAppend(t, s, batch("w1", int64(seq+1), seq, a, b), batch("w2", int64(seq+1), seq, a))
		}
		for range 2 { // again changes nothing
			mustCut(t, s, stub("w1", 3, 2))
			wantEqual(t, "chain", names(chainOf(t, s, 10)), []string{"w1-3/", "w1-4", "w1-5", "w2-1", "w2-2", "w2-3", "w2-4", "w2-5"})
			wantEqual(t, "events of u2", ids(allEvents(t, s, tracking.EventQuery{UploadID: "u2"})), []string{"w1-4-1", "w1-5-1"})
			wantEqual(t, "events of other", ids(allEvents(t, s, tracking.EventQuery{Tenant: "other"})), []string{"w1-4-1", "w1-5-1"})
			wantEqual(t, "cut batch", chainOf(t, s, 10)[0], *stub("w1", 3, 2))
		}
		mustCut(t, s, stub("w1", 5, 4))
		wantEqual(t, "chain", names(chainOf(t, s, 10)), []string{"w1-5/", "w2-1", "w2-2", "w2-3", "w2-4", "w2-5"})
		wantEqual(t, "batches", names(batchesOf(t, s, tracking.EventQuery{})), []string{"w2-1", "w2-2", "w2-3", "w2-4", "w1-5/", "w2-5"})
	})
	t.Run("a cut that comes late changes nothing", func(t *testing.T) {
		s := open(t)
		for seq := range 5 {
			mustAppend(t, s, batch("w1", int64(seq+1), seq, a))
		}
		mustCut(t, s, stub("w1", 4, 3))
		mustCut(t, s, stub("w1", 2, 1))
		wantEqual(t, "chain", names(chainOf(t, s, 10)), []string{"w1-4/", "w1-5"})
	})
	t.Run("erasing takes the tenant's older events and no others", func(t *testing.T) { erasing(t, open(t)) })
	t.Run("two tenants' erasures in one batch keep each other", func(t *testing.T) {
		s := open(t)
		for seq := range 20 {
			mustAppend(t, s, batch("w1", int64(seq+1), seq, a, b, a, b))
		}
		var both sync.WaitGroup
		for _, tenant := range []string{"acme", "other"} {
			both.Go(func() { mustErase(t, s, tenant, future()) })
		}
		both.Wait()
		for _, e := range allEvents(t, s, tracking.EventQuery{}) {
			if e.Subject != "" || e.Erased == nil {
				t.Fatalf("not erased: %+v", e)
			}
		}
	})
	t.Run("erasures are kept by tenant, the later one", func(t *testing.T) {
		s := open(t)
		e := func(tenant string, second int) *tracking.Erasure {
			return &tracking.Erasure{Tenant: tenant, Until: epoch.Add(time.Duration(second) * time.Second), At: epoch, TokenID: fmt.Sprint(second), KeyVersion: 2, MAC: []byte{1, 0xff}}
		}
		for _, put := range []*tracking.Erasure{e("b", 5), e("a", 1), e("b", 4), e("a", 2), e("b", 5)} {
			if err := s.PutErasure(t.Context(), put); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.Erasures(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "erasures", list, []tracking.Erasure{*e("a", 2), *e("b", 5)})
	})
	t.Run("of many erasures of one tenant at once the latest stands", func(t *testing.T) {
		s := open(t)
		var all sync.WaitGroup
		for n := range 10 {
			all.Go(func() {
				e := &tracking.Erasure{Tenant: "acme", Until: epoch.Add(time.Duration(n) * time.Second), At: epoch}
				for s.PutErasure(t.Context(), e) != nil { // told to try again
				}
			})
		}
		all.Wait()
		list, err := s.Erasures(t.Context())
		if err != nil || len(list) != 1 || !list[0].Until.Equal(epoch.Add(9*time.Second)) {
			t.Fatalf("erasures %+v, %v", list, err)
		}
	})
	t.Run("scrubbing loses nothing", func(t *testing.T) {
		s := open(t)
		mustAppend(t, s, batch("w1", 1, 0, a), batch("w1", 2, 0, b))
		if err := s.Scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "chain", names(chainOf(t, s, 10)), []string{"w1-1", "w1-2"})
	})
}

func erasing(t *testing.T, s tracking.Store) {
	var all []*tracking.Batch
	for n := range 160 {
		b := batch("w1", int64(n+1), n, event("acme", "u1"), event("acme2", "u1"), event("acme", ""))
		if n%3 == 0 {
			b = batch("w1", int64(n+1), n, event("acme2", "u2"))
		}
		for i := range b.Events {
			b.Events[i].Salt = []byte{1, byte(n), byte(i)}
		}
		all = append(all, b)
		mustAppend(t, s, b)
	}
	until := epoch.Add(130 * time.Second)
	want, count := []tracking.Batch{}, 0
	for _, b := range all {
		c := *b
		c.Events = append([]tracking.Event(nil), b.Events...)
		count += c.Erase(map[string]time.Time{"acme": until})
		want = append(want, c)
	}
	for _, expected := range []int{count, 0} { // again erases nothing
		if got := mustErase(t, s, "acme", until); got != expected {
			t.Errorf("erased %d events, want %d", got, expected)
		}
		wantEqual(t, "chain", chainOf(t, s, 100), want)
	}
	wantEqual(t, "events of u1", len(allEvents(t, s, tracking.EventQuery{UploadID: "u1"})), 2*(160-54))
}

func mustErase(t *testing.T, s tracking.Archive, tenant string, until time.Time) (erased int) {
	t.Helper()
	for cursor, more := "", true; more; more = cursor != "" {
		n, next, err := s.EraseEvents(t.Context(), tenant, until, cursor)
		if err != nil {
			t.Error(err)
			return erased
		}
		erased, cursor = erased+n, next
	}
	return erased
}

func mustCut(t *testing.T, s tracking.Archive, stub *tracking.Batch) {
	t.Helper()
	if err := s.CutChain(t.Context(), stub); err != nil {
		t.Fatal(err)
	}
}
