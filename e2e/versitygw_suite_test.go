package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

// suiteTests are the tests of versitygw's own client suite that concern what a gateway for uploads does itself.
var suiteTests = regexp.MustCompile(`(?m)^   ((?:CreateMultipartUpload|UploadPart|UploadPartCopy|ListParts|ListMultipartUploads|AbortMultipartUpload|` +
	`Complete\w*MultipartUpload|Authentication|PresignedAuth|SignedStreamingPayload\w*?|UnsignedStreamingPayload\w*?)_\w+) +Runs`)

// TestVersitygwSuite runs the suite that versitygw's authors wrote for S3 servers against the gateway, with an operator's key. What may
// fail is written down, with the reason, in testdata/versitygw-suite.txt; a test there that passes is a failure too.
func TestVersitygwSuite(t *testing.T) {
	expected := readSuite(t, "testdata/versitygw-suite.txt")
	plain := newSuite(t, ownStack(t, harness.Setup{}))
	// Some tests expect storage that derives ETags from checksums, and others any but that.
	t.Setenv("VGW_DATA_INTEGRITY_ETAG", "true")
	derived := newSuite(t, ownStack(t, harness.Setup{}))
	if names := plain.names(t); !slices.Equal(names, slices.Sorted(maps.Keys(expected))) {
		t.Errorf("testdata/versitygw-suite.txt does not list the %d tests of this versitygw:\n%s", len(names), strings.Join(names, "\n"))
	}
	passed, failed := 0, 0
	for _, name := range slices.Sorted(maps.Keys(expected)) {
		suite := plain
		if strings.HasSuffix(name, "_data_integrity_etag") {
			suite = derived
		}
		suite.clean(t)
		out, ok := suite.run(t, name)
		switch reason := expected[name]; {
		case ok && reason != "":
			t.Errorf("%s passes, and was expected to fail: %s", name, reason)
		case !ok && reason == "":
			t.Errorf("%s:\n%s", name, out)
		case ok:
			passed++
		default:
			failed++
		}
	}
	t.Logf("%d tests of versitygw's suite: %d passed, %d failed as expected", len(expected), passed, failed)
}

// readSuite reads lines of a test's name and, if it is expected to fail, the reason.
func readSuite(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if line := lines.Text(); line != "" && !strings.HasPrefix(line, "#") {
			name, reason, _ := strings.Cut(line, " ")
			if _, twice := expected[name]; twice {
				t.Errorf("%s lists %s twice", path, name)
			}
			expected[name] = strings.TrimSpace(reason)
		}
	}
	return expected
}

type suite struct {
	bin, dir string // dir holds what the suite takes for versitygw's administration
	stack    *harness.Stack
	keys     harness.Keys
	client   *s3.Client // of the gateway
}

func newSuite(t *testing.T, s *harness.Stack) *suite {
	t.Helper()
	bin, err := harness.Tool("bin/versitygw")
	if err != nil {
		t.Fatal(err)
	}
	out, err := harness.Run(t.Context(), nil, s.Bin, "token", "issue", "--offline", "--operator", "--config", s.Config, "--format", "json")
	if err != nil {
		t.Fatal(err)
	}
	v := &suite{bin: bin, dir: t.TempDir(), stack: s}
	if err := json.Unmarshal([]byte(out), &v.keys); err != nil {
		t.Fatal(err)
	}
	v.client = harness.S3(s.Gateway.Endpoint, "us-east-1", v.keys.AccessKeyID, v.keys.SecretAccessKey)
	// The suite makes users by ./versitygw admin with the keys that it was given, in 7 words. Users are storage's affair: there it goes.
	script := fmt.Sprintf("#!/bin/sh\nshift 7\nexec %s admin -a %s -s %s -er %s \"$@\"\n", bin, harness.StorageKey, harness.StorageSecret, "http://"+s.ToStorage.Addr())
	if err := os.WriteFile(filepath.Join(v.dir, "versitygw"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return v
}

// names are the tests that this versitygw has.
func (v *suite) names(t *testing.T) []string {
	t.Helper()
	out, err := harness.Run(t.Context(), nil, v.bin, "test", "--help")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range suiteTests.FindAllStringSubmatch(out, -1) {
		names = append(names, m[1])
	}
	slices.Sort(names)
	return names
}

// run runs one test in a process of its own. It exits with 0 whatever happens: its words tell.
func (v *suite) run(t *testing.T, name string) (out string, ok bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, v.bin, "test", "-a", v.keys.AccessKeyID, "-s", v.keys.SecretAccessKey, "-e", v.stack.Gateway.Endpoint, name)
	cmd.Dir, cmd.Env = v.dir, harness.CleanEnv()
	text, err := cmd.CombinedOutput()
	out = string(text)
	return out, err == nil && strings.Contains(out, "PASS") && !strings.Contains(out, "FAIL")
}

// clean removes the bucket that a failed test leaves behind, or the next could not make its own of that name. Objects go behind storage's
// back, for they may be locked; the bucket goes by way of the gateway, which ends the records of its uploads.
func (v *suite) clean(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(v.stack.Dir, "objects", "test-bucket-*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bucket := range left {
		content, err := os.ReadDir(bucket)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range content {
			if err := os.RemoveAll(filepath.Join(bucket, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := v.client.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(filepath.Base(bucket))}); err != nil {
			t.Fatal(err)
		}
	}
}
