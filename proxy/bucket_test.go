package proxy

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"partway/tracking"
)

// A bucket that is made again shows none of the uploads that went with the one before.
func TestDeleteBucketEndsTheRecordsOfItsUploads(t *testing.T) {
	b := newBench(t)
	b.tenant = b.operator()
	id := b.started(key)
	b.want(b.ask("DELETE", "/uploads", ""), 204, "")
	if u := b.record(id); u.State != tracking.StateAborted || u.ResultCode != "NoSuchBucket" {
		t.Errorf("the record is %s %q", u.State, u.ResultCode)
	}
	if a := b.ask("GET", "/uploads?uploads", ""); a.status != 200 || strings.Contains(a.body, id) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestDeleteBucketThatIsRefusedEndsNothing(t *testing.T) {
	b := newBench(t)
	b.tenant = b.operator()
	id := b.started(key)
	b.s3.faults("delete", refuse)
	b.want(b.ask("DELETE", "/uploads", ""), 403, "AccessDenied")
	if u := b.record(id); u.State != tracking.StateOpen {
		t.Errorf("the record is %s", u.State)
	}
}

func TestWhatIsAskedOfABucketThatIsNotThere(t *testing.T) {
	b := newBench(t)
	b.tenant = b.operator()
	b.s3.gone = "/nowhere"
	for _, c := range []struct{ method, target string }{
		{"GET", "/nowhere?uploads"},
		{"GET", "/nowhere/k?uploadId=x"},
		{"DELETE", "/nowhere/k?uploadId=x"},
		{"PUT", "/nowhere/k?uploadId=x&partNumber=0"},
	} {
		if a := b.ask(c.method, c.target, ""); a.status != 404 || a.code() != "NoSuchBucket" {
			t.Errorf("%s %s: %d %s", c.method, c.target, a.status, a.code())
		}
	}
}

func TestUploadMarkers(t *testing.T) {
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("", func(*scope) {}))
	for i, k := range []string{"a", "b", "b", "c"} { // the ids of one key sort against their time
		u := &tracking.Upload{Record: fmt.Sprint(i), ID: fmt.Sprintf("id-%d", 9-i), Bucket: "uploads", Key: k, State: tracking.StateOpen,
			CreatedAt: noonOf(i), Tenant: "acme"}
		if err := b.store.InsertUpload(context.Background(), u); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, key, id string
		want          string // the ids in order; "" for InvalidArgument
	}{
		{"none", "", "", "id-9 id-8 id-7 id-6"},
		{"an id without a key does not count", "", "id-7", "id-9 id-8 id-7 id-6"},
		{"a key", "b", "", "id-6"},
		{"a key and its first id", "b", "id-8", "id-7 id-6"},
		{"a key without uploads and an id of the next", "aa", "id-8", "id-7 id-6"},
		{"an id of another key", "a", "id-6", ""},
		{"an id of a key before", "b", "id-9", ""},
		{"no id", "b", "id", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := url.Values{"uploads": {""}, "key-marker": {c.key}, "upload-id-marker": {c.id}}
			a := b.ask("GET", "/uploads?"+q.Encode(), "")
			if c.want == "" {
				b.want(a, 400, "InvalidArgument")
				return
			}
			var ids []string
			for _, part := range strings.Split(a.body, "<UploadId>")[1:] {
				id, _, _ := strings.Cut(part, "<")
				ids = append(ids, id)
			}
			if got := strings.Join(ids, " "); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func noonOf(second int) time.Time { return time.Date(2026, 11, 22, 12, 0, second, 0, time.UTC) }
