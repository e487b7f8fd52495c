package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

// client is a stock client at its everyday work. All get the endpoint, the keys, the region and path style; settings says
// what else was set.
type client struct {
	name, settings string
	// how bodies travel, by scheme, operation and form; a scheme that is missing is not run
	bodies map[string]bodies
	work   func(t *testing.T, s *session) (version string)
}

// bodies are the forms that a client gives to the bodies of an operation.
type bodies map[string][]string

// session is one run of a client: a tenant of its own with the wire watched, and the commands that were run.
type session struct {
	*harness.Tenant
	wire     *harness.Wire
	commands []string
	words    []string // old, new: what differs from run to run, and what the documentation says for it
}

// result is a line for docs/compatibility.md.
type result struct {
	Client     string            `json:"client"`
	Version    string            `json:"version"`
	Scheme     string            `json:"scheme"`
	Settings   string            `json:"settings,omitempty"`
	Operations map[string]string `json:"operations"` // to the road of their bodies or "none"
	Bodies     bodies            `json:"bodies"`
	Commands   []string          `json:"commands"`
}

// runClients does the work of each over http, to a gateway with MongoDB and Redis, and over https, to one that stands on an https
// storage.
func runClients(t *testing.T, clients []client) {
	certificates, err := harness.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	secure := ownStack(t, harness.Setup{StorageTLS: certificates, Config: []string{
		"server:", "  tls: {cert_file: " + certificates.Cert + ", key_file: " + certificates.Key + "}"}})
	if err := secure.Gateway.Trust(certificates.CA); err != nil {
		t.Fatal(err)
	}
	for _, c := range clients {
		for _, scheme := range slices.Sorted(maps.Keys(c.bodies)) {
			t.Run(strings.Join([]string{c.name, c.settings, scheme}, " "), func(t *testing.T) {
				stack, wired := stacks[1], (*harness.Certificates)(nil)
				if scheme == "https" {
					stack, wired = secure, certificates
				}
				var r result
				t.Cleanup(func() { // after the tenant's own check
					if !t.Failed() {
						write(t, r)
					}
				})
				n := stack.NewTenant(t)
				wire, err := harness.NewWire(n.Tap.Addr(), wired)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(wire.Close)
				n.Endpoint = wire.Endpoint
				s := &session{Tenant: n, wire: wire, words: []string{harness.Root() + "/", "", n.Prefix, "PREFIX/", n.Endpoint, "ENDPOINT"}}
				version := c.work(t, s)
				wire.Close()
				r = result{Client: c.name, Version: version, Scheme: scheme, Settings: c.settings,
					Operations: s.operations(t), Bodies: s.bodies(), Commands: s.commands}
				if !maps.EqualFunc(r.Bodies, c.bodies[scheme], slices.Equal) {
					t.Errorf("bodies came as %v, want %v", r.Bodies, c.bodies[scheme])
				}
				t.Logf("%s %s, %s: %v %v", c.name, version, scheme, r.Operations, r.Bodies)
			})
		}
	}
}

// operations of the audit, each with its road. What the wire saw and what the audit says must agree in number, and a body goes by
// the relay, for no stock client asked for another road.
func (s *session) operations(t *testing.T) map[string]string {
	t.Helper()
	sent := len(s.wire.Requests())
	var events []harness.Event
	err := harness.Await(withTimeout(t, 5*time.Second), "events", nil, func() (done bool) {
		var err error
		if events, err = s.Gateway.Events(t.Context(), s.Name); err != nil {
			t.Fatal(err)
		}
		return len(events) >= sent
	})
	if err != nil || len(events) != sent {
		t.Errorf("%d requests on the wire, %d events", sent, len(events))
	}
	roads := map[string]string{}
	for _, e := range events {
		if e.Status >= 500 && e.Status != 501 { // 501: storage cannot do it
			t.Errorf("answered with %d: %v", e.Status, e)
		}
		if e.Road != "none" || roads[e.Operation] == "" {
			roads[e.Operation] = e.Road
		}
		if (e.Operation == "UploadPart" || e.Operation == "PutObject") && e.Road != "relay" {
			t.Errorf("a body by another road than the relay: %v", e)
		}
	}
	return roads
}

