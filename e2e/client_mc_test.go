package e2e

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// mc stands on minio-go, which signs every chunk over http. It is AGPL: a process beside the tests, never linked.
func mc() []client {
	return []client{{"mc", "", map[string]bodies{
		"http":  {"PutObject": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, Transfer-Encoding: chunked"}, "UploadPart": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}},
		"https": {"PutObject": {"UNSIGNED-PAYLOAD"}, "UploadPart": {"UNSIGNED-PAYLOAD"}},
	}, func(t *testing.T, s *session) string {
		config := s.dir(t, "DIR")
		if s.Gateway.CA != "" {
			ca, err := os.ReadFile(s.Gateway.CA)
			if err == nil {
				err = os.MkdirAll(filepath.Join(config, "certs", "CAs"), 0o700)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(config, "certs", "CAs", "gateway.pem"), ca, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		scheme, host, _ := strings.Cut(s.Endpoint, "://")
		program := s.program(t, "bin/mc", "MC_HOST_gw="+scheme+"://"+s.AccessKeyID+":"+s.SecretAccessKey+"@"+host)
		cmd := func(args ...string) string {
			t.Helper()
			return program(append([]string{"--config-dir", config, "--quiet"}, args...)...)
		}
		root := "gw/" + harness.Bucket + "/" + s.Prefix

		path, content := s.file(t, 20*mib)
		cmd("cp", path, root+"one")
		s.stored(t, "one", content)
		back := filepath.Join(s.dir(t, "BACK"), "back")
		cmd("cp", root+"one", back)
		sameFile(t, back, content)
		dir, files := s.tree(t, "TREE")
		cmd("mirror", dir, root+"tree")
		s.storedTree(t, "tree/", files)
		if out := cmd("diff", dir, root+"tree"); out != "" {
			t.Errorf("diff finds %s", out)
		}
		copied := s.dir(t, "COPY")
		cmd("mirror", root+"tree", copied)
		sameTree(t, copied, files)
		cmd("mv", root+"one", root+"moved")
		s.stored(t, "moved", content)
		if out := cmd("ls", "--recursive", root+"tree/"); strings.Count(out, "\n") != len(files) {
			t.Errorf("ls says %s", out)
		}
		cmd("rm", "--recursive", "--force", root+"tree/")
		bin, err := harness.Tool("bin/mc")
		if err != nil {
			t.Fatal(err)
		}
		info, err := buildinfo.ReadFile(bin) // its own --version knows only releases
		if err != nil {
			t.Fatal(err)
		}
		return info.Main.Version
	}}}
}
