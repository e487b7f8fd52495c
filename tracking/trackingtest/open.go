package trackingtest

import (
	"fmt"
	"testing"

	"partway/tracking"
)

func openUploads(t *testing.T, open func(t *testing.T) tracking.Store) {
	list := func(t *testing.T, s tracking.Uploads, q tracking.OpenQuery) []string {
		t.Helper()
		q.Bucket = "uploads"
		if q.Limit == 0 {
			q.Limit = 1001
		}
		page, err := s.OpenUploads(t.Context(), q)
		if err != nil {
			t.Fatalf("open uploads %+v: %v", q, err)
		}
		var got []string
		for _, u := range page {
			got = append(got, u.Key+" "+u.ID)
		}
		return got
	}
	// at inserts an open upload of a key, under an id of its own.
	at := func(t *testing.T, s tracking.Uploads, n int, key, id string) *tracking.Upload {
		t.Helper()
		u := record(n)
		u.Key, u.ID = key, id
		mustInsert(t, s, u)
		return u
	}

	t.Run("by key, then time, then id, whole records", func(t *testing.T) {
		s := open(t)
		at(t, s, 1, "b", "3")
		want := at(t, s, 2, "a", "2")
		at(t, s, 3, "a", "1")
		same := record(5)
		same.Key, same.ID, same.CreatedAt = "a", "0", record(3).CreatedAt
		mustInsert(t, s, same)
		at(t, s, 4, "a/b", "0b")
		wantEqual(t, "order", list(t, s, tracking.OpenQuery{}), []string{"a 2", "a 0", "a 1", "a/b 0b", "b 3"})
		page, err := s.OpenUploads(t.Context(), tracking.OpenQuery{Bucket: "uploads", Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "record", &page[0], want)
	})
	t.Run("open, paused and completing ones with an id, no others", func(t *testing.T) {
		s := open(t)
		for n, state := range []tracking.State{
			tracking.StateOpen, tracking.StatePaused, tracking.StateCompleting, tracking.StateCompleted, tracking.StateAborting,
			tracking.StateAborted, tracking.StateSuperseded, tracking.StateUnknown,
		} {
			u := record(n)
			u.Key, u.ID, u.State = string(state), fmt.Sprint(n), state
			mustInsert(t, s, u)
		}
		intent := record(99)
		intent.ID = ""
		mustInsert(t, s, intent)
		wantEqual(t, "listed", list(t, s, tracking.OpenQuery{}), []string{"completing 2", "open 0", "paused 1"})
	})
	t.Run("a swap takes an upload out and puts it back", func(t *testing.T) {
		s := open(t)
		u := at(t, s, 1, "a", "1")
		for _, step := range []struct {
			state tracking.State
			want  []string
		}{
			{tracking.StateCompleting, []string{"a 1"}},
			{tracking.StateUnknown, nil},
			{tracking.StateOpen, []string{"a 1"}},
			{tracking.StateAborting, nil},
		} {
			u.State = step.state
			if err := s.SwapUpload(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "listed when "+string(step.state), list(t, s, tracking.OpenQuery{}), step.want)
		}
	})
	t.Run("an intent appears when it gains its id", func(t *testing.T) {
		s := open(t)
		intent := at(t, s, 1, "a", "")
		wantEqual(t, "before", list(t, s, tracking.OpenQuery{}), []string(nil))
		intent.ID = "1"
		if err := s.SwapUpload(t.Context(), intent); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "after", list(t, s, tracking.OpenQuery{}), []string{"a 1"})
	})
	t.Run("of the bucket alone", func(t *testing.T) {
		s := open(t)
		for n, bucket := range []string{"upload", "uploads2", "uploads"} {
			u := record(n)
			u.Bucket, u.Key, u.ID = bucket, "a", bucket
			mustInsert(t, s, u)
		}
		wantEqual(t, "listed", list(t, s, tracking.OpenQuery{}), []string{"a uploads"})
	})
	t.Run("at most limit", func(t *testing.T) {
		s := open(t)
		at(t, s, 1, "a", "1")
		at(t, s, 2, "b", "2")
		wantEqual(t, "listed", list(t, s, tracking.OpenQuery{Limit: 1}), []string{"a 1"})
	})
	t.Run("markers", func(t *testing.T) {
		s := open(t)
		first, second := at(t, s, 1, "a", "2"), at(t, s, 2, "a", "1")
		gone := *first
		gone.ID = "3"
		at(t, s, 3, "a/b", "3")
		at(t, s, 4, "ab", "4")
		at(t, s, 5, "b", "5")
		for _, c := range []struct {
			name string
			q    tracking.OpenQuery
			want []string
		}{
			{"key: behind every upload of it", tracking.OpenQuery{AfterKey: "a"}, []string{"a/b 3", "ab 4", "b 5"}},
			{"key and id: behind that one", tracking.OpenQuery{}.After(first), []string{"a 1", "a/b 3", "ab 4", "b 5"}},
			{"the last id of a key", tracking.OpenQuery{}.After(second), []string{"a/b 3", "ab 4", "b 5"}},
			{"an id that is gone", tracking.OpenQuery{}.After(&gone), []string{"a 1", "a/b 3", "ab 4", "b 5"}},
			{"a key that has none", tracking.OpenQuery{AfterKey: "aa"}, []string{"ab 4", "b 5"}},
			{"behind the end", tracking.OpenQuery{AfterKey: "b"}, nil},
			{"with a prefix", tracking.OpenQuery{Prefix: "a", AfterKey: "a/b"}, []string{"ab 4"}},
			{"before the prefix", tracking.OpenQuery{Prefix: "ab"}.After(first), []string{"ab 4"}},
			{"behind the prefix", tracking.OpenQuery{Prefix: "a", AfterKey: "b"}, nil},
			{"key and id with a limit", tracking.OpenQuery{Limit: 2}.After(first), []string{"a 1", "a/b 3"}},
		} {
			wantEqual(t, c.name, list(t, s, c.q), c.want)
		}
	})
	t.Run("a prefix is bytes, in the order of UTF-8 bytes, page by page", func(t *testing.T) {
		s := open(t)
		for n, key := range awkwardKeys {
			at(t, s, n, key, fmt.Sprintf("id-%04d", n))
		}
		for _, prefix := range awkwardPrefixes {
			var got []string
			q := tracking.OpenQuery{Bucket: "uploads", Prefix: prefix, Limit: 3}
			for {
				page, err := s.OpenUploads(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, u := range page {
					got = append(got, u.Key)
					q = q.After(&u)
				}
				if len(page) < q.Limit {
					break
				}
			}
			wantEqual(t, fmt.Sprintf("prefix %q", prefix), got, sortedKeys(prefix))
		}
	})
}
