package bolt

import (
	"fmt"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"partway/tracking"
)

// A page whose filters let little through stops after a bounded number of records and goes on from there.
func TestRareMatchesComeInShortPages(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const many = 2*examined + 10
	at := time.UnixMilli(1772366400000).UTC()
	err = s.db.Update(func(tx *bbolt.Tx) error {
		for n := range many {
			name := fmt.Sprintf("%06d", n)
			u := tracking.Upload{Record: name, ID: name, Key: "common", State: tracking.StateOpen, CreatedAt: at}
			b := tracking.Batch{Writer: "w", Seq: int64(n + 1), Time: at, Events: []tracking.Event{{ID: name, UploadID: "u", Tenant: "common"}}}
			if n == 0 {
				u.Key = "rare"
			}
			if n == many-1 {
				b.Events[0].Tenant = "rare"
			}
			if err := putUpload(tx, &u, nil); err != nil {
				return err
			}
			if err := s.putBatch(tx, &b, []byte(fmt.Sprintf(`{"events":[{"id":%q,"upload_id":"u","tenant":%q}]}`, name, b.Events[0].Tenant))); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for list, page := range map[string]func(cursor string) (int, string, error){
		"uploads": func(cursor string) (int, string, error) {
			page, next, err := s.ListUploads(t.Context(), tracking.UploadQuery{Prefix: "rare", Cursor: cursor})
			return len(page), next, err
		},
		"events": func(cursor string) (int, string, error) {
			page, next, err := s.Events(t.Context(), tracking.EventQuery{UploadID: "u", Tenant: "rare", Cursor: cursor})
			return len(page), next, err
		},
	} {
		cursor := ""
		for i, want := range []int{0, 0, 1} {
			found, next, err := page(cursor)
			if err != nil || found != want || (next == "") != (i == 2) {
				t.Fatalf("%s: page %d has %d, cursor %q, %v", list, i, found, next, err)
			}
			cursor = next
		}
	}
}
