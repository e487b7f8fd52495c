package e2e

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

// archive is a bucket on the second storage of twoStorages.
const archive = "archive"

// twoStorages is a gateway with uploads on one versitygw and archive on another, past the tap to which the second one stands.
func twoStorages(t *testing.T) (s *harness.Stack, second *s3.Client, way *harness.Tap) {
	t.Helper()
	s = ownStack(t, harness.Setup{Config: []string{"sweep: {interval: 1s}"}})
	server := started(t)(harness.StartVersitygw(t.Context(), t.TempDir(), nil))
	second = harness.S3("http://"+server.Addr, "us-east-1", harness.StorageKey, harness.StorageSecret)
	if _, err := second.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(archive)}); err != nil {
		t.Fatal(err)
	}
	way, err := harness.NewTap(server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(way.Cut)
	text, err := os.ReadFile(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer(
		"buckets: {"+harness.Bucket+": main}", "buckets: {"+harness.Bucket+": main, "+archive+": second}",
		"  backends:\n", "  backends:\n    - {name: second, endpoint: \"http://"+way.Addr()+"\", access_key_id: "+harness.StorageKey+", secret_access_key: "+harness.StorageSecret+", exclusive: true}\n",
	).Replace(string(text))
	if err := os.WriteFile(s.Config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Gateway.Stop(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, second, way
}

func TestEachBucketGoesToItsOwnStorage(t *testing.T) {
	s, second, way := twoStorages(t)
	scope := func(bucket string) harness.Scope {
		return harness.Scope{Bucket: bucket, Prefix: "acme/", Actions: []string{"s3:*"}}
	}
	token, err := s.Gateway.Issue(t.Context(), "acme", "bearer", time.Hour, scope(harness.Bucket), scope(archive))
	if err != nil {
		t.Fatal(err)
	}
	n := s.UncheckedTenant(t) // what it checks at the end is one bucket's
	n.Bearer = token.Bearer
	ask := func(method, path, body string, headers ...string) harness.Answer {
		t.Helper()
		req := n.Request(t, method, path, body)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		return n.Do(t, req)
	}
	upload := func(bucket, key string) string {
		t.Helper()
		a := ask(http.MethodPost, "/"+bucket+"/"+key+"?uploads", "")
		m := uploadID.FindStringSubmatch(a.Text)
		if a.StatusCode != http.StatusOK || m == nil {
			t.Fatalf("Create in %s: %s %s", bucket, a.Status, a.Text)
		}
		return m[1]
	}
	part := func(bucket, key, id string) harness.Answer {
		t.Helper()
		return ask(http.MethodPut, "/"+bucket+"/"+key+"?partNumber=1&uploadId="+id, "of "+bucket)
	}
	finish := func(bucket, key, id, etag string) harness.Answer {
		t.Helper()
		return ask(http.MethodPost, "/"+bucket+"/"+key+"?uploadId="+id, partList(etag))
	}
	holds := func(storage *s3.Client, bucket string) (keys []string) {
		t.Helper()
		list, err := storage.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &bucket})
		if err != nil {
			return []string{err.Error()}
		}
		for _, o := range list.Contents {
			keys = append(keys, *o.Key)
		}
		return keys
	}

	for _, bucket := range []string{harness.Bucket, archive} {
		id := upload(bucket, "acme/"+bucket)
		p := part(bucket, "acme/"+bucket, id)
		if a := finish(bucket, "acme/"+bucket, id, p.Header.Get("ETag")); a.StatusCode != http.StatusOK || a.Code != "" {
			t.Fatalf("Complete in %s: %s %s", bucket, a.Status, a.Text)
		}
		if a := ask(http.MethodGet, "/"+bucket+"/acme/"+bucket, ""); a.Text != "of "+bucket {
			t.Errorf("%s holds %q", bucket, a.Text)
		}
	}
	if got := holds(s.Storage, harness.Bucket); !slices.Equal(got, []string{"acme/" + harness.Bucket}) {
		t.Errorf("the first storage holds %v", got)
	}
	if got := holds(second, archive); !slices.Equal(got, []string{"acme/" + archive}) {
		t.Errorf("the second storage holds %v", got)
	}
	uploads, err := s.Gateway.Uploads(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range uploads {
		if want := map[string]string{harness.Bucket: "main", archive: "second"}[u.Bucket]; u.Backend != want || u.State != "completed" {
			t.Errorf("the record of an upload to %s names %q, %s", u.Bucket, u.Backend, u.State)
		}
	}

	// Storage copies on its own, so that a copy between two is refused, and says why.
	copied := ask(http.MethodPut, "/"+archive+"/acme/copied", "", "x-amz-copy-source", "/"+harness.Bucket+"/acme/"+harness.Bucket)
	if copied.StatusCode != http.StatusBadRequest || copied.Code != "InvalidRequest" || !strings.Contains(copied.Text, "different storage") {
		t.Errorf("copy: %s %s", copied.Status, copied.Text)
	}
	// An id of one bucket is none in the other, whatever the key.
	id := upload(archive, "acme/same")
	if a := part(harness.Bucket, "acme/same", id); a.Code != "NoSuchUpload" {
		t.Errorf("the other bucket's id: %s %s", a.Status, a.Text)
	}

	// One storage away: the other's buckets go on, and the gateway stays in its balancer.
	way.Cut()
	if a := part(archive, "acme/same", id); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("UploadPart to storage that is away: %s %s", a.Status, a.Text)
	}
	during := upload(harness.Bucket, "acme/during")
	p := part(harness.Bucket, "acme/during", during)
	if a := finish(harness.Bucket, "acme/during", during, p.Header.Get("ETag")); a.StatusCode != http.StatusOK || a.Code != "" {
		t.Errorf("Complete beside storage that is away: %s %s", a.Status, a.Text)
	}
	says(t, n, http.StatusOK, `"status":"degraded"`, `"storage/second":"down"`, `"storage/main":"ok"`)
	if err := way.Mend(); err != nil {
		t.Fatal(err)
	}
	err = harness.Await(withTimeout(t, 20*time.Second), "the part of the storage that is back", s.Gateway.Process, func() bool { p = part(archive, "acme/same", id); return p.StatusCode == http.StatusOK })
	if err != nil {
		t.Fatalf("%v: %s %s", err, p.Status, p.Text)
	}
	if a := finish(archive, "acme/same", id, p.Header.Get("ETag")); a.StatusCode != http.StatusOK || a.Code != "" {
		t.Errorf("Complete on storage that is back: %s %s", a.Status, a.Text)
	}
}
