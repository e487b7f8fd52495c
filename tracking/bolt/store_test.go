package bolt_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"partway/tracking"
	"partway/tracking/bolt"
	"partway/tracking/trackingtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustOpen(t *testing.T) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	trackingtest.Store(t, func(t *testing.T) tracking.Store { return mustOpen(t) })
}

func TestSecondOpenIsRefusedByName(t *testing.T) {
	dir := t.TempDir()
	s, err := bolt.Open(bolt.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = bolt.Open(bolt.Config{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, bolt.FileName)) || !strings.Contains(err.Error(), "another partway") {
		t.Fatalf("second open: %v", err)
	}
}

func TestOpenNeedsADirectory(t *testing.T) {
	if _, err := bolt.Open(bolt.Config{}); err == nil {
		t.Fatal("opened nowhere")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(bolt.Config{Dir: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Fatalf("open below a file: %v", err)
	}
}
