package trackingtest

import (
	"fmt"
	"testing"
	"time"

	"partway/tracking"
)

var everyState = []tracking.State{
	tracking.StateOpen, tracking.StatePaused, tracking.StateCompleting, tracking.StateCompleted, tracking.StateAborting, tracking.StateAborted,
	tracking.StateSuperseded, tracking.StateUnknown,
}

// later is so long after the epoch that everything of the suite is due.
var later = epoch.AddDate(1, 0, 0)

func due(t *testing.T, s tracking.Unfinished, q tracking.DueQuery) []string {
	t.Helper()
	var all []tracking.Upload
	if q.Limit == 0 {
		q.Limit = 1000
	}
	for {
		page, err := s.DueUploads(t.Context(), q)
		if err != nil {
			t.Fatalf("due %+v: %v", q, err)
		}
		if len(page) > q.Limit {
			t.Fatalf("page of %d, limit %d", len(page), q.Limit)
		}
		for _, u := range page {
			all = append(all, u)
			q = q.After(&u)
		}
		if len(page) < q.Limit {
			return records(all)
		}
	}
}

func intents(t *testing.T, s tracking.Unfinished, q tracking.IntentQuery) []string {
	t.Helper()
	var all []tracking.Upload
	if q.Limit == 0 {
		q.Limit = 1000
	}
	for {
		page, err := s.Intents(t.Context(), q)
		if err != nil {
			t.Fatalf("intents %+v: %v", q, err)
		}
		for _, u := range page {
			all = append(all, u)
			q = q.After(&u)
		}
		if len(page) < q.Limit {
			return records(all)
		}
	}
}

// intent is record n before storage gave it an id.
func intent(n int, key string) *tracking.Upload {
	u := record(n)
	u.ID, u.StorageID, u.Key = "", "", key
	return u
}

func unfinished(t *testing.T, open func(t *testing.T) tracking.Store) {
	t.Run("an upload is due by the end of its life while it waits, and by its last move otherwise", func(t *testing.T) {
		s := open(t)
		for n, state := range everyState {
			u := record(n)
			u.State, u.ExpiresAt, u.UpdatedAt = state, epoch.Add(time.Hour), epoch.Add(time.Minute)
			mustInsert(t, s, u)
		}
		mustInsert(t, s, intent(99, "a"))
		for n, state := range everyState {
			if state.Terminal() {
				continue
			}
			for _, c := range []struct {
				before time.Time
				due    bool
			}{
				{epoch.Add(time.Minute), false},
				{epoch.Add(time.Minute + time.Millisecond), !state.Waiting()},
				{epoch.Add(time.Hour), !state.Waiting()},
				{epoch.Add(time.Hour + time.Millisecond), true},
			} {
				var want []string
				if c.due {
					want = []string{record(n).Record}
				}
				wantEqual(t, fmt.Sprintf("%s before %s", state, c.before), due(t, s, tracking.DueQuery{State: state, Before: c.before}), want)
			}
		}
	})
	t.Run("due ones come by time, then record, whole, page by page", func(t *testing.T) {
		s := open(t)
		third, first, second, last := record(1), record(2), record(3), record(4)
		first.ExpiresAt, second.ExpiresAt, third.ExpiresAt, last.ExpiresAt = epoch, epoch, epoch.Add(time.Second), epoch.Add(time.Minute)
		mustInsert(t, s, third, second, first, last)
		for _, limit := range []int{1, 2, 3, 1000} {
			got := due(t, s, tracking.DueQuery{State: tracking.StateOpen, Before: later, Limit: limit})
			wantEqual(t, fmt.Sprintf("pages of %d", limit), got, []string{first.Record, second.Record, third.Record, last.Record})
		}
		page, err := s.DueUploads(t.Context(), tracking.DueQuery{State: tracking.StateOpen, Before: later, Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "record", &page[0], first)
	})
	t.Run("a swap takes an upload from one state's due to another's", func(t *testing.T) {
		s := open(t)
		u := record(1)
		mustInsert(t, s, u)
		for _, state := range []tracking.State{tracking.StateAborting, tracking.StateOpen, tracking.StateCompleting, tracking.StateUnknown, tracking.StateCompleted} {
			u.State, u.UpdatedAt = state, u.UpdatedAt.Add(time.Second)
			if err := s.SwapUpload(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			for _, in := range tracking.UnfinishedStates {
				var want []string
				if in == state {
					want = []string{u.Record}
				}
				wantEqual(t, fmt.Sprintf("%s when %s", in, state), due(t, s, tracking.DueQuery{State: in, Before: later}), want)
			}
		}
	})
	t.Run("intents come by time, until they have an id or are gone", func(t *testing.T) {
		s := open(t)
		one, two, three := intent(1, "a"), intent(2, "b"), intent(3, "a")
		mustInsert(t, s, record(9), three, one, two)
		for _, limit := range []int{1, 2, 1000} {
			got := intents(t, s, tracking.IntentQuery{Before: later, Limit: limit})
			wantEqual(t, "all", got, []string{one.Record, two.Record, three.Record})
		}
		wantEqual(t, "before the third", intents(t, s, tracking.IntentQuery{Before: three.CreatedAt}), []string{one.Record, two.Record})
		one.State = tracking.StateAborting // taken by a sweep
		if err := s.SwapUpload(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		two.ID = "id-0002"
		if err := s.SwapUpload(t.Context(), two); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "with one known", intents(t, s, tracking.IntentQuery{Before: later}), []string{one.Record, three.Record})
		if err := s.DeleteIntent(t.Context(), one.Record); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "with one gone", intents(t, s, tracking.IntentQuery{Before: later}), []string{three.Record})
	})
	t.Run("the newest intent of a key is of that very key", func(t *testing.T) {
		s := open(t)
		old, young, same := intent(1, "a"), intent(3, "a"), intent(4, "a")
		same.CreatedAt = young.CreatedAt
		elsewhere := intent(9, "a")
		elsewhere.Bucket = "uploads2"
		known := record(8)
		known.Key = "a"
		mustInsert(t, s, young, old, intent(5, "a/b"), intent(6, "ab"), intent(7, "A"), elsewhere, known)
		newest := func(want string) {
			t.Helper()
			u, err := s.NewestIntent(t.Context(), "uploads", "a")
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "newest", u.Record, want)
		}
		newest(young.Record)
		mustInsert(t, s, same)
		newest(same.Record)
		for _, u := range []*tracking.Upload{same, young} {
			if err := s.DeleteIntent(t.Context(), u.Record); err != nil {
				t.Fatal(err)
			}
		}
		newest(old.Record)
		old.ID = "id-0001"
		if err := s.SwapUpload(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		_, err := s.NewestIntent(t.Context(), "uploads", "a")
		wantErr(t, err, tracking.ErrNotFound)
	})
	t.Run("what is unfinished is counted by state, intents apart", func(t *testing.T) {
		s := open(t)
		counts := func() map[tracking.State]int64 {
			t.Helper()
			n, err := s.CountUnfinished(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		wantEqual(t, "of nothing", len(counts()), 0)
		n := 0
		for i, state := range everyState {
			for range i + 1 {
				u := record(n)
				u.State = state
				mustInsert(t, s, u)
				n++
			}
		}
		taken := intent(98, "a")
		taken.State = tracking.StateAborting
		mustInsert(t, s, intent(99, "a"), taken)
		want := map[tracking.State]int64{tracking.StateOpen: 1, tracking.StatePaused: 2, tracking.StateCompleting: 3, tracking.StateAborting: 5, tracking.StateUnknown: 8}
		wantEqual(t, "counts", counts(), want)
	})
}