// bodies of objects and parts, each form once.
func (s *session) bodies() bodies {
	seen := bodies{}
	for _, r := range s.wire.Requests() {
		operation := "PutObject"
		switch {
		case r.Method != "PUT" || r.Form == "":
			continue
		case strings.Contains(r.Query, "partNumber="):
			operation = "UploadPart"
		case r.Query != "" && !strings.Contains(r.Query, "x-id=PutObject") && !strings.Contains(r.Query, "X-Amz-Signature="):
			continue // ?tagging and its like
		}
		if !slices.Contains(seen[operation], r.Form) {
			seen[operation] = append(seen[operation], r.Form)
		}
	}
	for _, forms := range seen {
		slices.Sort(forms)
	}
	return seen
}

// run runs a program with the tenant's environment and returns stdout. The command is kept for the documentation.
func (s *session) run(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	s.commands = append(s.commands, strings.NewReplacer(s.words...).Replace(filepath.Base(program)+" "+strings.Join(args, " ")))
	out, err := harness.Run(t.Context(), append(s.Env(), env...), program, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Gateway.Tail())
	}
	return out
}

// program of .deps, to be run with arguments.
func (s *session) program(t *testing.T, path string, env ...string) func(args ...string) (stdout string) {
	t.Helper()
	bin, err := harness.Tool(path)
	if err != nil {
		t.Fatal(err)
	}
	return func(args ...string) string {
		t.Helper()
		return s.run(t, env, bin, args...)
	}
}

// curl demands that a plain GET of a presigned URL brings the content.
func (s *session) curl(t *testing.T, url string, content []byte) {
	t.Helper()
	back := filepath.Join(t.TempDir(), "back")
	args := []string{"--silent", "--show-error", "--fail", "-o", back, url}
	if s.Gateway.CA != "" {
		args = append(args, "--cacert", s.Gateway.CA)
	}
	if out, err := harness.Run(t.Context(), nil, "curl", args...); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	sameFile(t, back, content)
}

// dir is a new directory that the documentation calls by this word.
func (s *session) dir(t *testing.T, word string) string {
	t.Helper()
	dir := t.TempDir()
	s.words = append(s.words, dir, word)
	return dir
}

// file of n random bytes that the documentation calls FILE.
func (s *session) file(t *testing.T, n int) (path string, content []byte) {
	t.Helper()
	path, content = file(t, n)
	s.words = append(s.words, path, "FILE")
	return path, content
}

// stored demands that storage, asked with its own credentials, holds exactly these bytes under the tenant's key, and no trace of how
// they travelled.
func (s *session) stored(t *testing.T, key string, content []byte) {
	t.Helper()
	got, err := s.Storage.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(harness.Bucket), Key: aws.String(s.Prefix + key)})
	if err != nil {
		t.Errorf("storage: %s: %v", key, err)
		return
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil || !bytes.Equal(body, content) {
		t.Errorf("storage: %s has %d bytes (%v) that differ from the %d sent", key, len(body), err, len(content))
	}
	if e := aws.ToString(got.ContentEncoding); strings.Contains(e, "aws-chunked") {
		t.Errorf("storage: %s has Content-Encoding %q", key, e)
	}
}

// write adds the result to the file that `make compatibility` names.
func write(t *testing.T, r result) {
	path := os.Getenv("PARTWAY_E2E_RESULTS")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := json.NewEncoder(f).Encode(r); err != nil {
		t.Fatal(err)
	}
}

// installed is the path of a program of the machine.
func installed(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatalf("%v: run `make deps`", err)
	}
	return path
}
