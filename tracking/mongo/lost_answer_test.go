//go:build servers

package mongo_test

import (
	"errors"
	"testing"
	"time"

	"partway/tracking"
	"partway/tracking/trackingtest/servers"
)

// A write whose answer is lost has failed for the caller and is in the database. The next call must find out.
func TestWriteWhoseAnswerIsLost(t *testing.T) {
	for _, server := range servers.Mongo(t) {
		if !server.Ours() {
			continue // its URI may need more than an address
		}
		t.Run(server.Name, func(t *testing.T) {
			line := newLine(t, server.URI)
			s := open(t, line.uri, "&directConnection=true") // a replica set would send the driver past the line
			ctx := t.Context()
			lose := func(command string, call func() error) {
				t.Helper()
				line.loseAfter(command)
				mustBeUnavailable(t, command, call)
				line.loseAfter("")
				eventually(t, "the database to be back", func() error { return s.Ping(ctx) })
			}
			u := &tracking.Upload{Record: "r1", ID: "u1", State: tracking.StateOpen}
			b := &tracking.Batch{Writer: "w1", Seq: 1, Events: []tracking.Event{{ID: "w1-1-0"}}}
			r := tracking.Revocation{Tenant: "acme", At: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}

			lose("insert", func() error { return s.InsertUpload(ctx, u) })
			if err := s.InsertUpload(ctx, u); !errors.Is(err, tracking.ErrExists) {
				t.Fatalf("insert again: error %v, want ErrExists", err)
			}
			u, err := s.Upload(ctx, "u1")
			if err != nil {
				t.Fatal(err)
			}

			u.State = tracking.StateCompleting
			lose("update", func() error { return s.SwapUpload(ctx, u) })
			if u.Revision != 1 {
				t.Errorf("revision %d after a swap that failed", u.Revision)
			}
			if err := s.SwapUpload(ctx, u); !errors.Is(err, tracking.ErrConflict) {
				t.Fatalf("swap again: error %v, want ErrConflict", err)
			}
			if got, err := s.Upload(ctx, "u1"); err != nil || got.Revision != 2 || got.State != tracking.StateCompleting {
				t.Fatalf("after the lost swap: %+v, %v", got, err)
			}

			lose("insert", func() error { return s.AppendBatch(ctx, b) })
			if err := s.AppendBatch(ctx, b); err != nil {
				t.Fatalf("append again: %v", err)
			}
			if events, _, err := s.Events(ctx, tracking.EventQuery{}); err != nil || len(events) != 1 {
				t.Fatalf("events %v, %v", events, err)
			}

			c, p := tracking.Charge{Tenant: "acme", Period: "2026-03", ID: "a"}, tracking.Pending{Bytes: 60}
			lose("insert", func() error { _, err := s.Charge(ctx, c, p, 100); return err }) // of the period's document
			lose("findAndModify", func() error { _, err := s.Charge(ctx, c, p, 100); return err })
			if now, err := s.Charge(ctx, c, p, 100); err != nil || now.Bytes != 60 {
				t.Fatalf("charge again: %+v, %v", now, err)
			}
			lose("update", func() error { return s.Refund(ctx, c) })
			if err := s.Refund(ctx, c); err != nil {
				t.Fatalf("refund again: %v", err)
			}
			if now, err := s.Spending(ctx, "acme", "2026-03"); err != nil || now.Bytes != 0 || len(now.Pending) != 0 {
				t.Fatalf("after the lost refund: %+v, %v", now, err)
			}

			lose("insert", func() error { return s.Revoke(ctx, r) })
			if err := s.Revoke(ctx, r); err != nil {
				t.Fatalf("revoke again: %v", err)
			}
			if all, err := s.Revocations(ctx); err != nil || len(all) != 1 {
				t.Fatalf("revocations %v, %v", all, err)
			}
		})
	}
}
