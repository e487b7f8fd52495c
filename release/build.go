package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// target of the compiler.
type target struct{ os, arch string }

func parseTarget(name string) (target, error) {
	if !slices.Contains(targets, name) {
		return target{}, fmt.Errorf("%q is none of %s", name, strings.Join(targets, ", "))
	}
	os, arch, _ := strings.Cut(name, "/")
	return target{os, arch}, nil
}

func (t target) String() string { return t.os + "/" + t.arch }

// program is the binary's name.
func (t target) program() string {
	if t.os == "windows" {
		return "partway.exe"
	}
	return "partway"
}

// env for the Go command, with nothing in it that would change the result from one machine to the next.
func (t target) env() []string {
	return append(os.Environ(), "GOOS="+t.os, "GOARCH="+t.arch, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=-mod=readonly", "GOEXPERIMENT=", "GOWORK=off")
}

// built is a binary and what the Go command noted in it.
type built struct {
	target
	file    string
	info    *buildinfo.BuildInfo
	version string
	commit  string
	time    time.Time // of the commit, or SOURCE_DATE_EPOCH
}

const tags = "nodemo"

func build(root string, t target, file string) (*built, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=auto", "-tags", tags, "-ldflags", "-s -w -buildid=", "-o", file, "./cmd/partway")
	cmd.Dir, cmd.Env = root, t.env()
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building for %s: %w\n%s", t, err, text)
	}
	b := &built{target: t, file: file}
	if b.info, err = buildinfo.ReadFile(file); err != nil {
		return nil, err
	}
	for _, s := range b.info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.commit = s.Value
		case "vcs.time":
			if b.time, err = time.Parse(time.RFC3339, s.Value); err != nil {
				return nil, err
			}
		}
	}
	b.version = b.info.Main.Version
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		b.time = time.Unix(seconds, 0).UTC()
	}
	return b, nil
}

// checkNamed refuses a binary that cannot say what it is.
func (b *built) checkNamed() error {
	if b.commit == "" || b.version == "" || b.version == "(devel)" {
		// The Go command takes no notice of a worktree that git keeps elsewhere.
		return errors.New("the binary does not say which commit it is of: release from a clone with its .git directory")
	}
	return nil
}

// output of a command that runs in dir.
func output(dir string, env []string, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = dir, env, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return out, nil
}
