package trackingtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"partway/tracking"
)

// Raw reaches into a store as somebody does who has its files or its database, and no key.
type Raw interface {
	// Edit lets change work on a stored batch.
	Edit(writer string, seq int64, change func(b *tracking.Batch))
	// Drop takes a batch away.
	Drop(writer string, seq int64)
	// Swap exchanges what is stored under the two.
	Swap(writer string, seq, other int64)
}

var chainKeys = map[int][]byte{1: []byte("an older key"), 2: []byte("the chain key of the suite")}

// sealed is a store with the chains of two writers, a before b, of five batches of three events each: acme's, other's and acme's.
type sealed struct {
	tracking.Store
	Raw
	*tracking.Auditor
	a, b    string
	anchors map[string]tracking.Anchor // at the fourth batch
}

// Tampering checks that Verify names whatever is done to a store behind the gateway's back. open returns an empty store.
func Tampering(t *testing.T, open func(t *testing.T) (tracking.Store, Raw)) {
	edit := func(change func(e *tracking.Event)) func(*sealed) {
		return func(s *sealed) { s.Edit(s.a, 3, func(b *tracking.Batch) { change(&b.Events[1]) }) }
	}
	event := func(f tracking.Fault) func(*sealed) []*tracking.ChainError {
		return func(s *sealed) []*tracking.ChainError {
			return []*tracking.ChainError{{Writer: s.a, Seq: 3, Event: s.a + "-3-1", Fault: f}}
		}
	}
	batch := func(seq int64, f tracking.Fault) func(*sealed) []*tracking.ChainError {
		return func(s *sealed) []*tracking.ChainError {
			return []*tracking.ChainError{{Writer: s.a, Seq: seq, Fault: f}}
		}
	}
	nothing := func(*sealed) []*tracking.ChainError { return nil }
	dropAll := func(s *sealed, writer string) {
		for seq := range 5 {
			s.Drop(writer, int64(seq+1))
		}
	}
	for _, c := range []struct {
		name   string
		tamper func(s *sealed)
		want   func(s *sealed) []*tracking.ChainError
		anchor bool // Verify is given the anchors
	}{
		{"nothing is done", func(*sealed) {}, nothing, true},
		{"an event is edited", edit(func(e *tracking.Event) { e.Outcome = "AccessDenied" }), event(tracking.FaultEdited), false},
		{"a personal field is edited", edit(func(e *tracking.Event) { e.Subject = "mallory" }), event(tracking.FaultEdited), false},
		{"an event is removed", func(s *sealed) {
			s.Edit(s.a, 3, func(b *tracking.Batch) { b.Events = slices.Delete(b.Events, 1, 2) })
		}, event(tracking.FaultMissing), false},
		{"an erasure is forged", edit(func(e *tracking.Event) { e.Erase() }), event(tracking.FaultErased), false},
		{"an erasure and its record are forged", func(s *sealed) {
			edit(func(e *tracking.Event) { e.Erase() })(s)
			_ = s.PutErasure(context.Background(), &tracking.Erasure{Tenant: "other", Until: future(), At: epoch, KeyVersion: 2, MAC: make([]byte, 32)})
		}, event(tracking.FaultErased), false},
		{"an erased event is edited", func(s *sealed) {
			s.erase("other")
			edit(func(e *tracking.Event) { e.Status = 500 })(s)
		}, event(tracking.FaultEdited), false},
		{"an erased event is filled in", func(s *sealed) {
			s.erase("other")
			edit(func(e *tracking.Event) { e.Subject = "alice" })(s)
		}, event(tracking.FaultEdited), false},
		{"a batch is dropped", func(s *sealed) { s.Drop(s.a, 3) }, batch(3, tracking.FaultMissing), false},
		{"the first batch is dropped", func(s *sealed) { s.Drop(s.a, 1) }, batch(1, tracking.FaultMissing), false},
		{"two batches change places", func(s *sealed) { s.Swap(s.a, 2, 4) }, batch(2, tracking.FaultReordered), false},
		{"a batch is stored twice", func(s *sealed) {
			var copied tracking.Batch
			s.Edit(s.a, 2, func(b *tracking.Batch) { copied = *b })
			s.Edit(s.a, 3, func(b *tracking.Batch) { *b = copied })
		}, batch(2, tracking.FaultReordered), false},
		{"a batch is dated otherwise", func(s *sealed) {
			s.Edit(s.a, 3, func(b *tracking.Batch) { b.Time = b.Time.Add(-time.Hour) })
		}, batch(3, tracking.FaultEdited), false},
		{"the chain is cut without the key", func(s *sealed) {
			s.Edit(s.a, 3, func(b *tracking.Batch) {
				b.Events, b.Cut = nil, &tracking.Cut{At: epoch, KeyVersion: 2, MAC: make([]byte, 32)}
			})
			s.Drop(s.a, 2)
			s.Drop(s.a, 1)
		}, batch(3, tracking.FaultEdited), false},
		{"the end is cut off, without anchors", func(s *sealed) { s.Drop(s.a, 5); s.Drop(s.a, 4) }, nothing, false},
		{"the end is cut off before the anchor", func(s *sealed) { s.Drop(s.a, 5); s.Drop(s.a, 4) }, batch(4, tracking.FaultMissing), true},
		{"the end is cut off behind the anchor", func(s *sealed) { s.Drop(s.a, 5) }, nothing, true},
		{"a writer is gone, without anchors", func(s *sealed) { dropAll(s, s.a) }, nothing, false},
		{"a writer is gone", func(s *sealed) { dropAll(s, s.a) }, batch(1, tracking.FaultMissing), true},
		{"the last writer is gone", func(s *sealed) { dropAll(s, s.b) }, func(s *sealed) []*tracking.ChainError {
			return []*tracking.ChainError{{Writer: s.b, Seq: 1, Fault: tracking.FaultMissing}}
		}, true},
		{"both writers are gone", func(s *sealed) { dropAll(s, s.a); dropAll(s, s.b) }, func(s *sealed) []*tracking.ChainError {
			return []*tracking.ChainError{{Writer: s.a, Seq: 1, Fault: tracking.FaultMissing}, {Writer: s.b, Seq: 1, Fault: tracking.FaultMissing}}
		}, true},
		{"the anchor is of another batch", func(s *sealed) {
			s.anchors[s.a] = tracking.Anchor{Writer: s.a, Seq: 4, MAC: make([]byte, 32)}
		}, batch(4, tracking.FaultAnchored), true},
		{"both writers have a fault", func(s *sealed) {
			s.Drop(s.b, 4)
			edit(func(e *tracking.Event) { e.Bytes++ })(s)
		}, func(s *sealed) []*tracking.ChainError {
			return append(event(tracking.FaultEdited)(s), &tracking.ChainError{Writer: s.b, Seq: 4, Fault: tracking.FaultMissing})
		}, false},
		{"tenants are erased, on record", func(s *sealed) { s.erase("acme"); s.erase("other") }, nothing, true},
		{"what is old is dropped by retention", func(s *sealed) { s.expire(3) }, nothing, true},
		{"all is dropped by retention", func(s *sealed) { s.expire(9) }, nothing, true},
		{"a stub is edited", func(s *sealed) {
			s.expire(3)
			s.Edit(s.a, 3, func(b *tracking.Batch) { b.Time = b.Time.Add(time.Hour) })
		}, batch(3, tracking.FaultEdited), true},
		{"a batch behind a stub is dropped", func(s *sealed) { s.expire(3); s.Drop(s.a, 4) }, batch(4, tracking.FaultMissing), false},
		{"retention meets a batch that was made to look old", func(s *sealed) {
			s.Edit(s.a, 5, func(b *tracking.Batch) { b.Time = epoch.Add(-time.Hour) })
			s.expire(0)
		}, batch(5, tracking.FaultEdited), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			store, raw := open(t)
			s := newSealed(t, store, raw)
			c.tamper(s)
			var anchors map[string]tracking.Anchor
			if c.anchor {
				anchors = s.anchors
			}
			for _, limit := range []int{0, 1, 4} {
				got := verify(t, s.Auditor, anchors, limit)
				if want := c.want(s); !reflect.DeepEqual(got.Faults, want) {
					t.Errorf("in parts of %d: faults %v, want %v", limit, got.Faults, want)
				}
			}
		})
	}
}

