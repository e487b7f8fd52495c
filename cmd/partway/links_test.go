package main

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	docLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	docHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Links lead to files that are there, and to headings that are in them.
func TestLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	docs := documents(t)
	for file, text := range docs {
		if !strings.HasSuffix(file, ".md") {
			continue
		}
		for _, m := range docLink.FindAllStringSubmatch(text, -1) {
			link, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(link, "://") {
				continue
			}
			to := file
			if link != "" {
				to = path.Join(path.Dir(file), link)
				if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(to))); err != nil {
					t.Errorf("%s: %s: %v", file, m[1], err)
					continue
				}
			}
			if anchor != "" && !hasHeading(docs[to], anchor) {
				t.Errorf("%s: %s: no such heading", file, m[1])
			}
		}
	}
}

// hasHeading: as GitHub makes anchors of headings.
func hasHeading(text, anchor string) bool {
	for _, m := range docHeading.FindAllStringSubmatch(text, -1) {
		if strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

func TestEveryDocumentIsInTheIndex(t *testing.T) {
	docs := documents(t)
	for file := range docs {
		name := path.Base(file)
		if path.Dir(file) == "docs" && name != "README.md" && !strings.Contains(docs["docs/README.md"], "]("+name+")") {
			t.Errorf("docs/README.md does not name %s", name)
		}
	}
	if !strings.Contains(docs["README.md"], "(docs/README.md)") {
		t.Error("README.md does not lead to the index")
	}
}
