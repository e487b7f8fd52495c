package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// part is something of others that is in a binary: a Go module, Go's own library, or a package of npm in the pages.
type part struct {
	ecosystem     string // golang or npm
	name, version string
	digest        string // sha512 in base64, of npm's archive
	licences      []licence
}

func (p *part) ids() []string {
	var ids []string
	for _, l := range p.licences {
		ids = append(ids, l.ids...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// parts of a binary, with the licences of each. Every licence that is missing, unknown or not allowed is named.
func parts(root string, b *built) ([]part, error) {
	modules, err := goModules(root, b)
	if err != nil {
		return nil, err
	}
	packages, err := npmPackages(filepath.Join(root, "web"))
	return append(modules, packages...), err
}

// goModules are those that the linker found: what the binary says, with the directories that go list has for them.
func goModules(root string, b *built) ([]part, error) {
	type module struct {
		Path, Version, Dir string
		Main               bool
		Replace            *module
	}
	list, err := output(root, b.env(), "go", "list", "-deps", "-tags", tags, "-json=Dir,Module,Standard", "./cmd/partway")
	if err != nil {
		return nil, err
	}
	dirs := map[string][]string{} // of the packages
	found := map[string]*module{} // by path
	for d := json.NewDecoder(bytes.NewReader(list)); ; {
		var p struct {
			Dir      string
			Module   *module
			Standard bool
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Standard || p.Module == nil || p.Module.Main {
			continue
		}
		found[p.Module.Path] = p.Module
		dirs[p.Module.Path] = append(dirs[p.Module.Path], p.Dir)
	}
	goroot, err := output(root, b.env(), "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	own, err := licences(strings.TrimSpace(string(goroot)))
	if err != nil {
		return nil, fmt.Errorf("the licence of Go: %w", err)
	}
	all := []part{{ecosystem: "golang", name: "std", version: strings.TrimPrefix(b.info.GoVersion, "go"), licences: own}}
	var wrong []error
	for _, dep := range b.info.Deps {
		m := found[dep.Path]
		if m == nil || m.Replace != nil {
			wrong = append(wrong, fmt.Errorf("%s is linked and is not what go list knows", dep.Path))
			continue
		}
		delete(found, dep.Path)
		texts, err := licences(m.Dir, dirs[dep.Path]...)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s %s: %w", dep.Path, dep.Version, err))
		}
		all = append(all, part{ecosystem: "golang", name: dep.Path, version: dep.Version, licences: texts})
	}
	for name := range found {
		wrong = append(wrong, fmt.Errorf("%s is imported, but the binary does not name it", name))
	}
	return all, errors.Join(wrong...)
}

// npmPackages are those of the pages, as their lock file has them, but for the tools that build them.
func npmPackages(web string) ([]part, error) {
	text, err := os.ReadFile(filepath.Join(web, "package-lock.json"))
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct {
			Version, Integrity  string
			Dev, Optional, Peer bool
		}
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(web, "dist", "index.html")); err != nil {
		return nil, fmt.Errorf("the pages are not built: %w", err)
	}
	var all []part
	var wrong []error
	for _, dir := range slices.Sorted(maps.Keys(lock.Packages)) {
		p := lock.Packages[dir]
		if dir == "" || p.Dev || p.Optional || p.Peer {
			continue
		}
		name := dir[strings.LastIndex(dir, "node_modules/")+len("node_modules/"):]
		texts, err := licences(filepath.Join(web, filepath.FromSlash(path.Clean(dir))))
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s %s: %w", name, p.Version, err))
		}
		all = append(all, part{ecosystem: "npm", name: name, version: p.Version, digest: strings.TrimPrefix(p.Integrity, "sha512-"), licences: texts})
	}
	return all, errors.Join(wrong...)
}
