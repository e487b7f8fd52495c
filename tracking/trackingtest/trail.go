package trackingtest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"partway/tracking"
)

func event(tenant, uploadID string) tracking.Event {
	return tracking.Event{
		Tenant: tenant, Subject: "alice", TokenID: "token-1", RequestID: "r1", Operation: "UploadPart", Bucket: "uploads",
		Key: "acme/a", UploadID: uploadID, PartNumber: 7, BytesDeclared: 5 << 20, Checksum: "crc32:AAAAAA==", Road: "relay",
		Reason: "default", Outcome: "ok", Status: 200, DurationMS: 12, ClientAddress: "192.0.2.1", UserAgent: "aws-cli/1.45 <&>",
	}
}

// batch is as the Writer seals one: dated second seconds after the epoch, ids and origin in every event.
func batch(writer string, seq int64, second int, events ...tracking.Event) *tracking.Batch {
	b := &tracking.Batch{
		Writer: writer, Seq: seq, Time: epoch.Add(time.Duration(second) * time.Second),
		Prev: []byte{0, 1, 0xff}, MAC: []byte{0xff, byte(seq)},
	}
	for i, e := range events {
		e.ID, e.Time = fmt.Sprintf("%s-%d-%d", writer, seq, i), b.Time
		e.Gateway, e.Writer, e.Seq = "gw1", writer, seq
		b.Events = append(b.Events, e)
	}
	return b
}

func mustAppend(t *testing.T, s tracking.Trail, bs ...*tracking.Batch) {
	t.Helper()
	for _, b := range bs {
		if err := s.AppendBatch(t.Context(), b); err != nil {
			t.Fatalf("append %s-%d: %v", b.Writer, b.Seq, err)
		}
	}
}

func allEvents(t *testing.T, s tracking.Trail, q tracking.EventQuery) []tracking.Event {
	t.Helper()
	var all []tracking.Event
	for range 1000 {
		page, next, err := s.Events(t.Context(), q)
		if err != nil {
			t.Fatalf("events %+v: %v", q, err)
		}
		if q.Limit > 0 && len(page) > q.Limit {
			t.Fatalf("page of %d, limit %d", len(page), q.Limit)
		}
		all = append(all, page...)
		if next == "" {
			return all
		}
		q.Cursor = next
	}
	t.Fatalf("events %+v never end", q)
	return nil
}

func ids(es []tracking.Event) []string {
	var all []string
	for _, e := range es {
		all = append(all, e.ID)
	}
	return all
}

