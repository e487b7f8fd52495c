package e2e

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// tree makes a directory of files as people have them: empty, small, larger than a part, odd names.
func (s *session) tree(t *testing.T, word string) (dir string, files map[string][]byte) {
	t.Helper()
	dir = s.dir(t, word)
	old := time.Now().Add(-time.Hour)
	files = map[string][]byte{}
	random := rand.NewChaCha8([32]byte{1})
	for name, size := range map[string]int{
		"empty": 0, "one byte": 1, "deep/er/notes+more.txt": 4321, "deep/schön/日本語.bin": 70_000, "large.bin": 11*mib + 7,
	} {
		content := make([]byte, size)
		random.Read(content)
		files[name] = content
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		// S3 tells times in whole seconds: a file of the same second may look newer than its copy.
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	return dir, files
}

// sameTree demands that the directory holds these files and no others.
func sameTree(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	found := 0
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found++
		}
		return err
	})
	if err != nil || found != len(files) {
		t.Errorf("%d files came back (%v), want %d", found, err, len(files))
	}
	for name, content := range files {
		sameFile(t, filepath.Join(dir, name), content)
	}
}

// storedTree demands that storage holds these files under the tenant's keys that begin with prefix.
func (s *session) storedTree(t *testing.T, prefix string, files map[string][]byte) {
	t.Helper()
	for name, content := range files {
		s.stored(t, prefix+name, content)
	}
}
