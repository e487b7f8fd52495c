package main

import (
	"path"
	"strings"
	"testing"
)

// Whoever unpacks an archive has no clone: each link of its documents leads to a file that is in it.
func TestTheDocumentsOfAnArchiveLeadToWhatIsInIt(t *testing.T) {
	files, err := documents("..")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{"LICENSE": nil}
	for _, f := range files {
		all[f.name] = f.data
	}
	for _, name := range []string{"README.md", "docs/quickstart.md", "docs/img/roads.svg", "deploy/partway.service", "clients/python/README.md", "config.example.yaml"} {
		if len(all[name]) == 0 {
			t.Errorf("no %s", name)
		}
	}
	checkLinks(t, all)
}

func checkLinks(t *testing.T, files map[string][]byte) {
	t.Helper()
	total := 0
	for name, text := range files {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		for _, m := range link.FindAllSubmatch(text, -1) {
			to, _, _ := strings.Cut(string(m[2]), "#")
			if to == "" || strings.Contains(to, "://") {
				continue
			}
			total++
			at := path.Join(path.Dir(name), to)
			if _, ok := files[at]; !ok && !isDirectory(files, at) {
				t.Errorf("%s: no %s in the archive", name, m[2])
			}
		}
	}
	if total < 50 {
		t.Errorf("only %d links: are they still found?", total)
	}
}

func isDirectory(files map[string][]byte, dir string) bool {
	for name := range files {
		if strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

func TestLinksToWhatIsNotThereBecomeText(t *testing.T) {
	there := map[string]bool{".": true, "docs": true, "docs/a.md": true, "LICENSE": true}
	for _, tc := range []struct{ name, text, want string }{
		{"there", "[a](a.md)", "[a](a.md)"},
		{"a heading of it", "[a](a.md#b)", "[a](a.md#b)"},
		{"above", "[l](../LICENSE)", "[l](../LICENSE)"},
		{"a directory", "[all](../docs)", "[all](../docs)"},
		{"in the same page", "[a](#b)", "[a](#b)"},
		{"the world", "[w](https://example.com/x)", "[w](https://example.com/x)"},
		{"not there", "see [`main.go`](../cmd/main.go#L3).", "see `main.go`."},
		{"over two lines", "[two\nlines](../cmd)", "two\nlines"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := string(withoutDeadLinks(file{name: "docs/b.md", data: []byte(tc.text)}, there)); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
