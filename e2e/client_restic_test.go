package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// restic stands on minio-go, which signs every chunk over http, and sends an MD5 either way.
func restic() []client {
	return []client{{"restic", "s3.bucket-lookup = path", map[string]bodies{
		"http":  {"PutObject": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD, header md5"}},
		"https": {"PutObject": {"UNSIGNED-PAYLOAD, header md5"}},
	}, func(t *testing.T, s *session) string {
		program := installed(t, "restic")
		env := []string{"RESTIC_PASSWORD=open sesame", "RESTIC_REPOSITORY=s3:" + s.Endpoint + "/" + harness.Bucket + "/" + s.Prefix + "restic",
			"RESTIC_CACHE_DIR=" + s.dir(t, "CACHE")}
		options := []string{"-o", "s3.bucket-lookup=path"}
		if s.Gateway.CA != "" {
			options = append(options, "--cacert", s.Gateway.CA)
		}
		cmd := func(args ...string) string {
			t.Helper()
			return s.run(t, env, program, append(options, args...)...)
		}
		dir, files := s.tree(t, "TREE")
		cmd("init")
		cmd("backup", dir)
		cmd("backup", dir) // nothing new
		if out := cmd("snapshots", "--compact"); !strings.Contains(out, "2 snapshots") {
			t.Errorf("snapshots says %s", out)
		}
		cmd("check", "--read-data")
		restored := s.dir(t, "RESTORED")
		cmd("restore", "latest", "--target", restored)
		sameTree(t, filepath.Join(restored, dir), files)
		cmd("forget", "--keep-last", "1", "--prune")
		cmd("check", "--read-data")
		return strings.Fields(cmd("version"))[1]
	}}}
}
