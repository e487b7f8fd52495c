package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"partway/e2e/harness"
)

func boto3() []client {
	return []client{{"boto3", "", map[string]bodies{
		"http": {"PutObject": {"presigned", "sha256, header crc32"}, "UploadPart": {"sha256, header crc32"}},
		"https": {"PutObject": {"STREAMING-UNSIGNED-PAYLOAD-TRAILER, Transfer-Encoding: chunked, trailer crc32", "presigned"},
			"UploadPart": {"STREAMING-UNSIGNED-PAYLOAD-TRAILER, Transfer-Encoding: chunked, trailer crc32"}},
	}, func(t *testing.T, s *session) string {
		path, content := s.file(t, 11*mib)
		python := s.program(t, "venv/bin/python")
		version := python(script("boto3.py"), harness.Bucket, s.Prefix, path)
		s.stored(t, "managed", content)
		s.stored(t, "small", content[:1000])
		s.stored(t, "by-hand", content)
		return strings.TrimSpace(version)
	}}}
}

// script is a path in clients.
func script(name string) string { return filepath.Join(harness.Root(), "e2e", "clients", name) }
