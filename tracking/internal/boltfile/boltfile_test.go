package boltfile

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func TestOpenTwiceNamesTheFileAndTheReason(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "x.db")
	db, err := Open(path, Schema{Version: 1}, []byte("things"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(path, Schema{Version: 1})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another partway process uses it") {
		t.Fatalf("second open: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err = Open(path, Schema{Version: 1})
	if err != nil {
		t.Fatalf("open after close: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "x.db")
	db, err := Open(path, Schema{Version: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s: mode %o, want %o", name, got, want)
		}
	}
}

func TestOpenRefusesAnotherKindOfFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Schema{Version: 1}); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("open: %v", err)
	}
}

// reopen opens the file of path with a schema, closes it, and returns what it was migrated from (-1: it was not).
func reopen(t *testing.T, path string, version uint64, migrated error) (from int, err error) {
	t.Helper()
	from = -1
	db, err := Open(path, Schema{Version: version, Migrate: func(tx *bbolt.Tx, was uint64) error {
		from = int(was)
		if err := tx.Bucket([]byte("things")).Put([]byte("migrated"), []byte{byte(version)}); err != nil {
			return err
		}
		return migrated
	}}, []byte("things"))
	if err == nil {
		err = db.Close()
	}
	return from, err
}

func TestSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	for _, step := range []struct {
		name    string
		version uint64
		broken  error
		from    int
		refused error
	}{
		{"a new file is not migrated", 1, nil, -1, nil},
		{"nor is one of this version", 1, nil, -1, nil},
		{"a migration that fails is an error", 3, os.ErrInvalid, 1, os.ErrInvalid},
		{"and leaves the file as it was", 1, nil, -1, nil},
		{"an older file is migrated", 3, nil, 1, nil},
		{"once", 3, nil, -1, nil},
		{"a newer file is refused", 2, nil, -1, ErrNewer},
		{"and left as it was", 3, nil, -1, nil},
	} {
		from, err := reopen(t, path, step.version, step.broken)
		if from != step.from || !errors.Is(err, step.refused) {
			t.Errorf("%s: migrated from %d, want %d; %v, want %v", step.name, from, step.from, err, step.refused)
		}
		if errors.Is(step.refused, ErrNewer) && (!strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "its schema is 3, this version knows 2")) {
			t.Errorf("%s: %v", step.name, err)
		}
	}
}

func TestAFileFromBeforeVersionsIsMigrated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("things")); return err })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if from, err := reopen(t, path, 1, nil); err != nil || from != 0 {
		t.Errorf("migrated from %d, %v", from, err)
	}
}
