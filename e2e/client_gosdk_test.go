package e2e

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"partway/e2e/harness"
)

// goSDKs are programs of their own, so that each is built with the SDK's own dependencies.
func goSDKs() []client {
	const (
		trailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER, trailer crc32"
		chunks  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	)
	return []client{
		{"Go SDK v2", "", map[string]bodies{
			"http":  {"PutObject": {"presigned", "sha256, header crc32"}, "UploadPart": {"sha256, header crc32", "sha256, header crc32c"}},
			"https": {"PutObject": {trailer, "presigned"}, "UploadPart": {trailer, trailer + "c"}},
		}, goProgram("sdkv2", "managed", "by-hand")},
		{"Go SDK v1", "", map[string]bodies{
			"http":  {"PutObject": {"presigned", "sha256, header md5"}, "UploadPart": {"sha256, header md5"}},
			"https": {"PutObject": {"presigned", "sha256, header md5"}, "UploadPart": {"sha256, header md5"}},
		}, goProgram("sdkv1", "managed", "by-hand")},
		{"minio-go", "TrailingHeaders: true", map[string]bodies{
			"http":  {"PutObject": {chunks + ", header md5", "presigned"}, "UploadPart": {chunks + ", header crc32c", chunks + "-TRAILER, trailer crc32c"}},
			"https": {"PutObject": {"UNSIGNED-PAYLOAD, header md5", "presigned"}, "UploadPart": {trailer + "c", "UNSIGNED-PAYLOAD, header crc32c"}},
		}, goProgram("minio", "managed", "streamed")},
	}
}

// goProgram of clients/go; these objects of it hold the whole file.
func goProgram(name string, whole ...string) func(t *testing.T, s *session) string {
	return func(t *testing.T, s *session) string {
		path, content := s.file(t, 11*mib)
		// The SDKs refuse a configured bundle over http, and http.Client of the standard library knows none.
		env := []string{"SSL_CERT_FILE=" + s.Gateway.CA}
		version := s.run(t, env, filepath.Join(goPrograms(t), name), harness.Bucket, s.Prefix, path)
		for _, key := range whole {
			s.stored(t, key, content)
		}
		s.stored(t, "small", content[:1000])
		return strings.TrimSpace(version)
	}
}

var buildGoPrograms = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(filepath.Dir(binary), "clients")
	return dir, harness.GoBuild(filepath.Join(harness.Root(), "e2e", "clients", "go"), dir+"/", "./...")
})

// goPrograms is the directory with the programs of clients/go.
func goPrograms(t *testing.T) string {
	t.Helper()
	dir, err := buildGoPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
