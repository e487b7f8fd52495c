// Package e2e drives the built gateway as users do: stock clients, real servers, the wire watched from outside.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"partway/e2e/harness"
)

var (
	buildDir string           // of what was built for the tests
	binary   string           // partway, built with -race
	stacks   []*harness.Stack // that every test with onEachStack runs on
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "partway-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	buildDir = dir
	if binary, err = harness.Build(dir); err != nil {
		return 1, err
	}
	for _, start := range []func(context.Context, string) (*harness.Stack, error){
		func(ctx context.Context, dir string) (*harness.Stack, error) {
			return harness.NewDemo(ctx, binary, dir)
		},
		func(ctx context.Context, dir string) (*harness.Stack, error) {
			return harness.NewServe(ctx, binary, dir, harness.Setup{Mongo: harness.SecantusDB})
		},
	} {
		stackDir := filepath.Join(dir, fmt.Sprint("stack", len(stacks)))
		if err := os.Mkdir(stackDir, 0o700); err != nil {
			return 1, err
		}
		s, err := start(ctx, stackDir)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, s.Stop()) }()
		stacks = append(stacks, s)
	}
	return m.Run(), nil
}

// onEachStack runs a test with a new tenant on the demo and on serve with MongoDB and Redis.
func onEachStack(t *testing.T, test func(t *testing.T, n *harness.Tenant)) {
	for _, s := range stacks {
		t.Run(s.Name, func(t *testing.T) { test(t, s.NewTenant(t)) })
	}
}

// ownStack is a serve of this test alone, for tests that break it or need a configuration of their own.
func ownStack(t *testing.T, setup harness.Setup) *harness.Stack {
	t.Helper()
	s, err := harness.NewServe(t.Context(), binary, t.TempDir(), setup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// started is for a server that is this test's alone: started(t)(harness.StartRedis(ctx, dir)).
func started(t *testing.T) func(*harness.Server, error) *harness.Server {
	return func(s *harness.Server, err error) *harness.Server {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Kill)
		return s
	}
}

// file of n random bytes, the same on every run.
func file(t testing.TB, n int) (path string, content []byte) {
	t.Helper()
	content = make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(content)
	path = filepath.Join(t.TempDir(), "file.bin")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func sameFile(t testing.TB, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Fatalf("%s: %d bytes that differ from the %d sent", path, len(got), len(want))
	}
}

// withTimeout is the test's context with a deadline.
func withTimeout(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
