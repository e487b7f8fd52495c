package main

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// documented are what people read, and what it leads them to: examples to deploy, the shims, the figures. Files of git alone, so that nothing else
// which lies there gets in.
var documented = []string{"README.md", "CHANGELOG.md", "SECURITY.md", "config.example.yaml", "docs", "deploy", "clients", "bench/results",
	":(exclude)deploy/*.sh", ":(exclude)*/.gitignore"} // the scripts build from a clone

// documents are the files of an archive that are no program's. Their links to what is in a clone alone are taken out, and the text stays.
func documents(root string) (files []file, err error) {
	names, err := output(root, os.Environ(), "git", append([]string{"ls-files", "-z", "--"}, documented...)...)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{".": true}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o644, text})
		for at := name; !there[at]; at = path.Dir(at) {
			there[at] = true
		}
	}
	there["LICENSE"] = true
	for i, f := range files {
		if strings.HasSuffix(f.name, ".md") {
			files[i].data = withoutDeadLinks(f, there)
		}
	}
	return files, nil
}

var link = regexp.MustCompile(`\[([^\[\]]*)\]\(([^()\s]+)\)`)

// withoutDeadLinks is a document whose links lead to what is there, or out into the world.
func withoutDeadLinks(f file, there map[string]bool) []byte {
	return link.ReplaceAllFunc(f.data, func(whole []byte) []byte {
		m := link.FindSubmatch(whole)
		to, _, _ := strings.Cut(string(m[2]), "#")
		if to == "" || strings.Contains(to, "://") || there[path.Join(path.Dir(f.name), to)] {
			return whole
		}
		return bytes.Clone(m[1])
	})
}
