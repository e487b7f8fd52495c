//go:build clients

package e2e

import (
	"path/filepath"
	"testing"

	"partway/e2e/harness"
)

// TestExec for the clients that take minutes or much disk to install: `make e2e-clients`. Their everyday work reads as well as writes.
func TestExecHeavy(t *testing.T) {
	s := stacks[1]
	path, content := file(t, 12*mib) // what it puts whole with a trailing checksum goes straight to storage up to 16 MiB
	tool := func(path string) string {
		bin, err := harness.Tool(path)
		if err != nil {
			t.Fatal(err)
		}
		return bin
	}
	java := tool("java")
	for name, c := range map[string]struct {
		command []string
		keys    []string
	}{
		"Java SDK v2": {[]string{installed(t, "java"), "-cp", filepath.Join(java, "classes") + ":" + filepath.Join(java, "lib", "*"), "Work"}, []string{"managed", "by-hand"}},
		"Rust SDK":    {[]string{tool("rust/debug/partway-e2e-rust")}, []string{"whole", "by-hand"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := s.NewTenant(t)
			before := s.ToStorage.Up()
			_, summary := runExec(t, n, nil, append(c.command, harness.Bucket, n.Prefix, path)...)
			for _, key := range c.keys {
				(&session{Tenant: n}).stored(t, key, content)
			}
			carried, stored := n.Tap.Up(), s.ToStorage.Up()-before
			if carried*100 > stored {
				t.Errorf("%d bytes crossed the gateway, %d went to storage", carried, stored)
			}
			t.Logf("%d bytes to the gateway (%.2f %%), %d to storage; %s", carried, 100*float64(carried)/float64(stored), stored, summary)
		})
	}
}

// A GiB, once.
func TestExecOfAGiB(t *testing.T) {
	s := stacks[1]
	n := s.NewTenant(t)
	path, content := file(t, 1024*mib)
	before := s.ToStorage.Up()
	_, summary := runExec(t, n, nil, execs(t, n, path)[0].command...)
	(&session{Tenant: n}).stored(t, "one", content)
	carried, stored := n.Tap.Up(), s.ToStorage.Up()-before
	if carried*100 > stored || stored < int64(len(content)) {
		t.Errorf("%d bytes crossed the gateway, %d went to storage", carried, stored)
	}
	t.Logf("%d bytes to the gateway, %d to storage; %s", carried, stored, summary)
}
