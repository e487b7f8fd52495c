package proxy

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"partway/auth"
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

// played is a gateway in front of storage that the test plays.
func played(t *testing.T, play http.HandlerFunc) *bench {
	t.Helper()
	s := httptest.NewServer(play)
	t.Cleanup(s.Close)
	b := newBenchOn(t, s.URL)
	b.tenant = b.operator()
	return b
}

func TestCreateBucketIsAnsweredWithTheGatewaysLocation(t *testing.T) {
	b := played(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Location", "http://storage.internal/"+r.URL.Path)
		w.Header().Set("x-amz-bucket-arn", "arn:aws:s3:::"+r.URL.Path[1:])
	})
	for _, body := range []string{"", "<CreateBucketConfiguration/>"} {
		a := b.ask("PUT", "/fresh", body)
		if a.status != 200 || a.header.Get("Location") != "/fresh" || a.header.Get("x-amz-bucket-arn") != "arn:aws:s3:::fresh" {
			t.Errorf("body %q: %d %v", body, a.status, a.header)
		}
	}
}

// That a bucket is not there yet is no answer to somebody who makes it.
func TestCreateBucketThatIsRefusedSaysWhy(t *testing.T) {
	b := played(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		fakeError(w, http.StatusBadRequest, "InvalidArgument")
	})
	b.want(b.ask("PUT", "/fresh", "", "x-amz-object-ownership", "nobody"), 400, "InvalidArgument")
}

func TestGetBucketLocationAsksForTheBucket(t *testing.T) {
	b := newBench(t)
	b.tenant = b.operator()
	b.s3.gone = "/nowhere"
	b.want(b.ask("GET", "/nowhere?location", ""), 404, "NoSuchBucket")
	if a := b.ask("GET", "/uploads?location", ""); a.status != 200 || !strings.Contains(a.body, "<LocationConstraint") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestListBuckets(t *testing.T) {
	b := played(t, func(w http.ResponseWriter, r *http.Request) { // gives two at a time
		from := 0
		if r.URL.Query().Get("continuation-token") == "more" {
			from = 2
		}
		fmt.Fprint(w, "<ListAllMyBucketsResult><Owner><ID>storage-id</ID></Owner><Buckets>")
		for _, n := range []string{"bb-b", "aa-b", "ac-b", "zz-b"}[from : from+2] {
			fmt.Fprintf(w, "<Bucket><Name>%s</Name><CreationDate>2026-11-22T12:00:00Z</CreationDate><BucketRegion>storage-1</BucketRegion></Bucket>", n)
		}
		fmt.Fprint(w, "</Buckets>")
		if from == 0 {
			fmt.Fprint(w, "<ContinuationToken>more</ContinuationToken>")
		}
		fmt.Fprint(w, "</ListAllMyBucketsResult>")
	})
	operator, tenant := b.tenant, b.bearer("acme", auth.Scope{Bucket: "ac-b", Actions: []string{"s3:ListBucket"}})
	for _, c := range []struct {
		name, token, query string
		want, next         string // "" for InvalidArgument
	}{
		{"all, in order, over storage's pages", operator, "", "aa-b ac-b bb-b zz-b", ""},
		{"a prefix", operator, "prefix=a", "aa-b ac-b", ""},
		{"a page", operator, "max-buckets=2", "aa-b ac-b", "ac-b"},
		{"the next page", operator, "max-buckets=2&continuation-token=ac-b", "bb-b zz-b", ""},
		{"a token whose bucket is gone", operator, "continuation-token=ad-b", "bb-b zz-b", ""},
		{"the gateway's region", operator, "bucket-region=us-east-1", "aa-b ac-b bb-b zz-b", ""},
		{"another region", operator, "bucket-region=storage-1", "none", ""},
		{"what the scope names", tenant, "", "ac-b", ""},
		{"no buckets", operator, "max-buckets=0", "", ""},
		{"too many", operator, "max-buckets=10001", "", ""},
		{"no number", operator, "max-buckets=a", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.tenant = c.token
			a := b.ask("GET", "/?"+c.query, "")
			if c.want == "" {
				b.want(a, 400, "InvalidArgument")
				return
			}
			var said struct {
				Buckets           struct{ Bucket []listedBucket }
				ContinuationToken string
			}
			if err := xml.Unmarshal([]byte(a.body), &said); err != nil {
				t.Fatal(err)
			}
			names := []string{}
			for _, e := range said.Buckets.Bucket {
				names = append(names, e.Name)
				if e.BucketRegion != "us-east-1" || e.CreationDate == "" {
					t.Errorf("%+v", e)
				}
			}
			if got := strings.Join(names, " "); got != strings.Replace(c.want, "none", "", 1) || said.ContinuationToken != c.next {
				t.Errorf("%q, next %q; want %q, %q", got, said.ContinuationToken, c.want, c.next)
			}
			if strings.Contains(a.body, "storage") {
				t.Errorf("storage shows: %s", a.body)
			}
		})
	}
}
