package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

const resumeConfig = "resume: {enabled: true}"

func mayResume(s *harness.Scope) { s.Resume = true }

// slow makes aws-cli take long enough to be killed in the middle, and the parts that it has under way few.
const slow = "s3 =\n  max_bandwidth = 30MB/s\n  max_concurrent_requests = 2\n"

// A client that is killed and started again sends what is missing, and the object is whole. Over https aws-cli says beforehand what a part is
// only where it computes no checksum beside the signature.
func TestStockAwsCliResumesAfterItWasKilled(t *testing.T) {
	plain := ownStack(t, harness.Setup{Config: []string{resumeConfig}})
	stores := ownStack(t, harness.Setup{Mongo: harness.SecantusDB, Config: []string{resumeConfig}})
	for _, test := range []struct {
		name   string
		stack  *harness.Stack
		config string
		killed int // at how many percent
	}{
		{"early", plain, "", 30},
		{"late, with MongoDB and Redis", stores, "", 90},
		{"https, checksums when required", secureStack(t, resumeConfig), "request_checksum_calculation = when_required\n", 60},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := test.stack.UncheckedTenant(t, mayResume)
			key, size := n.Prefix+"big", 64*mib
			path, content := file(t, size)
			configure(t, n, test.config+slow)
			killAt(t, n, path, key, int64(size*test.killed/100))
			landed := landedBytes(t, n, key)

			configure(t, n, test.config)
			before := toStorage(n)
			n.Aws(t, "s3", "cp", "--only-show-errors", path, "s3://"+harness.Bucket+"/"+key)
			travelled := toStorage(n) - before
			if missing := int64(size) - landed; travelled > missing+missing/20+mib {
				t.Errorf("%d of %d bytes had landed, and %d travelled again", landed, size, travelled)
			}
			t.Logf("killed at %d%%: %d of %d bytes had landed, %d travelled on the second run", test.killed, landed, size, travelled)
			back := filepath.Join(t.TempDir(), "back")
			n.Aws(t, "s3", "cp", "--only-show-errors", "s3://"+harness.Bucket+"/"+key, back)
			sameFile(t, back, content)
		})
	}
}

func configure(t *testing.T, n *harness.Tenant, lines string) {
	t.Helper()
	if err := os.WriteFile(n.AwsConfig(), []byte("[default]\n"+lines), 0o600); err != nil {
		t.Fatal(err)
	}
}

// killAt copies the file and kills aws-cli once so many bytes went to storage and a part has landed.
func killAt(t *testing.T, n *harness.Tenant, path, key string, bytes int64) {
	t.Helper()
	aws, err := harness.Tool("venv/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	before := toStorage(n)
	p, err := harness.Start(filepath.Join(t.TempDir(), "killed.log"), n.Env(), aws, "s3", "cp", "--only-show-errors", path, "s3://"+harness.Bucket+"/"+key)
	if err != nil {
		t.Fatal(err)
	}
	err = harness.Await(withTimeout(t, time.Minute), fmt.Sprint(bytes, " bytes at storage"), p, func() bool {
		return toStorage(n)-before >= bytes && landedBytes(t, n, key) > 0
	})
	p.Kill()
	if err != nil {
		t.Fatal(err)
	}
}

// landedBytes is how much storage holds of the one upload of a key.
func landedBytes(t *testing.T, n *harness.Tenant, key string) int64 {
	t.Helper()
	uploads, err := n.Storage.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(harness.Bucket), Prefix: &key})
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, u := range uploads.Uploads {
		parts, err := n.Storage.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(harness.Bucket), Key: &key, UploadId: u.UploadId})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts.Parts {
			sum += aws.ToInt64(p.Size)
		}
	}
	return sum
}
