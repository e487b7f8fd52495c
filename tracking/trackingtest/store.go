// Package trackingtest is the contract of package tracking as tests. Every Store and every Sessions passes it; a sentence of a
// contract that a caller relies on is a named subtest here.
package trackingtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"partway/tracking"
)

// Store checks one implementation. open returns an empty store that nothing else uses and closes it with t.Cleanup. Each
// subtest opens its own.
func Store(t *testing.T, open func(t *testing.T) tracking.Store) {
	t.Run("Uploads", func(t *testing.T) { uploads(t, open) })
	t.Run("ListUploads", func(t *testing.T) { listUploads(t, open) })
	t.Run("OpenUploads", func(t *testing.T) { openUploads(t, open) })
	t.Run("Unfinished", func(t *testing.T) { unfinished(t, open) })
	t.Run("Trail", func(t *testing.T) { trail(t, open) })
	t.Run("Archive", func(t *testing.T) { archive(t, open) })
	t.Run("Tokens", func(t *testing.T) { tokens(t, open) })
	t.Run("Notices", func(t *testing.T) { notices(t, open) })
	t.Run("Spendings", func(t *testing.T) { spendings(t, open) })
	t.Run("a cancelled context is ErrUnavailable and changes nothing", func(t *testing.T) { cancelled(t, open(t)) })
	t.Run("Ping answers while open", func(t *testing.T) {
		if err := open(t).Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// epoch is the suite's time: what is stored is dated from here, so that nothing depends on the clock.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 123_000_000, time.UTC)

// record is upload number n of the suite: created n seconds after the epoch, every field set to something of its own.
func record(n int) *tracking.Upload {
	at := epoch.Add(time.Duration(n) * time.Second)
	return &tracking.Upload{
		Record: fmt.Sprintf("record-%04d", n), ID: fmt.Sprintf("id-%04d", n), StorageID: fmt.Sprintf("storage-%04d", n),
		Tenant: "acme", Subject: "alice", TokenID: "token-1", Bucket: "uploads", Key: fmt.Sprintf("acme/%04d.bin", n),
		Backend: "main", State: tracking.StateOpen, CreatedAt: at, UpdatedAt: at.Add(time.Millisecond), ExpiresAt: at.Add(time.Hour),
		ChecksumAlgorithm: "CRC32", MaxBytes: 5 << 40,
	}
}

func mustInsert(t *testing.T, s tracking.Uploads, us ...*tracking.Upload) {
	t.Helper()
	for _, u := range us {
		if err := s.InsertUpload(t.Context(), u); err != nil {
			t.Fatalf("insert %s: %v", u.Record, err)
		}
	}
}

func mustUpload(t *testing.T, s tracking.Uploads, id string) *tracking.Upload {
	t.Helper()
	u, err := s.Upload(t.Context(), id)
	if err != nil {
		t.Fatalf("read %s: %v", id, err)
	}
	return u
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("error %v, want %v", got, want)
	}
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\n got %+v\nwant %+v", what, got, want)
	}
}

func cancelled(t *testing.T, s tracking.Store) {
	mustInsert(t, s, record(1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	swap := mustUpload(t, s, "id-0001")
	swap.Key = "changed"
	calls := []struct {
		name string
		call func() error
	}{
		{"InsertUpload", func() error { return s.InsertUpload(ctx, record(2)) }},
		{"Upload", func() error { _, err := s.Upload(ctx, "id-0001"); return err }},
		{"SwapUpload", func() error { return s.SwapUpload(ctx, swap) }},
		{"DeleteIntent", func() error { return s.DeleteIntent(ctx, "record-0009") }},
		{"ListUploads", func() error { _, _, err := s.ListUploads(ctx, tracking.UploadQuery{}); return err }},
		{"OpenUploads", func() error {
			_, err := s.OpenUploads(ctx, tracking.OpenQuery{Bucket: "uploads", Limit: 10})
			return err
		}},
		{"DueUploads", func() error {
			_, err := s.DueUploads(ctx, tracking.DueQuery{State: tracking.StateOpen, Before: future(), Limit: 10})
			return err
		}},
		{"Intents", func() error { _, err := s.Intents(ctx, tracking.IntentQuery{Before: future(), Limit: 10}); return err }},
		{"NewestIntent", func() error { _, err := s.NewestIntent(ctx, "uploads", "acme/0001.bin"); return err }},
		{"CountUnfinished", func() error { _, err := s.CountUnfinished(ctx); return err }},
		{"AppendBatch", func() error { b := batch("w1", 1, 0, event("acme", "u1")); return s.AppendBatch(ctx, b) }},
		{"Events", func() error { _, _, err := s.Events(ctx, tracking.EventQuery{}); return err }},
		{"InsertToken", func() error { return s.InsertToken(ctx, token(1)) }},
		{"ListTokens", func() error { _, err := s.ListTokens(ctx, ""); return err }},
		{"Revoke", func() error {
			return s.Revoke(ctx, tracking.Revocation{Tenant: "acme", At: epoch, ExpiresAt: future()})
		}},
		{"Thaw", func() error { return s.Thaw(ctx, "acme") }},
		{"Revocations", func() error { _, err := s.Revocations(ctx); return err }},
		{"DueNotices", func() error { _, err := s.DueNotices(ctx, epoch, 10); return err }},
		{"Charge", func() error { _, err := s.Charge(ctx, charge("a"), pending("", 1), 10); return err }},
		{"Settle", func() error { return s.Settle(ctx, charge("a")) }},
		{"Refund", func() error { return s.Refund(ctx, charge("a")) }},
		{"Spending", func() error { _, err := s.Spending(ctx, "acme", "2026-03"); return err }},
		{"Ping", func() error { return s.Ping(ctx) }},
	}
	for _, c := range calls {
		if err := c.call(); !errors.Is(err, tracking.ErrUnavailable) {
			t.Errorf("%s: error %v, want ErrUnavailable", c.name, err)
		}
	}

	if got := mustUpload(t, s, "id-0001"); got.Key != record(1).Key || got.Revision != 1 {
		t.Errorf("the swap took effect: %+v", got)
	}
	_, err := s.Upload(t.Context(), "id-0002")
	wantErr(t, err, tracking.ErrNotFound)
	_, err = s.Spending(t.Context(), "acme", "2026-03")
	wantErr(t, err, tracking.ErrNotFound)
	wantEqual(t, "events", ids(allEvents(t, s, tracking.EventQuery{})), []string(nil))
	all, err := s.ListTokens(t.Context(), "")
	if err != nil || len(all) != 0 {
		t.Errorf("tokens %v, %v", all, err)
	}
}

// future and past are for expiries, which an implementation may compare with a clock that the suite cannot set.
func future() time.Time { return time.Now().UTC().Truncate(time.Millisecond).Add(time.Hour) }
func past() time.Time   { return time.Now().UTC().Truncate(time.Millisecond).Add(-time.Hour) }
