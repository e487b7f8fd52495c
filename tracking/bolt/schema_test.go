package bolt

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"partway/tracking"
)

// A file as versions before 1 left it: without the indexes that 1 brought, and without a version.
func TestAnOlderFileGainsItsIndexes(t *testing.T) {
	dir := t.TempDir()
	reopen := func() *Store {
		t.Helper()
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	s := reopen()
	for _, u := range []*tracking.Upload{
		{Record: "open", ID: "1", State: tracking.StateOpen, Key: "a", CreatedAt: at, UpdatedAt: at, ExpiresAt: at},
		{Record: "done", ID: "2", State: tracking.StateCompleted, Key: "a", CreatedAt: at, UpdatedAt: at, ExpiresAt: at},
		{Record: "intent", State: tracking.StateOpen, Bucket: "b", Key: "a", CreatedAt: at, UpdatedAt: at, ExpiresAt: at},
	} {
		if err := s.InsertUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		var errs []error
		for _, name := range [][]byte{uploadsDue, intents, intentsByKey, []byte("meta")} {
			errs = append(errs, tx.DeleteBucket(name))
		}
		return errors.Join(errs...)
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}

	s = reopen()
	defer s.Close()
	page, err := s.DueUploads(t.Context(), tracking.DueQuery{State: tracking.StateOpen, Before: at.Add(1), Limit: 10})
	if err != nil || len(page) != 1 || page[0].Record != "open" {
		t.Errorf("due: %v, %v", page, err)
	}
	page, err = s.Intents(t.Context(), tracking.IntentQuery{Before: at.Add(1), Limit: 10})
	if err != nil || len(page) != 1 || page[0].Record != "intent" {
		t.Errorf("intents: %v, %v", page, err)
	}
	if u, err := s.NewestIntent(t.Context(), "b", "a"); err != nil || u.Record != "intent" {
		t.Errorf("newest intent: %v, %v", u, err)
	}
}
