package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

// What each server's absence means, and that nothing is half-done once it is back: the tenant's check at the end compares
// records, events and storage.

func TestStorageDown(t *testing.T) {
	n := ownStack(t, harness.Setup{Mongo: harness.MongoJavaServer}).NewTenant(t)
	key := n.Prefix + "storage-down"
	id := create(t, n, key)
	n.ToStorage.Cut()
	for _, c := range requests(key, id) {
		t.Run(c.name, func(t *testing.T) {
			refused(t, n, n.Do(t, n.Request(t, c.method, c.target, c.body)), 503, "ServiceUnavailable", true)
		})
	}
	notReady(t, n, "storage")
	mend(t, n, n.ToStorage)
	finish(t, n, key, id)
}

func TestRedisDownCostsNoUpload(t *testing.T) {
	n := ownStack(t, harness.Setup{Mongo: harness.MongoJavaServer}).NewTenant(t)
	before := n.Prefix + "before"
	id := create(t, n, before)
	n.ToRedis.Cut()
	// It goes on, so that no balancer takes it away: all gateways share the one Redis.
	says(t, n, http.StatusOK, `"status":"degraded"`, `"redis":"down"`)
	finish(t, n, before, id)
	everyStep(t, n, "during/")
	mend(t, n, n.ToRedis)
	finish(t, n, n.Prefix+"after", create(t, n, n.Prefix+"after"))
}

// everyStep begins uploads and ends them, and asks the rest of what needs no Redis.
func everyStep(t *testing.T, n *harness.Tenant, under string) {
	t.Helper()
	during := n.Prefix + under + "object"
	id := create(t, n, during)
	granted(t, n, redirected(n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+during+"?partNumber=2&uploadId="+id, "by redirect")))
	finish(t, n, during, id)
	aborted := create(t, n, n.Prefix+under+"aborted")
	for _, c := range []request{
		{"PutObject", "PUT", "/" + harness.Bucket + "/" + n.Prefix + under + "put", "object"},
		{"GetObject", "GET", "/" + harness.Bucket + "/" + during, ""},
		{"ListObjectsV2", "GET", "/" + harness.Bucket + "?list-type=2&prefix=" + n.Prefix, ""},
		{"ListParts", "GET", "/" + harness.Bucket + "/" + n.Prefix + under + "aborted?uploadId=" + aborted, ""},
		{"AbortMultipartUpload", "DELETE", "/" + harness.Bucket + "/" + n.Prefix + under + "aborted?uploadId=" + aborted, ""},
	} {
		if a := n.Do(t, n.Request(t, c.method, c.target, c.body)); a.StatusCode/100 != 2 {
			t.Errorf("%s: %s %s", c.name, a.Status, a.Text)
		}
	}
}

func TestMongoDBDown(t *testing.T) {
	for _, mongo := range []string{harness.SecantusDB, harness.MongoJavaServer} {
		t.Run(mongo, func(t *testing.T) {
			n := ownStack(t, harness.Setup{Mongo: mongo}).NewTenant(t)
			key := n.Prefix + "mongodb-down"
			id := create(t, n, key)
			n.ToMongo.Cut()
			notReady(t, n, "mongodb")
			etag := partsGoOn(t, n, key, id)
			var late []harness.Answer
			for _, c := range requests(key, id) {
				if c.name == "CreateMultipartUpload" || c.name == "CompleteMultipartUpload" {
					a := n.Do(t, n.Request(t, c.method, c.target, c.body))
					if a.StatusCode != http.StatusServiceUnavailable || a.Code != "ServiceUnavailable" || a.Header.Get("Retry-After") == "" {
						t.Errorf("%s: %s, Retry-After %q\n%s", c.name, a.Status, a.Header.Get("Retry-After"), a.Text)
					}
					late = append(late, a)
				}
			}
			mend(t, n, n.ToMongo)
			for _, a := range late {
				refused(t, n, a, 503, "ServiceUnavailable", true)
			}
			if a := complete(t, n, key, id, etag); a.StatusCode != http.StatusOK {
				t.Errorf("Complete afterwards: %s %s", a.Status, a.Text)
			}
		})
	}
}