func trail(t *testing.T, open func(t *testing.T) tracking.Store) {
	a, b := event("acme", "u1"), event("other", "u2")

	t.Run("an event reads back as it was written", func(t *testing.T) {
		s := open(t)
		e := a
		e.Bytes, e.Parts, e.ETag, e.Count = 1<<40, 10000, `"abc"`, 3
		e.Keys, e.Target = []string{"acme/a", "acme/b"}, "token-2"
		want := batch("w1", 1, 0, e, event("", ""))
		mustAppend(t, s, want)
		wantEqual(t, "events", allEvents(t, s, tracking.EventQuery{}), want.Events)
	})
	t.Run("oldest first by time, writer, seq and place", func(t *testing.T) {
		s := open(t)
		mustAppend(t, s, batch("w2", 2, 5, a), batch("w1", 11, 5, a, b), batch("w1", 9, 5, a), batch("w3", 1, 4, a), batch("w0", 1, 6, a))
		want := []string{"w3-1-0", "w1-9-0", "w1-11-0", "w1-11-1", "w2-2-0", "w0-1-0"}
		wantEqual(t, "order", ids(allEvents(t, s, tracking.EventQuery{})), want)
		wantEqual(t, "order, one a page", ids(allEvents(t, s, tracking.EventQuery{Limit: 1})), want)
	})
	t.Run("appending a batch again is success and stores nothing", func(t *testing.T) {
		s := open(t)
		mustAppend(t, s, batch("w1", 1, 0, a))
		again := batch("w1", 1, 9, b, b)
		mustAppend(t, s, batch("w1", 1, 0, a), again, batch("w2", 1, 0, b), batch("w1", 2, 0, b))
		wantEqual(t, "events", ids(allEvents(t, s, tracking.EventQuery{})), []string{"w1-1-0", "w1-2-0", "w2-1-0"})
		wantEqual(t, "events of u2", ids(allEvents(t, s, tracking.EventQuery{UploadID: "u2"})), []string{"w1-2-0", "w2-1-0"})
	})
	t.Run("several at once are stored in order, but those that are there", func(t *testing.T) {
		s := open(t)
		mustAppend(t, s, batch("w1", 2, 0, a), batch("w1", 4, 0, a))
		if err := s.AppendBatch(t.Context(), batch("w1", 1, 0, a), batch("w1", 2, 0, b), batch("w1", 3, 0, a), batch("w1", 4, 0, b), batch("w1", 5, 0, a)); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "events", ids(allEvents(t, s, tracking.EventQuery{})), []string{"w1-1-0", "w1-2-0", "w1-3-0", "w1-4-0", "w1-5-0"})
		wantEqual(t, "events of u2", ids(allEvents(t, s, tracking.EventQuery{UploadID: "u2"})), []string(nil))
	})
	t.Run("of 20 appends of one batch one is stored", func(t *testing.T) {
		s := open(t)
		results := make(chan error, 20)
		for range cap(results) {
			go func() { results <- s.AppendBatch(t.Context(), batch("w1", 1, 0, a)) }()
		}
		for range cap(results) {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		wantEqual(t, "events", ids(allEvents(t, s, tracking.EventQuery{})), []string{"w1-1-0"})
	})
	t.Run("filters hold alone and together", func(t *testing.T) { eventFilters(t, open(t)) })
	t.Run("a rare operation is found behind any number of others", func(t *testing.T) { rareOperation(t, open(t)) })
	t.Run("limit 0 is 100, within and across batches", func(t *testing.T) {
		s := open(t)
		var want []string
		for seq := range 3 {
			events := make([]tracking.Event, 50)
			for i := range events {
				events[i] = a
				want = append(want, fmt.Sprintf("w1-%d-%d", seq+1, i))
			}
			mustAppend(t, s, batch("w1", int64(seq+1), seq, events...))
		}
		page, next, err := s.Events(t.Context(), tracking.EventQuery{})
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "page", ids(page), want[:100])
		wantEqual(t, "rest", ids(allEvents(t, s, tracking.EventQuery{Cursor: next})), want[100:])
		wantEqual(t, "pages of 7", ids(allEvents(t, s, tracking.EventQuery{Limit: 7, UploadID: "u1"})), want)
	})
	t.Run("later appends between pages neither repeat nor hide events, and are seen", func(t *testing.T) {
		s := open(t)
		var got, want []string
		for seq := range 4 {
			mustAppend(t, s, batch("w1", int64(seq+1), seq, a, a, b, a))
			for i := range 4 {
				want = append(want, fmt.Sprintf("w1-%d-%d", seq+1, i))
			}
		}
		q := tracking.EventQuery{Limit: 3}
		for page := 1; ; page++ {
			events, next, err := s.Events(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, ids(events)...)
			if next == "" {
				break
			}
			if page <= 3 {
				mustAppend(t, s, batch("w0", int64(page), 10+page, a))
				want = append(want, fmt.Sprintf("w0-%d-0", page))
			}
			q.Cursor = next
		}
		wantEqual(t, "events", got, want)
	})
	t.Run("a malformed cursor is refused", func(t *testing.T) {
		s := open(t)
		mustAppend(t, s, batch("w1", 1, 0, a))
		for _, cursor := range malformedCursors {
			_, _, err := s.Events(t.Context(), tracking.EventQuery{Cursor: cursor})
			wantErr(t, err, tracking.ErrBadCursor)
		}
	})
}

