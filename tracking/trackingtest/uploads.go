package trackingtest

import (
	"errors"
	"sync"
	"testing"

	"partway/tracking"
)

func uploads(t *testing.T, open func(t *testing.T) tracking.Store) {
	t.Run("a record reads back as it was written, at revision 1", func(t *testing.T) {
		s := open(t)
		u := record(1)
		u.Bytes, u.Parts, u.ETag, u.ResultCode = 1<<40, 10000, `"abc-10000"`, "InternalError"
		u.Completion = &tracking.Completion{
			ListHash: "c0ffee", Started: epoch, Answer: []byte("<ok>\x00\xff</ok>"), Headers: []string{"x-amz-version-id", "7"},
			Charge: &tracking.Charge{Tenant: "acme", Period: "2026-03", ID: "CHARGE"},
		}
		u.Resumable = &tracking.Resumable{Generation: 2, Earlier: []string{"id-0000"}, Shape: "facade", Answer: []string{"x-amz-abort-rule-id", "one"}}
		mustInsert(t, s, u)
		wantEqual(t, "revision after insert", u.Revision, int64(1))
		wantEqual(t, "record", mustUpload(t, s, u.ID), u)
	})
	t.Run("insert refuses a taken record and a taken id", func(t *testing.T) {
		s := open(t)
		mustInsert(t, s, record(1))
		sameRecord := record(2)
		sameRecord.Record = "record-0001"
		wantErr(t, s.InsertUpload(t.Context(), sameRecord), tracking.ErrExists)
		sameID := record(2)
		sameID.ID = "id-0001"
		wantErr(t, s.InsertUpload(t.Context(), sameID), tracking.ErrExists)
		wantEqual(t, "the first", mustUpload(t, s, "id-0001").Key, record(1).Key)
		_, err := s.Upload(t.Context(), "id-0002")
		wantErr(t, err, tracking.ErrNotFound)
	})
	t.Run("an unknown id and the empty id are not found", func(t *testing.T) {
		s := open(t)
		intent := record(1)
		intent.ID = ""
		mustInsert(t, s, intent)
		for _, id := range []string{"nobody", ""} {
			_, err := s.Upload(t.Context(), id)
			wantErr(t, err, tracking.ErrNotFound)
		}
	})
	t.Run("intents do not collide on their missing id", func(t *testing.T) {
		s := open(t)
		one, two := record(1), record(2)
		one.ID, two.ID = "", ""
		mustInsert(t, s, one, two)
	})
	t.Run("swap replaces the record and adds 1 to the revision", func(t *testing.T) {
		s := open(t)
		u := record(1)
		mustInsert(t, s, u)
		u.State, u.Completion = tracking.StateCompleting, &tracking.Completion{ListHash: "aa", Started: epoch}
		if err := s.SwapUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "revision", u.Revision, int64(2))
		wantEqual(t, "record", mustUpload(t, s, u.ID), u)
		u.State, u.Completion = tracking.StateOpen, nil
		if err := s.SwapUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "record without completion", mustUpload(t, s, u.ID), u)
	})
	t.Run("an intent gains its id by a swap", func(t *testing.T) {
		s := open(t)
		u := record(1)
		u.ID, u.StorageID = "", ""
		mustInsert(t, s, u)
		u.ID, u.StorageID = "id-0001", "storage-0001"
		if err := s.SwapUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "record", mustUpload(t, s, "id-0001"), u)
	})
	t.Run("a swap at an old revision is a conflict and changes nothing", func(t *testing.T) {
		s := open(t)
		u := record(1)
		mustInsert(t, s, u)
		old := *u
		u.State = tracking.StatePaused
		if err := s.SwapUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		old.State = tracking.StateAborting
		wantErr(t, s.SwapUpload(t.Context(), &old), tracking.ErrConflict)
		wantEqual(t, "revision of the loser", old.Revision, int64(1))
		wantEqual(t, "record", mustUpload(t, s, u.ID), u)
	})
	t.Run("a swap of a record that is gone is not found", func(t *testing.T) {
		s := open(t)
		u := record(1)
		u.Revision = 1
		wantErr(t, s.SwapUpload(t.Context(), u), tracking.ErrNotFound)
	})
	t.Run("a swap to another record's id is refused", func(t *testing.T) {
		s := open(t)
		intent := record(2)
		intent.ID = ""
		mustInsert(t, s, record(1), intent)
		intent.ID = "id-0001"
		wantErr(t, s.SwapUpload(t.Context(), intent), tracking.ErrExists)
		wantEqual(t, "revision of the refused", intent.Revision, int64(1))
		wantEqual(t, "owner", mustUpload(t, s, "id-0001").Record, "record-0001")
	})
	t.Run("of 50 swaps at one moment exactly one wins each revision", func(t *testing.T) { racingSwaps(t, open(t)) })
	t.Run("of 50 inserts of one id exactly one wins", func(t *testing.T) { racingInserts(t, open(t)) })
	t.Run("DeleteIntent removes an intent, twice if asked", func(t *testing.T) {
		s := open(t)
		u := record(1)
		u.ID = ""
		mustInsert(t, s, u)
		for range 2 {
			if err := s.DeleteIntent(t.Context(), u.Record); err != nil {
				t.Fatal(err)
			}
		}
		u.ID = "id-0001"
		wantErr(t, s.SwapUpload(t.Context(), u), tracking.ErrNotFound)
		mustInsert(t, s, record(1))
	})
	t.Run("DeleteIntent keeps a record that has an id", func(t *testing.T) {
		s := open(t)
		mustInsert(t, s, record(1))
		if err := s.DeleteIntent(t.Context(), "record-0001"); err != nil {
			t.Fatal(err)
		}
		mustUpload(t, s, "id-0001")
	})
}

func racingSwaps(t *testing.T, s tracking.Store) {
	const racers = 50
	mustInsert(t, s, record(1))
	var (
		mu   sync.Mutex
		wins = map[int64]int{}
		wg   sync.WaitGroup
	)
	for range racers {
		wg.Go(func() {
			for {
				u, err := s.Upload(t.Context(), "id-0001")
				if err != nil {
					t.Error(err)
					return
				}
				u.Parts++
				err = s.SwapUpload(t.Context(), u)
				if errors.Is(err, tracking.ErrConflict) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				wins[u.Revision]++
				mu.Unlock()
				return
			}
		})
	}
	wg.Wait()
	for revision := int64(2); revision <= racers+1; revision++ {
		if wins[revision] != 1 {
			t.Errorf("revision %d was won %d times", revision, wins[revision])
		}
	}
	wantEqual(t, "parts counted", mustUpload(t, s, "id-0001").Parts, racers)
}

func racingInserts(t *testing.T, s tracking.Store) {
	const racers = 50
	results := make(chan error, racers)
	for n := range racers {
		go func() {
			u := record(n)
			u.ID = "contested"
			results <- s.InsertUpload(t.Context(), u)
		}()
	}
	won := 0
	for range racers {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, tracking.ErrExists):
			t.Errorf("error %v, want ErrExists", err)
		}
	}
	wantEqual(t, "inserts that won", won, 1)
	mustUpload(t, s, "contested")
}
