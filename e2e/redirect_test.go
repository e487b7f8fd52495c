package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

// redirected asks for a redirect.
func redirected(r *http.Request) *http.Request {
	r.Header.Set("x-partway-transfer", "redirect")
	return r
}

// granted sends a part or an object that must be redirected, and returns where to.
func granted(t *testing.T, n *harness.Tenant, r *http.Request) *url.URL {
	t.Helper()
	a := n.Do(t, r)
	location, err := a.Location()
	if a.StatusCode != http.StatusTemporaryRedirect || err != nil {
		t.Errorf("%s %s (%v), want 307", a.Status, a.Text, err)
		return &url.URL{}
	}
	return location
}

func TestTransferDefaultRedirect(t *testing.T) {
	n := ownStack(t, harness.Setup{Config: []string{"transfer: {default: redirect, url_ttl: 90s}"}}).NewTenant(t)
	path, content := file(t, 3*mib)
	target := n.Endpoint + "/" + harness.Bucket + "/" + n.Prefix + "default"
	heads := curl(t, n, "--fail", "-L", "-D", "-", "-T", path, "-H", "Authorization: Bearer "+n.Bearer, target)
	if !strings.HasPrefix(heads, "HTTP/1.1 307") || !strings.Contains(strings.ToLower(heads), "x-partway-transfer: redirect;reason=default") {
		t.Errorf("answers:\n%s", heads)
	}
	if got := n.Do(t, n.Request(t, http.MethodGet, "/"+harness.Bucket+"/"+n.Prefix+"default", "")); got.Text != string(content) {
		t.Errorf("%d bytes back, not the %d sent", len(got.Text), len(content))
	}
	r := n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+n.Prefix+"granted", "x")
	if life := granted(t, n, r).Query().Get("X-Amz-Expires"); life != "90" {
		t.Errorf("the URL lives %s s, want url_ttl", life)
	}
	relay := n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+n.Prefix+"relayed", "x")
	relay.Header.Set("x-partway-transfer", "relay")
	if a := n.Do(t, relay); a.StatusCode != http.StatusOK {
		t.Errorf("relay asked for: %s %s", a.Status, a.Text)
	}
}

// Where a redirect leads is configuration. Nothing that a client says about hosts has a part in it, nor in the audit.
func TestForwardedHeadersAreIgnored(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		r := redirected(n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+n.Prefix+"f", "x"))
		for name, value := range map[string]string{"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1", "Forwarded": "host=evil.example"} {
			r.Header.Set(name, value)
		}
		if location := granted(t, n, r); location.Scheme != "http" || location.Hostname() != "127.0.0.1" {
			t.Errorf("redirected to %s", location)
		}
		for _, e := range events(t, n, "PutObject") {
			if e.Client != "127.0.0.1" {
				t.Errorf("the audit says that %s asked", e.Client)
			}
		}
	})
}

// presign_put signs what is redirected, and holding such a URL lets nobody do more than that identity may.
func TestPresignPutIdentitySignsRedirects(t *testing.T) {
	s := ownStack(t, harness.Setup{Backend: []string{"presign_put: {access_key_id: put-only, secret_access_key: put-only-secret}"}})
	versitygw, err := harness.Tool("bin/versitygw")
	if err != nil {
		t.Fatal(err)
	}
	storage := "http://" + s.ToStorage.Addr()
	if out, err := harness.Run(t.Context(), nil, versitygw, "admin", "--access", harness.StorageKey, "--secret", harness.StorageSecret, "--endpoint-url", storage,
		"create-user", "--access", "put-only", "--secret", "put-only-secret", "--role", "user"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, err = s.Storage.PutBucketPolicy(t.Context(), &s3.PutBucketPolicyInput{Bucket: aws.String(harness.Bucket), Policy: aws.String(`{"Statement":[{
		"Effect":"Allow","Principal":"put-only","Action":["s3:PutObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"Resource":"arn:aws:s3:::uploads/*"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	n := s.NewTenant(t)
	key := n.Prefix + "redirected"
	id := create(t, n, key)
	location := granted(t, n, redirected(n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id, "part")))
	if who := location.Query().Get("X-Amz-Credential"); !strings.HasPrefix(who, "put-only/") {
		t.Errorf("the URL was signed by %s", who)
	}
	if strings.Contains(location.String(), harness.StorageKey) {
		t.Errorf("the URL names the gateway's own identity: %s", location)
	}
	path, _ := file(t, 4)
	etag := lastETag(t, curl(t, n, "--fail", "-D", "-", "-T", path, location.String()))
	if a := complete(t, n, key, id, etag); a.StatusCode != http.StatusOK || a.Code != "" {
		t.Errorf("Complete: %s %s", a.Status, a.Text)
	}
	for _, args := range [][]string{{"-X", "GET"}, {"-X", "PUT", "-H", "x-amz-copy-source: /" + harness.Bucket + "/" + key}} {
		if out := curl(t, n, append(args, "-w", "%{http_code}", "-o", "/dev/null", location.String())...); out != "403" {
			t.Errorf("the URL used with %v: %s, want 403", args, out)
		}
	}
}
