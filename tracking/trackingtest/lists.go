package trackingtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"partway/tracking"
)

// names with what a pattern language, a range scan or a byte-wise successor could trip over.
var awkwardKeys = []string{
	"a.b/1", "aXb/1", "a*b/1", "aab/1", "a[x]/1", "ax/1", `a\b/1`, "^a/1", "$a/1", "(a|b)/1", "a?/1", "a%/1", "a_/1",
	"é/1", "e\u0301/1", "日本/1", "日本語/1", "\u00ff/1", "\uffff/1", "\U0010ffff", "\U0010ffff/1", "\U0010ffff\U0010ffff/1", "A/1", "a/1",
	"a/\x7f", "a/ ", "a//1", " a/1", "'a'/1", `"a"/1`, "{a}/1",
}

var awkwardPrefixes = append([]string{
	"", "a", "a.", "a*", "a[", `a\`, "^", "$", "(", "a?", "a%", "a_", "é", "e", "日本", "\u00ff", "\uffff", "\U0010ffff",
	"\U0010ffff\U0010ffff", "A", "a/", "none/", "{", " ",
}, awkwardKeys...)

// allUploads reads every page and checks what holds for each.
func allUploads(t *testing.T, s tracking.Uploads, q tracking.UploadQuery) []tracking.Upload {
	t.Helper()
	var all []tracking.Upload
	for range 1000 {
		page, next, err := s.ListUploads(t.Context(), q)
		if err != nil {
			t.Fatalf("list %+v: %v", q, err)
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
	t.Fatalf("list %+v never ends", q)
	return nil
}

func records(us []tracking.Upload) []string {
	var names []string
	for _, u := range us {
		names = append(names, u.Record)
	}
	return names
}

func newestFirst(from, to int) []string {
	var names []string
	for n := to; n >= from; n-- {
		names = append(names, fmt.Sprintf("record-%04d", n))
	}
	return names
}

func listUploads(t *testing.T, open func(t *testing.T) tracking.Store) {
	t.Run("an empty store is an empty page", func(t *testing.T) {
		wantEqual(t, "page", len(allUploads(t, open(t), tracking.UploadQuery{})), 0)
	})
	t.Run("newest first, whole records", func(t *testing.T) {
		s := open(t)
		two := record(2)
		mustInsert(t, s, two, record(3), record(1))
		all := allUploads(t, s, tracking.UploadQuery{})
		wantEqual(t, "order", records(all), newestFirst(1, 3))
		wantEqual(t, "record", &all[1], two)
	})
	t.Run("intents are not listed until they have an id", func(t *testing.T) {
		s := open(t)
		intent := record(2)
		intent.ID = ""
		mustInsert(t, s, record(1), intent)
		wantEqual(t, "before", records(allUploads(t, s, tracking.UploadQuery{})), newestFirst(1, 1))
		wantEqual(t, "before, by tenant", records(allUploads(t, s, tracking.UploadQuery{Tenant: "acme"})), newestFirst(1, 1))
		intent.ID = "id-0002"
		if err := s.SwapUpload(t.Context(), intent); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "after", records(allUploads(t, s, tracking.UploadQuery{})), newestFirst(1, 2))
	})
	t.Run("records of one millisecond are all listed, one by one", func(t *testing.T) {
		s := open(t)
		for n := range 7 {
			u := record(n)
			u.CreatedAt = epoch
			mustInsert(t, s, u)
		}
		wantEqual(t, "order", records(allUploads(t, s, tracking.UploadQuery{Limit: 1})), newestFirst(0, 6))
	})
	t.Run("records dated before 1970 and without a date are listed last", func(t *testing.T) {
		s := open(t)
		old, undated := record(2), record(3)
		old.CreatedAt = old.CreatedAt.AddDate(-100, 0, 0)
		undated.CreatedAt = undated.CreatedAt.AddDate(-undated.CreatedAt.Year()+1, 0, 0)
		mustInsert(t, s, undated, record(1), old)
		wantEqual(t, "order", records(allUploads(t, s, tracking.UploadQuery{Limit: 1})), []string{"record-0001", "record-0002", "record-0003"})
	})
	t.Run("limit 0 is 100", func(t *testing.T) {
		s := open(t)
		for n := range 105 {
			mustInsert(t, s, record(n))
		}
		page, next, err := s.ListUploads(t.Context(), tracking.UploadQuery{})
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "page", records(page), newestFirst(5, 104))
		wantEqual(t, "rest", records(allUploads(t, s, tracking.UploadQuery{Cursor: next})), newestFirst(0, 4))
	})
	t.Run("inserts between pages neither repeat nor hide records", func(t *testing.T) {
		s := open(t)
		for n := range 10 {
			mustInsert(t, s, record(n))
		}
		var got []string
		q := tracking.UploadQuery{Tenant: "acme", Limit: 3}
		for newer := 100; ; newer++ {
			page, next, err := s.ListUploads(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, records(page)...)
			if next == "" {
				break
			}
			mustInsert(t, s, record(newer))
			q.Cursor = next
		}
		wantEqual(t, "records", got, newestFirst(0, 9))
	})
	t.Run("a changed record moves out of one state's list into another's", func(t *testing.T) {
		s := open(t)
		u := record(1)
		mustInsert(t, s, u)
		u.State = tracking.StateCompleted
		if err := s.SwapUpload(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "open", len(allUploads(t, s, tracking.UploadQuery{States: []tracking.State{tracking.StateOpen}})), 0)
		wantEqual(t, "completed", len(allUploads(t, s, tracking.UploadQuery{States: []tracking.State{tracking.StateCompleted}})), 1)
	})
	t.Run("filters hold alone and together", func(t *testing.T) { uploadFilters(t, open(t)) })
	t.Run("a prefix is bytes, not a pattern", func(t *testing.T) {
		s := open(t)
		for n, key := range awkwardKeys {
			u := record(n)
			u.Key = key
			mustInsert(t, s, u)
		}
		for _, prefix := range awkwardPrefixes {
			var got []string
			for _, u := range allUploads(t, s, tracking.UploadQuery{Bucket: "uploads", Prefix: prefix, Limit: 7}) {
				got = append(got, u.Key)
			}
			slices.Sort(got)
			wantEqual(t, fmt.Sprintf("prefix %q", prefix), got, sortedKeys(prefix))
		}
	})
	t.Run("a malformed cursor is refused", func(t *testing.T) {
		s := open(t)
		mustInsert(t, s, record(1))
		for _, cursor := range malformedCursors {
			_, _, err := s.ListUploads(t.Context(), tracking.UploadQuery{Cursor: cursor})
			wantErr(t, err, tracking.ErrBadCursor)
		}
	})
}

var malformedCursors = []string{"!", "x", "AA", "e30", "bm90LWEtY3Vyc29y", "\x00", strings.Repeat("A", 5000)}

// sortedKeys are the awkward keys under prefix in S3's order, which is that of their UTF-8 bytes.
func sortedKeys(prefix string) []string {
	var keys []string
	for _, key := range awkwardKeys {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func uploadFilters(t *testing.T, s tracking.Store) {
	tenants := []string{"acme", "acme2", "other"}
	buckets := []string{"uploads", "uploads2"}
	states := []tracking.State{tracking.StateOpen, tracking.StateCompleted, tracking.StateAborted}
	var all []*tracking.Upload
	for n := range 36 {
		u := record(n)
		u.Tenant, u.Bucket, u.State = tenants[n%3], buckets[n/3%2], states[n/6%3]
		u.Key = fmt.Sprintf("dir%d/file", n%2)
		all = append(all, u)
	}
	mustInsert(t, s, all...)
	for _, q := range []tracking.UploadQuery{
		{Tenant: "acme"}, {Tenant: "acme2"}, {Tenant: "nobody"}, {Bucket: "uploads"}, {Bucket: "upload"}, {Prefix: "dir1/"},
		{States: []tracking.State{tracking.StateOpen}},
		{States: []tracking.State{tracking.StateOpen, tracking.StateAborted}},
		{Tenant: "acme", Bucket: "uploads2"},
		{Tenant: "other", Bucket: "uploads", Prefix: "dir0", States: []tracking.State{tracking.StateCompleted, tracking.StatePaused}},
	} {
		var want []string
		for _, u := range slices.Backward(all) {
			if (q.Tenant == "" || u.Tenant == q.Tenant) && (q.Bucket == "" || u.Bucket == q.Bucket) &&
				strings.HasPrefix(u.Key, q.Prefix) && (q.States == nil || slices.Contains(q.States, u.State)) {
				want = append(want, u.Record)
			}
		}
		q.Limit = 2
		wantEqual(t, fmt.Sprintf("%+v", q), records(allUploads(t, s, q)), want)
	}
}
