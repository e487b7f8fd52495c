package harness

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Tenant is one test's tenant: its own prefix, its own tokens, its own tap to the gateway. When the test ends, Check holds
// what every test must hold.
type Tenant struct {
	Keys
	*Stack
	Name, Prefix string // Prefix ends with "/"
	Bearer       string
	Tap          *Tap
	Endpoint     string // by way of the tap

	unauthenticated map[string]bool // request ids
}

var tenants atomic.Int64

// NewTenant makes a tenant that may do everything under its prefix.
func (s *Stack) NewTenant(t testing.TB) *Tenant {
	t.Helper()
	n := &Tenant{Stack: s, Name: fmt.Sprintf("tenant-%d", tenants.Add(1)), unauthenticated: map[string]bool{}}
	n.Prefix = n.Name + "/"
	scope := Scope{Bucket: Bucket, Prefix: n.Prefix, Actions: []string{"s3:*"}}
	key, err := s.Gateway.Issue(t.Context(), n.Name, "key", time.Hour, scope)
	if err != nil {
		t.Fatal(err)
	}
	bearer, err := s.Gateway.Issue(t.Context(), n.Name, "bearer", time.Hour, scope)
	if err != nil {
		t.Fatal(err)
	}
	n.Keys, n.Bearer = key.Keys, bearer.Bearer
	if n.Tap, err = NewTap(s.Gateway.Addr()); err != nil {
		t.Fatal(err)
	}
	// "localhost", because a redirect is refused to the host that the client used, and storage is 127.0.0.1.
	n.Endpoint = "http://localhost:" + n.Tap.Port()
	if s.Gateway.CA != "" {
		n.Endpoint = "https://localhost:" + n.Tap.Port()
	}
	t.Cleanup(func() {
		n.Tap.Cut()
		if !t.Failed() {
			n.Check(t)
		}
	})
	return n
}

// Unauthenticated says that the answer was to a request that proved nobody, and so has no event.
func (n *Tenant) Unauthenticated(requestID string) { n.unauthenticated[requestID] = true }

// Check demands what holds after every test: each answer that the tap saw is exactly one event, nothing else is, and records,
// events and storage tell the same story. Over TLS the tap sees no answers, and only the latter can be said.
func (n *Tenant) Check(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answers := n.Tap.RequestIDs()
	events, err := n.settled(ctx, answers)
	if err != nil {
		t.Error(err)
	}
	byID := map[string]int{}
	for _, e := range events {
		byID[e.RequestID]++
		if byID[e.RequestID] == 2 {
			t.Errorf("more than one event: %v", e)
		}
	}
	seen := map[string]bool{}
	for _, id := range answers {
		seen[id] = true
		if byID[id] == 0 && !n.unauthenticated[id] {
			t.Errorf("answer %s has no event", id)
		}
		if byID[id] > 0 && n.unauthenticated[id] {
			t.Errorf("answer %s has an event, though nobody was authenticated", id)
		}
	}
	for _, e := range events {
		if n.Gateway.CA == "" && !seen[e.RequestID] && !n.cutShort(e) {
			t.Errorf("event without an answer on the wire: %v", e)
		}
	}
	differences, err := n.Reconcile(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, d := range differences {
		t.Error(d)
	}
	if t.Failed() {
		t.Logf("gateway's log:\n%s", n.Gateway.Tail())
	}
}

// settled reads the events until each answer has one: reads are recorded after they are answered. Whatever is missing after
// a few seconds is for the caller to name.
func (n *Tenant) settled(ctx context.Context, answers []string) (events []Event, err error) {
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	waited := Await(soon, "events", nil, func() bool {
		if events, err = n.Gateway.Events(ctx, n.Name); err != nil {
			return true
		}
		have := map[string]bool{}
		for _, e := range events {
			have[e.RequestID] = true
		}
		for _, id := range answers {
			if !have[id] && !n.unauthenticated[id] {
				return false
			}
		}
		return true
	})
	if err == nil && ctx.Err() != nil {
		err = waited
	}
	return events, err
}

// EventOf waits for the event of one answer.
func (n *Tenant) EventOf(ctx context.Context, requestID string) (Event, error) {
	events, err := n.settled(ctx, []string{requestID})
	for _, e := range events {
		if e.RequestID == requestID {
			return e, err
		}
	}
	if err == nil {
		err = fmt.Errorf("answer %s has no event", requestID)
	}
	return Event{}, err
}

// cutShort: the client or the line went away before the answer, which S3 logs as 499 or 5xx and nobody received.
func (n *Tenant) cutShort(e Event) bool { return e.Status >= 499 }

// Env for AWS tools: the tenant's keys and endpoint, and nothing of the machine's own configuration.
func (n *Tenant) Env() []string {
	env := []string{
		"AWS_ACCESS_KEY_ID=" + n.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + n.SecretAccessKey,
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ENDPOINT_URL_S3=" + n.Endpoint,
		"AWS_CONFIG_FILE=" + n.AwsConfig(), "AWS_SHARED_CREDENTIALS_FILE=" + n.AwsConfig() + ".credentials",
		"AWS_EC2_METADATA_DISABLED=true",
	}
	if n.Gateway.CA != "" {
		env = append(env, "AWS_CA_BUNDLE="+n.Gateway.CA)
	}
	return env
}

// AwsConfig is the path of the tenant's aws-cli configuration, which is not there unless a test writes it.
func (n *Tenant) AwsConfig() string { return filepath.Join(n.Dir, n.Name+".awsconfig") }

// Aws runs stock aws-cli as the tenant and returns stdout.
func (n *Tenant) Aws(t testing.TB, args ...string) string {
	t.Helper()
	return n.tool(t, "venv/bin/aws", args...)
}

// Python runs a script in the environment that has boto3.
func (n *Tenant) Python(t testing.TB, script string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script.py")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return n.tool(t, "venv/bin/python", append([]string{file}, args...)...)
}

func (n *Tenant) tool(t testing.TB, path string, args ...string) string {
	t.Helper()
	bin, err := Tool(path)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Run(t.Context(), n.Env(), bin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Request builds a request with the tenant's bearer.
func (n *Tenant) Request(t testing.TB, method, target, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, n.Endpoint+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+n.Bearer)
	return req
}
