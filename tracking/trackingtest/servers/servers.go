//go:build servers

// Package servers starts the servers that the shared implementations of package tracking are tested on: redis-server from
// PATH, and under .deps/mongodb of the repository the MongoDB-compatible ones that e2e/deps/mongodb.sh installs. Where
// PARTWAY_TEST_MONGODB_URI names a real MongoDB, that is tested too.
//
// The build tag servers is a promise that they are installed: one that is missing fails the test.
package servers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Redis starts a redis-server that keeps nothing on disk.
func Redis(t testing.TB) *Server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("redis-server: %v; make deps installs it", err)
	}
	return start(t, "redis-server", "redis://", func(port int, dir string) *exec.Cmd {
		return exec.Command(program, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "", "--appendonly", "no")
	})
}

// Mongo starts one of each server that speaks MongoDB's protocol.
func Mongo(t testing.TB) []*Server {
	t.Helper()
	var all []*Server
	for _, name := range []string{"secantusdb", "mongo-java-server"} {
		program := filepath.Join(repository(t), ".deps", "mongodb", name)
		if _, err := os.Stat(program); err != nil {
			t.Fatalf("%s: %v; make deps installs it", name, err)
		}
		all = append(all, start(t, name, "mongodb://", func(port int, dir string) *exec.Cmd {
			return exec.Command(program, strconv.Itoa(port), dir)
		}))
	}
	if uri := os.Getenv("PARTWAY_TEST_MONGODB_URI"); uri != "" {
		all = append(all, &Server{Name: "mongodb", URI: uri})
	}
	return all
}

// repository is the directory of go.mod.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's directory")
		}
		dir = parent
	}
}