// verify walks all parts of a verification.
func verify(t *testing.T, a *tracking.Auditor, anchors map[string]tracking.Anchor, limit int) *tracking.Verification {
	t.Helper()
	all := new(tracking.Verification)
	for range 1000 {
		part, err := a.Verify(t.Context(), all.Next, anchors, limit)
		if err != nil {
			t.Fatal(err)
		}
		all.Plus(part.Counts)
		all.Faults, all.Next = append(all.Faults, part.Faults...), part.Next
		if part.Next == "" {
			return all
		}
	}
	t.Fatal("the verification never ends")
	return nil
}

func newSealed(t *testing.T, store tracking.Store, raw Raw) *sealed {
	t.Helper()
	s := &sealed{Store: store, Raw: raw, anchors: map[string]tracking.Anchor{}}
	s.Auditor = &tracking.Auditor{Archive: store, Uploads: store, Keys: chainKeys, KeyVersion: 2, Now: time.Now}
	for version := range chainKeys { // a key was rotated in between
		now := epoch
		w, err := tracking.NewWriter(tracking.WriterConfig{Trail: store, ChainKey: chainKeys[version], KeyVersion: version, Gateway: "gw1",
			Now: func() time.Time { now = now.Add(time.Second); return now }})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			e := event("acme", fmt.Sprint("u", n))
			if err := w.Record(t.Context(), e, event("other", "u9"), e); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	chain := chainOf(t, store, 100)
	s.a, s.b = chain[0].Writer, chain[5].Writer
	for _, b := range []tracking.Batch{chain[3], chain[8]} {
		s.anchors[b.Writer] = tracking.Anchor{Writer: b.Writer, Seq: b.Seq, MAC: b.MAC, Time: b.Time}
	}
	return s
}

func (s *sealed) erase(tenant string) {
	ctx := context.Background()
	err := s.RecordErasure(ctx, tenant, "token-1", future())
	if err == nil {
		_, _, err = s.Erase(ctx, tenant, future(), "")
	}
	if err != nil {
		panic(err)
	}
}

// expire drops the first batches of each writer.
func (s *sealed) expire(batches int) {
	if _, err := s.Expire(context.Background(), epoch.Add(time.Duration(batches)*time.Second+time.Millisecond)); err != nil {
		panic(err)
	}
}

// Auditing checks what an Auditor does to a store that nobody has tampered with.
func Auditing(t *testing.T, open func(t *testing.T) (tracking.Store, Raw)) {
	sealedStore := func(t *testing.T) *sealed {
		store, raw := open(t)
		return newSealed(t, store, raw)
	}
	t.Run("counts are those of the trail", func(t *testing.T) {
		s := sealedStore(t)
		s.erase("other")
		s.expire(2)
		for _, limit := range []int{0, 3} {
			got := verify(t, s.Auditor, s.anchors, limit).Counts
			want := tracking.Counts{Writers: 2, Batches: 8, Events: 18, Erased: 6, Cut: 2, Anchored: 2, Behind: 2,
				First: epoch.Add(2 * time.Second), Last: epoch.Add(5 * time.Second)}
			wantEqual(t, "counts", got, want)
		}
	})
	t.Run("an export checks out, whole, of a time and of a tenant", func(t *testing.T) { exports(t, sealedStore(t)) })
	t.Run("an upload record loses its personal fields once its upload is long over", func(t *testing.T) {
		s := sealedStore(t)
		states := []tracking.State{tracking.StateOpen, tracking.StateCompleted, tracking.StateAborted, tracking.StateCompleted, tracking.StateCompleted}
		for n, state := range states {
			u := record(n)
			u.State = state
			u.Completion = &tracking.Completion{ListHash: "x", Started: epoch, Answer: []byte("acme/0001.bin")}
			switch n {
			case 3:
				u.Tenant = "other"
			case 4: // a moment ago
				u.UpdatedAt = time.Now().UTC().Truncate(time.Millisecond)
			}
			mustInsert(t, s.Store, u)
		}
		s.erase("acme")
		for n := range states {
			u := mustUpload(t, s.Store, record(n).ID)
			gone := u.Key == "" && u.Subject == "" && u.Completion == nil
			kept := u.Key == record(n).Key && u.Subject == record(n).Subject && u.Completion != nil
			if n == 1 || n == 2 {
				if !gone || u.Tenant != "acme" || u.State != states[n] {
					t.Errorf("upload %d: %+v", n, u)
				}
			} else if !kept {
				t.Errorf("upload %d: %+v", n, u)
			}
		}
	})
	t.Run("an erasure is repeated for what came late", func(t *testing.T) {
		s := sealedStore(t)
		s.erase("other")
		var was tracking.Event
		s.Edit(s.a, 3, func(b *tracking.Batch) { was = b.Events[1] })
		if was.Erased == nil {
			t.Fatal("not erased")
		}
		w, err := tracking.NewWriter(tracking.WriterConfig{Trail: s.Store, ChainKey: chainKeys[2], KeyVersion: 2, Gateway: "gw2", Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Record(t.Context(), event("other", "u9")), w.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
		if err := s.Repeat(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, e := range allEvents(t, s.Store, tracking.EventQuery{Tenant: "other"}) {
			if e.Erased == nil {
				t.Errorf("not erased: %+v", e)
			}
		}
		wantEqual(t, "faults", verify(t, s.Auditor, nil, 0).Faults, []*tracking.ChainError(nil))
	})
}

func exports(t *testing.T, s *sealed) {
	s.erase("other")
	for _, c := range []struct {
		name   string
		query  tracking.ExportQuery
		events int
		counts tracking.Counts
	}{
		{"all", tracking.ExportQuery{}, 30, tracking.Counts{Writers: 2, Batches: 10, Events: 30, Erased: 10, Anchored: 2, Behind: 2}},
		{"of a time", tracking.ExportQuery{Since: epoch.Add(2 * time.Second), Until: epoch.Add(5 * time.Second)}, 18, tracking.Counts{Writers: 2, Batches: 6, Events: 18, Erased: 6, Anchored: 2}},
		{"of a tenant", tracking.ExportQuery{Tenant: "acme"}, 20, tracking.Counts{Writers: 2, Batches: 10, Events: 20, Anchored: 2, Behind: 2}},
		{"of a tenant that has nothing", tracking.ExportQuery{Tenant: "nobody"}, 0, tracking.Counts{}},
	} {
		for _, limit := range []int{0, 1, 3} {
			file := Export(t, s.Auditor, c.query, limit)
			head, got, err := tracking.CheckExport(strings.NewReader(file), chainKeys, s.anchors)
			if err != nil || len(got.Faults) > 0 {
				t.Fatalf("%s, %d a part: %v, %+v", c.name, limit, err, got)
			}
			got.First, got.Last = time.Time{}, time.Time{}
			wantEqual(t, c.name+": counts", got.Counts, c.counts)
			wantEqual(t, c.name+": query", head.Query, c.query)
			if c.query.Tenant != "" && strings.Contains(file, `"tenant":"other"`) {
				t.Errorf("%s: it tells of another tenant", c.name)
			}
		}
	}
}

// Export is the file of q in parts of limit batches.
func Export(t *testing.T, a *tracking.Auditor, q tracking.ExportQuery, limit int) string {
	t.Helper()
	var file strings.Builder
	head, err := a.Head(t.Context(), q)
	if err == nil {
		err = tracking.WriteExportHead(&file, head)
	}
	for cursor, more := "", err == nil; more && err == nil; more = cursor != "" {
		var batches []tracking.Batch
		var part *tracking.ExportPart
		if batches, part, err = a.Export(t.Context(), q, cursor, limit); err == nil {
			err = tracking.WriteExportPart(&file, batches, part)
			cursor = part.Next
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return file.String()
}
