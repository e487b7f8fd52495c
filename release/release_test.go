package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const version = "v0.9.8"

// clone is the commit that is checked out here, tagged, in a directory of its own, with its pages built.
func clone(t *testing.T, dir string) string {
	t.Helper()
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	do := func(dir, name string, args ...string) {
		t.Helper()
		if _, err := output(dir, os.Environ(), name, args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	do(here, "git", "clone", "--quiet", "--no-hardlinks", here, dir)
	do(dir, "git", "tag", version)
	// The tools that build the pages, and their packages, are of one lock file; what they build is of each clone.
	if err := os.Symlink(filepath.Join(here, ".deps"), filepath.Join(dir, ".deps")); err != nil {
		t.Fatal(err)
	}
	do(dir, "e2e/deps/web.sh")
	return dir
}

// Two people on two machines get the same bytes; here, two directories and two environments.
func TestTheSameCommitIsTheSameReleaseAnywhere(t *testing.T) {
	names := []string{"linux/amd64"}
	if os.Getenv("PARTWAY_RELEASE_TARGETS") == "all" { // make nightly
		names = targets
	}
	tmp := t.TempDir()
	one, other := filepath.Join(tmp, "one"), filepath.Join(tmp, "quite", "another place")
	if err := run(clone(t, one), filepath.Join(one, "dist", "release"), "", names); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"TZ": "Asia/Tokyo", "GOFLAGS": "-buildvcs=false", "GOAMD64": "v3", "LC_ALL": "C", "CGO_ENABLED": "1"} {
		t.Setenv(name, value)
	}
	if err := run(clone(t, other), filepath.Join(other, "dist", "release"), "", names); err != nil {
		t.Fatal(err)
	}
	sums, others := sumsOf(t, filepath.Join(one, "dist", "release")), sumsOf(t, filepath.Join(other, "dist", "release"))
	if len(sums) != 2*len(names)+1 || !slices.Equal(sums, others) {
		t.Errorf("the releases differ:\n%s\n\n%s", strings.Join(sums, "\n"), strings.Join(others, "\n"))
	}
	checkRelease(t, filepath.Join(one, "dist", "release"))
}

// sumsOf are the files of a directory with their hashes.
func sumsOf(t *testing.T, dir string) (sums []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, fmt.Sprintf("%x  %s", sha256.Sum256(data), e.Name()))
	}
	return sums
}

// checkRelease looks at what was released for Linux as somebody does who downloaded it.
func checkRelease(t *testing.T, dir string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", "cd '"+dir+"' && sha256sum --check --strict SHA256SUMS").CombinedOutput(); err != nil {
		t.Errorf("SHA256SUMS: %v\n%s", err, out)
	}
	top := "partway_" + version + "_linux_amd64"
	files := untar(t, filepath.Join(dir, top+".tar.gz"), top+"/")
	for _, name := range []string{
		"LICENSE", "THIRD-PARTY-LICENCES.txt", "partway.cdx.json", "config.example.yaml", "README.md", "SECURITY.md",
		"completions/partway.bash", "completions/_partway", "completions/partway.fish", "deploy/partway-agent.service",
	} {
		if len(files[name]) == 0 {
			t.Errorf("no %s in the archive", name)
		}
	}
	checkLinks(t, files)
	program := filepath.Join(t.TempDir(), "partway")
	if err := os.WriteFile(program, files["partway"], 0o700); err != nil {
		t.Fatal(err)
	}
	said, err := output("", os.Environ(), program, "version")
	if err != nil {
		t.Fatal(err)
	}
	head, err := output("..", os.Environ(), "git", "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"partway  " + version + "\n", "commit   " + strings.TrimSpace(string(head)) + " of ", "holds    gateway, clients, pages\n"} {
		if !strings.Contains(string(said), want) {
			t.Errorf("version does not say %q:\n%s", want, said)
		}
	}
	static(t, program)
	billOf(t, program, files["partway.cdx.json"])
}

func untar(t *testing.T, file, top string) map[string][]byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		name, ok := strings.CutPrefix(h.Name, top)
		if !ok || (h.Mode != 0o644) != (name == "partway") {
			t.Errorf("%s in the archive, mode %o", h.Name, h.Mode)
		}
		if files[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// static: it asks for no loader and no library, so that it runs in an empty image.
func static(t *testing.T, program string) {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary is not static")
		}
	}
}

// billOf: the bill names every module that the Go command says is in the binary, and what the pages have of npm, each with a licence.
func billOf(t *testing.T, program string, bill []byte) {
	t.Helper()
	var bom struct {
		Components []struct {
			PURL     string
			Licenses []struct{ License struct{ ID string } }
		}
	}
	if err := json.Unmarshal(bill, &bom); err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, c := range bom.Components {
		named[c.PURL] = true
		if len(c.Licenses) == 0 {
			t.Errorf("%s has no licence", c.PURL)
		}
	}
	linked, err := output("", os.Environ(), "go", "version", "-m", program)
	if err != nil {
		t.Fatal(err)
	}
	deps := 0
	for lines := bufio.NewScanner(bytes.NewReader(linked)); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) > 2 && words[0] == "dep" {
			deps++
			if purl := "pkg:golang/" + words[1] + "@" + strings.ReplaceAll(words[2], "+", "%2B"); !named[purl] {
				t.Errorf("the bill does not name %s", purl)
			}
		}
	}
	npm := 0
	for purl := range named {
		if strings.HasPrefix(purl, "pkg:npm/react@") || strings.HasPrefix(purl, "pkg:npm/react-dom@") {
			npm++
		}
	}
	if deps < 10 || npm != 2 {
		t.Errorf("%d modules and %d packages of the pages", deps, npm)
	}
}
