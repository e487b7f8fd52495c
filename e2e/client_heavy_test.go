//go:build clients

package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// Clients that take minutes or much disk to install: `make e2e-clients`.
func TestClientsHeavy(t *testing.T) {
	const (
		trailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER, trailer crc32"
		signed  = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, trailer crc32"
		hashed  = "sha256, header crc32"
	)
	runClients(t, []client{
		{"Java SDK v2", "forcePathStyle(true)", map[string]bodies{
			// Its asynchronous client does not sign what it streams from a file, its synchronous one does.
			"http":  {"PutObject": {signed}, "UploadPart": {signed, trailer}},
			"https": {"PutObject": {trailer}, "UploadPart": {trailer}},
		}, func(t *testing.T, s *session) string {
			path, content := s.file(t, 11*mib)
			java, err := harness.Tool("java")
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"-cp", filepath.Join(java, "classes") + ":" + filepath.Join(java, "lib", "*"), "Work", harness.Bucket, s.Prefix, path}
			if s.Gateway.CA != "" {
				store := filepath.Join(s.dir(t, "DIR"), "trust.p12")
				keytool := []string{"-importcert", "-noprompt", "-file", s.Gateway.CA, "-keystore", store, "-storepass", "changeit"}
				if out, err := harness.Run(t.Context(), nil, "keytool", keytool...); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				args = append([]string{"-Djavax.net.ssl.trustStore=" + store, "-Djavax.net.ssl.trustStorePassword=changeit"}, args...)
			}
			version := s.run(t, nil, installed(t, "java"), args...)
			for _, key := range []string{"managed", "by-hand"} {
				s.stored(t, key, content)
			}
			s.stored(t, "small", content[:1000])
			return strings.TrimSpace(version)
		}},
		{"Rust SDK", "force_path_style(true)", map[string]bodies{
			// A file is streamed, bytes in memory are hashed beforehand.
			"http":  {"PutObject": {signed, hashed}, "UploadPart": {hashed}},
			"https": {"PutObject": {trailer, hashed}, "UploadPart": {hashed}},
		}, func(t *testing.T, s *session) string {
			path, content := s.file(t, 11*mib)
			program := s.program(t, "rust/debug/partway-e2e-rust", "SSL_CERT_FILE="+s.Gateway.CA)
			version := program(harness.Bucket, s.Prefix, path)
			for _, key := range []string{"whole", "by-hand"} {
				s.stored(t, key, content)
			}
			s.stored(t, "small", content[:1000])
			return strings.TrimSpace(version)
		}},
	})
}