// What waits on disk outlives the gateway: killed while MongoDB is away, it hands the events over when both are back.
func TestEventsOfAnOutageOutliveTheGateway(t *testing.T) {
	n := ownStack(t, harness.Setup{Mongo: harness.SecantusDB}).NewTenant(t)
	key := n.Prefix + "mongodb-down"
	id := create(t, n, key)
	n.ToMongo.Cut()
	etag := partsGoOn(t, n, key, id)
	n.Gateway.Kill()
	if err := n.ToMongo.Mend(); err != nil {
		t.Fatal(err)
	}
	again(t, n)
	if a := complete(t, n, key, id, etag); a.StatusCode != http.StatusOK {
		t.Errorf("Complete afterwards: %s %s", a.Status, a.Text)
	}
}

// partsGoOn sends parts by both roads, some at once, while their events can only wait in the spool. It returns the ETag of part 1.
func partsGoOn(t *testing.T, n *harness.Tenant, key, id string) (etag string) {
	t.Helper()
	part := func(number int) *http.Request {
		return n.Request(t, http.MethodPut, fmt.Sprintf("/%s/%s?partNumber=%d&uploadId=%s", harness.Bucket, key, number, id), "part")
	}
	put := n.Do(t, part(1))
	if put.StatusCode != http.StatusOK {
		t.Errorf("part by relay: %s %s", put.Status, put.Text)
	}
	together(t, 8, func(i int) {
		if i%2 == 0 {
			granted(t, n, redirected(part(2+i)))
		} else if a := n.Do(t, part(2+i)); a.StatusCode != http.StatusOK {
			t.Errorf("part %d by relay: %s %s", 2+i, a.Status, a.Text)
		}
	})
	return put.Header.Get("ETag")
}

type request struct{ name, method, target, body string }

// requests is one of each kind that needs more than the gateway.
func requests(key, id string) []request {
	object := "/" + harness.Bucket + "/" + key
	return []request{
		{"CreateMultipartUpload", "POST", object + ".new?uploads", ""},
		{"UploadPart", "PUT", object + "?partNumber=1&uploadId=" + id, "part"},
		{"CompleteMultipartUpload", "POST", object + "?uploadId=" + id, partList(`"00000000000000000000000000000000"`)},
		{"ListParts", "GET", object + "?uploadId=" + id, ""},
		{"PutObject", "PUT", object + ".put", "object"},
		{"GetObject", "GET", object, ""},
		{"ListObjectsV2", "GET", "/" + harness.Bucket + "?list-type=2&prefix=" + key, ""},
	}
}

// finish sends a part and completes.
func finish(t *testing.T, n *harness.Tenant, key, id string) {
	t.Helper()
	put := n.Do(t, n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id, "part"))
	if put.StatusCode != http.StatusOK {
		t.Fatalf("UploadPart: %s %s", put.Status, put.Text)
	}
	if a := complete(t, n, key, id, put.Header.Get("ETag")); a.StatusCode != http.StatusOK || a.Code != "" {
		t.Fatalf("Complete: %s %s", a.Status, a.Text)
	}
}

// ready asks the gateway past the tap.
func ready(t *testing.T, n *harness.Tenant) harness.Answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, n.Gateway.Endpoint+"/_partway/ready", nil)
	if err != nil {
		t.Fatal(err)
	}
	return n.Do(t, req)
}

func notReady(t *testing.T, n *harness.Tenant, part string) {
	t.Helper()
	says(t, n, http.StatusServiceUnavailable, `"status":"unavailable"`, `"`+part+`":"down"`)
}

// says waits until the gateway says of itself all that is wanted.
func says(t *testing.T, n *harness.Tenant, status int, want ...string) {
	t.Helper()
	var a harness.Answer
	err := harness.Await(withTimeout(t, 20*time.Second), "readiness", n.Gateway.Process, func() bool {
		a = ready(t, n)
		missing := slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(a.Text, w) })
		return a.StatusCode == status && !missing
	})
	if err != nil {
		t.Errorf("ready says %s %s, want %d with %s (%v)", a.Status, a.Text, status, want, err)
	}
}

// mend brings a server back and waits until the gateway says that all is well.
func mend(t *testing.T, n *harness.Tenant, tap *harness.Tap) {
	t.Helper()
	if err := tap.Mend(); err != nil {
		t.Fatal(err)
	}
	err := harness.Await(withTimeout(t, 30*time.Second), "ready", n.Gateway.Process, func() bool {
		a := ready(t, n)
		return a.StatusCode == http.StatusOK && strings.Contains(a.Text, `"status":"ok"`)
	})
	if err != nil {
		t.Fatalf("%v: %s", err, ready(t, n).Text)
	}
}
