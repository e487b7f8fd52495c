package trackingtest

import (
	"testing"
	"time"

	"partway/tracking"
)

func notices(t *testing.T, open func(t *testing.T) tracking.Store) {
	due := func(t *testing.T, s tracking.Store, before time.Time, limit int) (ids []string) {
		t.Helper()
		page, err := s.DueNotices(t.Context(), before, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page {
			ids = append(ids, u.ID)
		}
		return ids
	}
	with := func(n int, due time.Time) *tracking.Upload {
		u := record(n)
		u.State = tracking.StateCompleted
		u.Notice = &tracking.Notice{ID: "N", Event: "upload.completed", Since: epoch, Due: due, Left: []string{"a", "b"}, Tries: 3}
		return u
	}
	t.Run("those that are due, the longest due first, whole records", func(t *testing.T) {
		s := open(t)
		late, early, given := with(1, epoch.Add(2*time.Second)), with(2, epoch.Add(time.Second)), with(3, time.Time{})
		mustInsert(t, s, late, early, given, record(4), with(5, epoch.Add(time.Hour)))
		wantEqual(t, "before the first", due(t, s, epoch.Add(time.Second), 10), []string(nil))
		wantEqual(t, "the first", due(t, s, epoch.Add(2*time.Second), 10), []string{early.ID})
		wantEqual(t, "both", due(t, s, epoch.Add(time.Minute), 10), []string{early.ID, late.ID})
		wantEqual(t, "at most limit", due(t, s, epoch.Add(time.Minute), 1), []string{early.ID})
		page, err := s.DueNotices(t.Context(), epoch.Add(time.Minute), 1)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "record", &page[0], early)
		wantEqual(t, "what was given up", mustUpload(t, s, given.ID), given)
	})
	t.Run("a swap moves it, and takes it out", func(t *testing.T) {
		s := open(t)
		u := with(1, epoch)
		mustInsert(t, s, u)
		for _, step := range []struct {
			notice *tracking.Notice
			want   []string
		}{
			{&tracking.Notice{ID: "N", Due: epoch.Add(time.Hour), Left: []string{"a"}}, nil},
			{&tracking.Notice{ID: "N", Due: epoch, Left: []string{"a"}}, []string{u.ID}},
			{&tracking.Notice{ID: "N", Left: []string{"a"}}, nil},
			{&tracking.Notice{ID: "M", Due: epoch, Left: []string{"a"}}, []string{u.ID}},
			{nil, nil},
		} {
			u.Notice = step.notice
			if err := s.SwapUpload(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "due", due(t, s, epoch.Add(time.Second), 10), step.want)
		}
	})
}
