package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"partway/e2e/harness"
)

const mib = 1 << 20

func TestStockAwsCliCopiesAHundredMiBAndBack(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		path, content := file(t, 100*mib)
		object := "s3://" + harness.Bucket + "/" + n.Prefix + "dir/big file é.bin"
		gateway, storage := n.Tap.Up(), toStorage(n)
		n.Aws(t, "s3", "cp", "--only-show-errors", path, object)
		t.Logf("aws s3 cp of %d bytes, relayed: %d bytes to the gateway, %d to storage's tap", len(content), n.Tap.Up()-gateway, toStorage(n)-storage)
		back := filepath.Join(t.TempDir(), "back")
		n.Aws(t, "s3", "cp", "--only-show-errors", object, back)
		sameFile(t, back, content)

		if out := n.Aws(t, "s3", "ls", "s3://"+harness.Bucket+"/"+n.Prefix+"dir/"); !strings.Contains(out, "104857600 big file é.bin") {
			t.Errorf("ls says %q", out)
		}
		uploads, err := n.Gateway.Uploads(t.Context(), n.Name)
		if err != nil {
			t.Fatal(err)
		}
		if len(uploads) != 1 || uploads[0].State != "completed" || uploads[0].Parts != 13 || uploads[0].Bytes != 100*mib {
			t.Errorf("upload records: %+v, want one, completed, 13 parts of 100 MiB", uploads)
		}
		parts := events(t, n, "UploadPart")
		if len(parts) != 13 {
			t.Errorf("%d UploadPart events, want 13", len(parts))
		}
		for _, e := range parts {
			if e.Road != "relay" || e.Outcome != "ok" {
				t.Errorf("part by %s, %s; a stock client's parts are relayed", e.Road, e.Outcome)
			}
		}

		n.Aws(t, "s3", "rm", "--only-show-errors", object)
		if out := n.Aws(t, "s3api", "list-objects-v2", "--bucket", harness.Bucket, "--prefix", n.Prefix, "--query", "Contents"); out != "null\n" {
			t.Errorf("after rm, storage lists %s", out)
		}
	})
}

func TestStockAwsCliPutsASmallFileAndBack(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		for _, size := range []int{0, 1, 70_000} {
			path, content := file(t, size)
			object := "s3://" + harness.Bucket + "/" + n.Prefix + "small"
			n.Aws(t, "s3", "cp", "--only-show-errors", path, object)
			back := filepath.Join(t.TempDir(), "back")
			n.Aws(t, "s3", "cp", "--only-show-errors", object, back)
			sameFile(t, back, content)
		}
		if puts := events(t, n, "PutObject"); len(puts) != 3 {
			t.Errorf("PutObject events: %v, want 3", puts)
		}
	})
}

func TestStockAwsCliMultipartByHand(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		path, content := file(t, 5*mib)
		object := []string{"--bucket", harness.Bucket, "--key", n.Prefix + "by-hand"}
		s3api := func(command string, args ...string) string {
			args = append([]string{"s3api", command, "--output", "text"}, append(object, args...)...)
			return strings.TrimSpace(n.Aws(t, args...))
		}
		id := s3api("create-multipart-upload", "--query", "UploadId")
		etag := s3api("upload-part", "--upload-id", id, "--part-number", "1", "--body", path, "--query", "ETag")
		if got := s3api("list-parts", "--upload-id", id, "--query", "Parts[].[PartNumber,Size,ETag]"); got != "1\t5242880\t"+etag {
			t.Errorf("list-parts says %q", got)
		}
		if got := strings.TrimSpace(n.Aws(t, "s3api", "list-multipart-uploads", "--bucket", harness.Bucket, "--prefix", n.Prefix,
			"--output", "text", "--query", "Uploads[].[Key,UploadId]")); got != n.Prefix+"by-hand\t"+id {
			t.Errorf("list-multipart-uploads says %q, want the key and the id that Create gave", got)
		}
		s3api("complete-multipart-upload", "--upload-id", id, "--multipart-upload", `{"Parts":[{"PartNumber":1,"ETag":`+quote(etag)+`}]}`)
		back := filepath.Join(t.TempDir(), "back")
		s3api("get-object", "--range", "bytes=100-299", back)
		sameFile(t, back, content[100:300])

		second := s3api("create-multipart-upload", "--query", "UploadId")
		s3api("abort-multipart-upload", "--upload-id", second)
	})
}

func TestPresignedGetByStockAwsCli(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		path, content := file(t, 100_000)
		object := "s3://" + harness.Bucket + "/" + n.Prefix + "presigned"
		n.Aws(t, "s3", "cp", "--only-show-errors", path, object)
		n.Aws(t, "configure", "set", "default.s3.signature_version", "s3v4") // aws-cli v1 still presigns with SigV2 unless told
		url := strings.TrimSpace(n.Aws(t, "s3", "presign", object))
		back := filepath.Join(t.TempDir(), "back")
		curl(t, n, "--fail", "-o", back, url)
		sameFile(t, back, content)
	})
}

// events of the tenant with this operation.
func events(t *testing.T, n *harness.Tenant, operation string) []harness.Event {
	t.Helper()
	all, err := n.Gateway.Events(t.Context(), n.Name)
	if err != nil {
		t.Fatal(err)
	}
	var some []harness.Event
	for _, e := range all {
		if e.Operation == operation {
			some = append(some, e)
		}
	}
	return some
}

// quote for JSON; ETags come with their own quotes.
func quote(s string) string { return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"` }
