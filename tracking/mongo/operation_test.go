//go:build servers

package mongo_test

import (
	"slices"
	"testing"
	"time"

	"partway/tracking"
	"partway/tracking/trackingtest/servers"
)

// No index has operations. A long trail without the one that is asked for is read page by page, not until the store's time is up.
func TestAPageByOperationExaminesSomeBatchesOnly(t *testing.T) {
	for _, server := range servers.Mongo(t) {
		t.Run(server.Name, func(t *testing.T) {
			s := open(t, server.URI, "")
			var all []*tracking.Batch
			for n := range int64(501) { // one more than a page examines
				e := tracking.Event{Tenant: "acme", Operation: "UploadPart"}
				all = append(all, &tracking.Batch{Writer: "w", Seq: n + 1, Time: time.Unix(1700000000+n, 0).UTC(), Events: []tracking.Event{e}})
			}
			for some := range slices.Chunk(all, 500) {
				if err := s.AppendBatch(t.Context(), some...); err != nil {
					t.Fatal(err)
				}
			}
			for name, q := range map[string]tracking.EventQuery{"of all": {}, "of a tenant": {Tenant: "acme"}} {
				q.Operation = "partway:IssueToken"
				page, next, err := s.Events(t.Context(), q)
				if err != nil || len(page) != 0 || next == "" {
					t.Fatalf("%s: the first page has %d events, cursor %q, error %v", name, len(page), next, err)
				}
				q.Cursor = next
				if page, next, err = s.Events(t.Context(), q); err != nil || len(page) != 0 || next != "" {
					t.Errorf("%s: the last page has %d events, cursor %q, error %v", name, len(page), next, err)
				}
			}
		})
	}
}
