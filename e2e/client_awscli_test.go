package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// aws-cli picks the form of a body by scheme and by two settings.
func awsCLI() []client {
	const (
		summed      = "sha256, header crc32"
		trailer     = "STREAMING-UNSIGNED-PAYLOAD-TRAILER, Transfer-Encoding: chunked, trailer crc32"
		signed      = "sha256"
		http, https = "http", "https"
	)
	both := func(form string) bodies { return bodies{"PutObject": {form}, "UploadPart": {form}} }
	const required, signing = "request_checksum_calculation = when_required", "payload_signing_enabled = true"
	return []client{
		{"aws-cli", "", map[string]bodies{http: both(summed), https: both(trailer)}, awsEveryday},
		{"aws-cli", required, map[string]bodies{http: both(signed), https: both(signed)}, awsUpAndDown(required)},
		{"aws-cli", signing, map[string]bodies{http: both(summed), https: both(trailer)}, awsUpAndDown("s3 =\n  " + signing)},
		{"aws-cli", required + ", " + signing, map[string]bodies{http: both(signed), https: both(signed)}, awsUpAndDown(required + "\ns3 =\n  " + signing)},
	}
}

func awsEveryday(t *testing.T, s *session) string {
	aws := s.program(t, "venv/bin/aws")
	root := "s3://" + harness.Bucket + "/" + s.Prefix

	path, content := s.file(t, 20*mib)
	aws("s3", "cp", "--only-show-errors", path, root+"one")
	s.stored(t, "one", content)
	aws("s3", "mv", "--only-show-errors", root+"one", root+"moved") // 20 MiB: copied part by part
	s.stored(t, "moved", content)
	back := filepath.Join(s.dir(t, "DIR"), "back")
	aws("s3", "cp", "--only-show-errors", root+"moved", back)
	sameFile(t, back, content)

	dir, files := s.tree(t, "TREE")
	aws("s3", "sync", "--only-show-errors", dir, root+"tree/")
	s.storedTree(t, "tree/", files)
	if out := aws("s3", "sync", dir, root+"tree/"); out != "" {
		t.Errorf("a second sync found work: %s", out)
	}
	if out := aws("s3", "ls", "--recursive", root+"tree/"); strings.Count(out, "\n") != len(files) || !strings.Contains(out, "70000 "+s.Prefix+"tree/deep/schön/日本語.bin") {
		t.Errorf("ls says %s", out)
	}
	copied := s.dir(t, "COPY")
	aws("s3", "sync", "--only-show-errors", root+"tree/", copied)
	sameTree(t, copied, files)

	aws("configure", "set", "default.s3.signature_version", "s3v4") // else aws-cli v1 presigns with SigV2
	url := strings.TrimSpace(aws("s3", "presign", root+"moved"))
	s.curl(t, url, content)

	part, half := s.file(t, 5*mib)
	object := []string{"--bucket", harness.Bucket, "--key", s.Prefix + "by-hand"}
	s3api := func(command string, args ...string) string {
		return strings.TrimSpace(aws(append(append([]string{"s3api", command, "--output", "text"}, object...), args...)...))
	}
	id := s3api("create-multipart-upload", "--query", "UploadId")
	s.words = append(s.words, id, "ID")
	first := s3api("upload-part", "--upload-id", id, "--part-number", "1", "--body", part, "--query", "ETag")
	second := s3api("upload-part-copy", "--upload-id", id, "--part-number", "2", "--copy-source", harness.Bucket+"/"+s.Prefix+"moved",
		"--copy-source-range", "bytes=100-199", "--query", "CopyPartResult.ETag")
	if got := s3api("list-parts", "--upload-id", id, "--query", "Parts[].[PartNumber,Size]"); got != "1\t5242880\n2\t100" {
		t.Errorf("list-parts says %q", got)
	}
	s3api("complete-multipart-upload", "--upload-id", id, "--multipart-upload",
		fmt.Sprintf(`{"Parts":[{"PartNumber":1,"ETag":%s},{"PartNumber":2,"ETag":%s}]}`, quote(first), quote(second)))
	s.stored(t, "by-hand", append(half, content[100:200]...))

	aws("s3", "rm", "--only-show-errors", "--recursive", root)
	if out := aws("s3api", "list-objects-v2", "--bucket", harness.Bucket, "--prefix", s.Prefix, "--query", "Contents"); out != "null\n" {
		t.Errorf("after rm, a list has %s", out)
	}
	return awsVersion(t)
}

// awsUpAndDown copies a small and a large file there and back with the setting.
func awsUpAndDown(setting string) func(t *testing.T, s *session) string {
	return func(t *testing.T, s *session) string {
		if err := os.WriteFile(s.AwsConfig(), []byte("[default]\n"+setting+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		aws := s.program(t, "venv/bin/aws")
		root := "s3://" + harness.Bucket + "/" + s.Prefix
		dir, files := s.tree(t, "TREE")
		aws("s3", "cp", "--only-show-errors", "--recursive", dir, root)
		s.storedTree(t, "", files)
		copied := s.dir(t, "COPY")
		aws("s3", "cp", "--only-show-errors", "--recursive", root, copied)
		sameTree(t, copied, files)
		return awsVersion(t)
	}
}

func awsVersion(t *testing.T) string {
	bin, err := harness.Tool("venv/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	out, err := harness.Run(t.Context(), nil, bin, "--version")
	if err != nil {
		t.Fatal(err)
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(out, "aws-cli/"), " ")
	return version
}