func eventFilters(t *testing.T, s tracking.Store) {
	var all []tracking.Event
	for n := range 12 {
		x, y, z := event("acme", fmt.Sprint("u", n%3)), event("acme2", "u1"), event("acme", "")
		y.Operation = "CompleteMultipartUpload"
		if n == 7 {
			z.Operation = "partway:IssueToken"
		}
		b := batch("w1", int64(n+1), n, x, y, z, x)
		mustAppend(t, s, b)
		all = append(all, b.Events...)
	}
	at := func(second int) time.Time { return epoch.Add(time.Duration(second) * time.Second) }
	for _, q := range []tracking.EventQuery{
		{UploadID: "u1"}, {UploadID: "u"}, {Tenant: "acme"}, {Tenant: "acme2"}, {Tenant: "nobody"},
		{Since: at(4)}, {Since: at(4).Add(time.Millisecond)}, {Until: at(4)},
		{Since: at(4).Add(time.Microsecond)}, {Until: at(4).Add(time.Microsecond)}, {Since: at(2), Until: at(5)}, {Since: at(5), Until: at(5)},
		{UploadID: "u1", Tenant: "acme"}, {UploadID: "u2", Tenant: "acme2"},
		{UploadID: "u1", Since: at(3), Until: at(8)}, {Tenant: "acme", Since: at(3), Until: at(8)},
		{UploadID: "u1", Tenant: "acme2", Since: at(1), Until: at(11)},
		{Operation: "UploadPart"}, {Operation: "CompleteMultipartUpload"}, {Operation: "partway:IssueToken"}, {Operation: "Upload"},
		{Operation: "CompleteMultipartUpload", Tenant: "acme"}, {Operation: "UploadPart", Tenant: "acme", UploadID: "u1", Since: at(2), Until: at(9)},
	} {
		var want []string
		for _, e := range all {
			if (q.UploadID == "" || e.UploadID == q.UploadID) && (q.Tenant == "" || e.Tenant == q.Tenant) &&
				(q.Operation == "" || e.Operation == q.Operation) && !e.Time.Before(q.Since) && (q.Until.IsZero() || e.Time.Before(q.Until)) {
				want = append(want, e.ID)
			}
		}
		for _, limit := range []int{1, 3, 1000} {
			q.Limit = limit
			wantEqual(t, fmt.Sprintf("%+v", q), ids(allEvents(t, s, q)), want)
		}
	}
}

// rareOperation has it in the first of many batches, in the last, and where the pages of tracking/mongo, which examine 500 batches, meet.
func rareOperation(t *testing.T, s tracking.Store) {
	var all []*tracking.Batch
	var want []string
	for n := range 1100 {
		e := event("acme", "")
		rare := n == 0 || n >= 499 && n <= 501 || n >= 999 && n <= 1001 || n == 1099
		if rare {
			e.Operation = "partway:IssueToken"
		}
		b := batch(fmt.Sprint("w", n%2), int64(n+1), n/3, event("other", ""), e) // several at one time
		all = append(all, b)
		if rare {
			want = append(want, b.Events[1].ID)
		}
	}
	for some := range slices.Chunk(all, 500) {
		if err := s.AppendBatch(t.Context(), some...); err != nil {
			t.Fatal(err)
		}
	}
	sorted := ids(allEvents(t, s, tracking.EventQuery{Limit: 1000}))
	slices.SortFunc(want, func(a, b string) int { return slices.Index(sorted, a) - slices.Index(sorted, b) })
	for _, q := range []tracking.EventQuery{{}, {Tenant: "acme"}, {Limit: 1}, {Limit: 2, Until: epoch.Add(time.Hour)}} {
		q.Operation = "partway:IssueToken"
		wantEqual(t, fmt.Sprintf("%+v", q), ids(allEvents(t, s, q)), want)
	}
}
