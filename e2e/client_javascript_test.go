package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"partway/e2e/harness"
)

func javaScript() []client {
	const trailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER, Transfer-Encoding: chunked, trailer crc32"
	return []client{
		{"JavaScript SDK v3", "forcePathStyle: true", map[string]bodies{
			"http":  {"PutObject": {trailer, "sha256, header crc32"}, "UploadPart": {"sha256, header crc32"}},
			"https": {"PutObject": {trailer, "sha256, header crc32"}, "UploadPart": {"sha256, header crc32"}},
		}, node("v3.js")},
		{"JavaScript SDK v2", "s3ForcePathStyle: true, signatureVersion: 'v4'", map[string]bodies{
			"http":  {"PutObject": {"presigned", "sha256"}, "UploadPart": {"sha256"}},
			"https": {"PutObject": {"UNSIGNED-PAYLOAD, header md5", "presigned"}, "UploadPart": {"UNSIGNED-PAYLOAD, header md5"}},
		}, node("v2.js")},
	}
}

func node(program string) func(t *testing.T, s *session) string {
	return func(t *testing.T, s *session) string {
		modules, err := harness.Tool("clients-js/node_modules")
		if err != nil {
			t.Fatal(err)
		}
		path, content := s.file(t, 11*mib)
		version := s.run(t, []string{"NODE_PATH=" + modules, "NODE_EXTRA_CA_CERTS=" + s.Gateway.CA}, installed(t, "node"),
			script(filepath.Join("js", program)), harness.Bucket, s.Prefix, path)
		s.stored(t, "managed", content)
		s.stored(t, "by-hand", content)
		s.stored(t, "small", content[:1000])
		return strings.TrimSpace(version)
	}
}
