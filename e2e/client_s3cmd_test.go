package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// s3cmd hashes every body beforehand; it knows no newer checksums. Its signurl makes SigV2 URLs, which the gateway
// refuses, and its info asks for the bucket's policy and CORS, which a tenant of a prefix may not read.
func s3cmd() []client {
	const settings = "host_bucket = HOST (path style)"
	forms := bodies{"PutObject": {"sha256"}, "UploadPart": {"sha256"}}
	return []client{{"s3cmd", settings, map[string]bodies{"http": forms, "https": forms}, func(t *testing.T, s *session) string {
		program := installed(t, "s3cmd")
		scheme, host, _ := strings.Cut(s.Endpoint, "://")
		secure := "False"
		if scheme == "https" {
			secure = "True"
		}
		config := filepath.Join(s.dir(t, "DIR"), "s3cfg")
		lines := []string{"[default]", "access_key = " + s.AccessKeyID, "secret_key = " + s.SecretAccessKey,
			"host_base = " + host, "host_bucket = " + host, "use_https = " + secure, "ca_certs_file = " + s.Gateway.CA, "signature_v2 = False"}
		if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := func(args ...string) string {
			t.Helper()
			return s.run(t, nil, program, append([]string{"-c", config, "--no-progress"}, args...)...)
		}
		root := "s3://" + harness.Bucket + "/" + s.Prefix

		path, content := s.file(t, 16*mib)
		cmd("put", "--multipart-chunk-size-mb=5", path, root+"one")
		s.stored(t, "one", content)
		cmd("mv", root+"one", root+"moved")
		back := filepath.Join(s.dir(t, "DIR"), "back")
		cmd("get", root+"moved", back)
		sameFile(t, back, content)

		dir, files := s.tree(t, "TREE")
		cmd("sync", "--multipart-chunk-size-mb=5", dir+"/", root+"tree/")
		s.storedTree(t, "tree/", files)
		if out := cmd("sync", "--multipart-chunk-size-mb=5", dir+"/", root+"tree/"); strings.Contains(out, "upload:") {
			t.Errorf("a second sync found work: %s", out)
		}
		if out := cmd("ls", "--recursive", root+"tree/"); strings.Count(out, "\n") != len(files) {
			t.Errorf("ls says %s", out)
		}
		copied := s.dir(t, "COPY")
		cmd("sync", root+"tree/", copied+"/")
		sameTree(t, copied, files)
		cmd("del", "--recursive", "--force", root)
		if out := cmd("ls", root); out != "" {
			t.Errorf("after del, ls says %s", out)
		}
		return strings.TrimPrefix(strings.TrimSpace(cmd("--version")), "s3cmd version ")
	}}}
}
