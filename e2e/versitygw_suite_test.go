package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

// TestVersitygwSuite runs the suite that versitygw's authors wrote for S3 servers against the gateway, with an operator's key: all of it that they
// run against their own server, with and without versions. What may fail is written down, with the words in which it fails and the reason, in
// testdata/versitygw-suite.txt; a test there that passes is a failure too.
func TestVersitygwSuite(t *testing.T) {
	expected, classes := readSuite(t, "testdata/versitygw-suite.txt")
	found := &suiteResults{failures: map[string][]string{}}
	t.Run("runs", func(t *testing.T) {
		versions := t.TempDir()
		for _, run := range []struct {
			name    string
			storage []string // environment of versitygw
			groups  [][]string
		}{
			{"plain", nil, [][]string{{needsNoBuckets}, {"posix"}, {"full-flow", "--parallel"}}},
			{"versions", []string{"VGW_VERSIONING_DIR=" + versions}, [][]string{{"full-flow", "--versioning-enabled", "--parallel"}}},
			{"etags of checksums", []string{"VGW_DATA_INTEGRITY_ETAG=true"}, [][]string{{"data-integrity-etag"}}},
		} {
			t.Run(run.name, func(t *testing.T) {
				t.Parallel()
				v := newSuite(t, ownStack(t, harness.Setup{StorageEnv: run.storage}))
				for _, group := range run.groups {
					v.run(t, found, group)
				}
			})
		}
	})
	if ran := slices.Sorted(maps.Keys(found.failures)); !slices.Equal(ran, slices.Sorted(maps.Keys(expected))) {
		t.Errorf("testdata/versitygw-suite.txt does not list the %d tests of this versitygw:\n%s", len(ran), strings.Join(ran, "\n"))
	}
	passed, failed := 0, 0
	for name, failures := range found.failures {
		c, may := classes[expected[name]]
		switch {
		case len(failures) == 0 && may:
			t.Errorf("%s passes, and was expected to fail: %s", name, c.reason)
		case len(failures) == 0:
			passed++
		default:
			failed++
			for _, f := range failures {
				if !may || !c.words.MatchString(f) {
					t.Errorf("%s: %s", name, f)
				}
			}
		}
	}
	t.Logf("%d tests of versitygw's suite: %d passed, %d failed as expected", len(expected), passed, failed)
}

// needsNoBuckets is a test for empty storage: it would find what others leave that fail.
const needsNoBuckets = "ListBuckets_empty_success"

// suiteClass is a reason for which tests are expected to fail, and what they say then.
type suiteClass struct {
	words  *regexp.Regexp
	reason string
}

// readSuite reads lines of a test's name and, if it is expected to fail, the class; and lines of a class: "= class /words/ reason".
func readSuite(t *testing.T, path string) (expected map[string]string, classes map[string]suiteClass) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	expected, classes = map[string]string{}, map[string]suiteClass{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if m := suiteClassLine.FindStringSubmatch(line); m != nil {
			classes[m[1]] = suiteClass{regexp.MustCompile(m[2]), m[3]}
		} else if line != "" && !strings.HasPrefix(line, "#") {
			name, class, _ := strings.Cut(line, " ")
			if _, twice := expected[name]; twice {
				t.Errorf("%s lists %s twice", path, name)
			}
			if _, known := classes[class]; class != "" && !known {
				t.Errorf("%s: %s has no class %q above it", path, name, class)
			}
			expected[name] = class
		}
	}
	return expected, classes
}

var suiteClassLine = regexp.MustCompile(`^= (\S+) /(.+)/ (.+)$`)

// suiteResults are how each test failed, in whichever run; the empty list for those that passed in all.
type suiteResults struct {
	sync.Mutex
	failures map[string][]string
}

type suite struct {
	bin, dir string // dir holds what the suite takes for versitygw's administration
	stack    *harness.Stack
	keys     harness.Keys
}

func newSuite(t *testing.T, s *harness.Stack) *suite {
	t.Helper()
	bin, err := harness.Tool("bin/versitygw")
	if err != nil {
		t.Fatal(err)
	}
	out, err := harness.Run(t.Context(), nil, s.Bin, "token", "issue", "--offline", "--operator", "--config", s.Config, "--format", "json")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Storage.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(harness.Bucket)}); err != nil {
		t.Fatal(err) // the suite is to find storage empty
	}
	v := &suite{bin: bin, dir: t.TempDir(), stack: s}
	if err := json.Unmarshal([]byte(out), &v.keys); err != nil {
		t.Fatal(err)
	}
	// The suite makes users by `./versitygw admin -a KEY -s SECRET -er ENDPOINT ...`. Users are storage's affair: there it goes.
	script := fmt.Sprintf("#!/bin/sh\nkey=$3 secret=$5\n[ \"$key\" != %q ] || { key=%s; secret=%s; }\nshift 7\nexec %s admin -a \"$key\" -s \"$secret\" -er http://%s \"$@\"\n",
		v.keys.AccessKeyID, harness.StorageKey, harness.StorageSecret, bin, s.ToStorage.Addr())
	if err := os.WriteFile(filepath.Join(v.dir, "versitygw"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return v
}

// suiteMark is what the suite prints before the name of a test that begins or ends. What follows, until the next, belongs to it.
var suiteMark = regexp.MustCompile(`\x1b\[\d+m(RUN|PASS|FAIL|SKIP) +\x1b\[0m(\w+)`)

// run runs a group of tests, in a process whose words tell what became of each.
func (v *suite) run(t *testing.T, found *suiteResults, group []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	args := append([]string{"test", "-a", v.keys.AccessKeyID, "-s", v.keys.SecretAccessKey, "-e", v.stack.Gateway.Endpoint}, group...)
	cmd := exec.CommandContext(ctx, v.bin, args...)
	cmd.Dir, cmd.Env = v.dir, harness.CleanEnv()
	text, err := cmd.CombinedOutput() // its exit status says no more than that something failed
	if ctx.Err() != nil {
		t.Fatalf("%s: %v: %v\n%s", group, ctx.Err(), err, text)
	}
	out := string(text)
	running := map[string]bool{}
	found.Lock()
	defer found.Unlock()
	marks := suiteMark.FindAllStringSubmatchIndex(out, -1)
	for i, m := range marks {
		verdict, name, rest := out[m[2]:m[3]], out[m[4]:m[5]], out[m[1]:]
		if i+1 < len(marks) {
			rest = out[m[1]:marks[i+1][0]]
		}
		switch verdict {
		case "RUN":
			running[name] = true
			continue
		case "SKIP":
			t.Errorf("%s was skipped", name)
		}
		delete(running, name)
		if name == needsNoBuckets && group[0] != needsNoBuckets {
			continue
		}
		if _, known := found.failures[name]; !known {
			found.failures[name] = []string{}
		}
		if verdict == "FAIL" {
			found.failures[name] = append(found.failures[name], strings.TrimSpace(strings.TrimPrefix(rest, ":")))
		}
	}
	if len(running) > 0 || len(marks) == 0 {
		t.Fatalf("%s: without an end: %v\n%s", group, slices.Sorted(maps.Keys(running)), out)
	}
}
