package e2e

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// rclone (Debian's 1.60, on Go SDK v1) hashes parts and not whole objects, and sends an MD5 with both.
func rclone() []client {
	const settings = "provider = Other, force_path_style = true"
	return []client{{"rclone", settings, map[string]bodies{
		"http":  {"PutObject": {"UNSIGNED-PAYLOAD, header md5"}, "UploadPart": {"sha256, header md5"}},
		"https": {"PutObject": {"UNSIGNED-PAYLOAD, header md5"}, "UploadPart": {"sha256, header md5"}},
	}, func(t *testing.T, s *session) string {
		program := installed(t, "rclone")
		config := filepath.Join(s.dir(t, "DIR"), "rclone.conf")
		env := []string{"RCLONE_CONFIG_GW_TYPE=s3", "RCLONE_CONFIG_GW_PROVIDER=Other", "RCLONE_CONFIG_GW_ENV_AUTH=true",
			"RCLONE_CONFIG_GW_REGION=us-east-1", "RCLONE_CONFIG_GW_FORCE_PATH_STYLE=true", "RCLONE_CONFIG_GW_ENDPOINT=" + s.Endpoint,
			"RCLONE_CONFIG=" + config, "RCLONE_S3_CHUNK_SIZE=5Mi", "RCLONE_S3_UPLOAD_CUTOFF=5Mi", "RCLONE_CA_CERT=" + s.Gateway.CA,
			"AWS_CA_BUNDLE="} // its SDK refuses a bundle beside rclone's own transport
		cmd := func(args ...string) string {
			t.Helper()
			return s.run(t, env, program, args...)
		}
		root := "gw:" + harness.Bucket + "/" + s.Prefix

		dir, files := s.tree(t, "TREE")
		cmd("copy", dir, root+"tree")
		s.storedTree(t, "tree/", files)
		cmd("check", "--download", dir, root+"tree")
		delete(files, "one byte")
		cmd("delete", root+"tree/one byte")
		cmd("sync", root+"tree", dir) // takes the file away here too
		sameTree(t, dir, files)
		cmd("sync", dir, root+"mirror")
		cmd("check", dir, root+"mirror")
		cmd("moveto", root+"mirror/large.bin", root+"mirror/moved.bin")
		s.stored(t, "mirror/moved.bin", files["large.bin"])
		if out := cmd("lsf", "-R", "--files-only", root+"mirror"); strings.Count(out, "\n") != len(files) || !strings.Contains(out, "deep/schön/日本語.bin\n") {
			t.Errorf("lsf says %s", out)
		}
		if out := cmd("cat", root+"mirror/deep/er/notes+more.txt"); out != string(files["deep/er/notes+more.txt"]) {
			t.Errorf("cat gives %d bytes", len(out))
		}
		cmd("purge", root+"tree")
		return regexp.MustCompile(`rclone v(\S+)`).FindStringSubmatch(cmd("version"))[1]
	}}}
}
