package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Tenant is one test's tenant: its own prefix, its own tokens, its own tap to the gateway. When the test ends, Check holds
// what every test must hold.
type Tenant struct {
	Keys
	*Stack
	Name, Prefix string // Prefix ends with "/"
	Scope        Scope  // of its tokens
	Bearer       string
	Tap          *Tap
	Endpoint     string // by way of the tap

	taps                        *[]*Tap         // all that lead to its gateways
	unauthenticated, unanswered map[string]bool // request ids
}

var tenants atomic.Int64

// NewTenant makes a tenant that may do everything under its prefix, but for what limits take away.
func (s *Stack) NewTenant(t testing.TB, limits ...func(*Scope)) *Tenant {
	t.Helper()
	n := s.UncheckedTenant(t, limits...)
	t.Cleanup(func() {
		if !t.Failed() {
			n.Check(t)
		}
	})
	return n
}

// UncheckedTenant is NewTenant for tests in which answers are lost on their way, so that Check cannot hold; a Client's Violations must.
func (s *Stack) UncheckedTenant(t testing.TB, limits ...func(*Scope)) *Tenant {
	t.Helper()
	n := &Tenant{Stack: s, Name: fmt.Sprintf("tenant-%d", tenants.Add(1)), taps: new([]*Tap), unauthenticated: map[string]bool{}, unanswered: map[string]bool{}}
	n.Prefix = n.Name + "/"
	scope := Scope{Bucket: Bucket, Prefix: n.Prefix, Actions: []string{"s3:*"}}
	for _, limit := range limits {
		limit(&scope)
	}
	n.Scope = scope
	n.Keys, n.Bearer = s.issue(t, n.Name, "key", scope).Keys, s.issue(t, n.Name, "bearer", scope).Bearer
	return n.At(t, s)
}

// issue makes a token, for longer than any test takes. Where servers are made to fail, 503 is what an operator asks again after, for a minute at most.
func (s *Stack) issue(t testing.TB, tenant, class string, scope Scope) (token Token) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var err error
	waited := Await(ctx, "a token", s.Gateway.Process, func() bool {
		token, err = s.Gateway.Issue(ctx, tenant, class, 3*time.Hour, scope)
		return err == nil || len(s.Lines) == 0 || !strings.Contains(err.Error(), "503 Service Unavailable")
	})
	if err := errors.Join(waited, err); err != nil {
		t.Fatal(err)
	}
	return token
}

// At is the same tenant by way of another gateway, with a tap of its own.
func (n *Tenant) At(t testing.TB, s *Stack) *Tenant {
	t.Helper()
	tap, err := NewTap(s.Gateway.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tap.Cut)
	*n.taps = append(*n.taps, tap)
	there := *n
	there.Stack, there.Tap = s, tap
	// "localhost", because a redirect is refused to the host that the client used, and storage is 127.0.0.1.
	there.Endpoint = "http://localhost:" + tap.Port()
	if s.Gateway.CA != "" {
		there.Endpoint = "https://localhost:" + tap.Port()
	}
	return &there
}

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

// SDK is the SDK's client with the tenant's keys, over http or https as its gateway serves.
func (n *Tenant) SDK() (*s3.Client, error) {
	if n.Gateway.CA == "" {
		return S3(n.Endpoint, "us-east-1", n.AccessKeyID, n.SecretAccessKey), nil
	}
	config, err := trusting(n.Gateway.CA)
	return S3(n.Endpoint, "us-east-1", n.AccessKeyID, n.SecretAccessKey, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	}), err
}
