package main

import (
	"net"
	"path/filepath"
	"testing"
)

func TestCommandNameIn(t *testing.T) {
	for _, tt := range []struct{ name, self, found, want string }{
		{"go run", "/tmp/go-build123/b001/exe/partway", "", "go run ./cmd/partway"},
		{"go run, cached", "/home/u/.cache/go-build/ab/cd-d/partway", "", "go run ./cmd/partway"},
		{"on the PATH", "/usr/bin/partway", "/usr/bin/partway", "partway"},
		{"another on the PATH", "/src/bin/partway", "/usr/bin/partway", "/src/bin/partway"},
		{"a path with a space", "/my src/partway", "", "'/my src/partway'"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := commandNameOf(filepath.FromSlash(tt.self), tt.found); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestDemoEndpoint(t *testing.T) {
	for _, tt := range []struct{ listen, want string }{
		{"127.0.0.1:1", "http://localhost:1"},
		{"0.0.0.0:1", "http://localhost:1"},
		{"[::1]:1", "http://localhost:1"},
		{"192.0.2.7:1", "http://192.0.2.7:1"},
	} {
		addr, err := net.ResolveTCPAddr("tcp", tt.listen)
		if err != nil {
			t.Fatal(err)
		}
		if got := demoEndpoint(addr); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.listen, got, tt.want)
		}
	}
}

func TestQuoted(t *testing.T) {
	for value, want := range map[string]string{
		"http://localhost:1": "http://localhost:1",
		"":                   "''",
		"a b":                "'a b'",
		"it's $HOME":         `'it'\''s $HOME'`,
	} {
		if got := quoted(value); got != want {
			t.Errorf("%q: got %s, want %s", value, got, want)
		}
	}
}
