package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

// notRunHere are the blocks of commands that TestEveryCommandOfTheDocumentsRuns leaves out, by document and first line, each with the reason.
var notRunHere = map[string]string{
	"README.md: go run ./cmd/partway demo":            "TestTheDemosSessionRunsAsPrinted runs the demo so; make test is what runs this",
	"README.md: $ aws s3 cp big.bin s3":               "TestTheDemosSessionRunsAsPrinted runs the session that this shows",
	"docs/release.md: partway completion bash >/etc/": "writes into /etc; cmd/partway's tests ask for the scripts, and for what they complete",
}

// docBlock is commands in a document.
type docBlock struct{ file, text string }

func docBlocks(t *testing.T) (all []docBlock) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(harness.Root(), "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, filepath.Join(harness.Root(), "README.md")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(harness.Root(), file)
		for _, m := range regexp.MustCompile("(?ms)^```(?:sh|bash|console)\n(.*?)^```").FindAllStringSubmatch(string(text), -1) {
			all = append(all, docBlock{name, m[1]})
		}
	}
	// What revokes keys comes last.
	slices.SortStableFunc(all, func(a, b docBlock) int { return last(a) - last(b) })
	return all
}

func last(b docBlock) int {
	if b.file == "docs/keys.md" {
		return 1
	}
	return 0
}

// Each block of commands in README.md and docs/ runs as it stands, on a gateway that serves, in a directory with what it speaks of; with
// this machine's names in place of the examples'. quickstart.md has a test of its own.
func TestEveryCommandOfTheDocumentsRuns(t *testing.T) {
	anchors := filepath.Join(t.TempDir(), "anchors.jsonl")
	s := ownStack(t, harness.Setup{Config: []string{"audit: {anchor_file: " + anchors + ", anchor_interval: 1s}", "resume: {enabled: true}"}})
	n := s.UncheckedTenant(t)
	open := create(t, n, n.Prefix+"big.bin")
	if err := harness.Await(withTimeout(t, 20*time.Second), "an anchor", s.Gateway.Process, func() bool {
		f, err := os.Stat(anchors)
		return err == nil && f.Size() > 0
	}); err != nil {
		t.Fatal(err)
	}
	inspected, err := harness.Run(t.Context(), nil, binary, "token", "inspect", s.Gateway.Operator)
	if err != nil {
		t.Fatal(err)
	}
	kid := regexp.MustCompile(`(?m)\bkid"?:?\s+"?([\w-]+)`).FindStringSubmatch(inspected)
	if kid == nil {
		t.Fatalf("no kid in\n%s", inspected)
	}

	left := maps.Clone(notRunHere)
	ran := 0
	for i, b := range docBlocks(t) {
		if b.file == "docs/quickstart.md" {
			continue
		}
		first := b.file + ": " + b.text
		skipped := false
		for begins := range notRunHere {
			if strings.HasPrefix(first, begins) {
				skipped = true
				delete(left, begins)
			}
		}
		if skipped {
			continue
		}
		ran++
		line, _, _ := strings.Cut(b.text, "\n")
		t.Run(fmt.Sprint(i, " ", b.file, " ", line), func(t *testing.T) {
			token := s.Gateway.Operator
			if b.file == "docs/partner.md" || b.file == "docs/direct.md" {
				token = n.Bearer
			}
			here := strings.NewReplacer(
				"https://gw.example.com", n.Endpoint, "PARTWAY_TOKEN=...", "PARTWAY_TOKEN="+token, "PARTWAY_TOKEN=eyJ...", "PARTWAY_TOKEN="+token,
				"acme", n.Name, "upload-id ID", "upload-id "+open, "upload_id=ID", "upload_id="+open, "OLD-KID", kid[1], `"..."`, `"AAAAAA=="`,
			).Replace(b.text)
			inShell(t, fmt.Sprintf(`
partway() { if [ "$1" = serve ]; then echo "it does"; else command partway "$@"; fi; }
export PARTWAY_ENDPOINT=%s PARTWAY_TOKEN=%s
ID=%s
cp %s partway.yaml
cp %s anchors.jsonl
head -c 9000000 /dev/urandom >big.bin
mkdir data && echo one >data/one
%s`, n.Endpoint, token, open, s.Config, anchors, here))
		})
	}
	for key := range left {
		t.Errorf("no document has this block any more: %s", key)
	}
	if ran < 10 {
		t.Errorf("only %d blocks ran", ran)
	}
}
