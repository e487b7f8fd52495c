package e2e

import (
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// balancers are the configurations that docs/behind-a-load-balancer.md offers.
var balancers = []struct {
	config string
	server string // section of the gateway's configuration
	ends   bool   // TLS ends at the balancer
	waits  bool   // Expect: 100-continue is left to the gateway
}{
	{"haproxy.cfg", "", true, true},
	{"nginx.conf", "", true, false},
	{"haproxy-passthrough.cfg", ", proxy_protocol: true, tls: {cert_file: CERT, key_file: KEY}", false, true},
	{"nginx-stream.conf", ", proxy_protocol: true, tls: {cert_file: CERT, key_file: KEY}", false, true},
}

// behind is a gateway whose clients all come by way of a balancer.
func behind(t *testing.T, config, server string, ends bool) (*harness.Stack, *harness.Server) {
	t.Helper()
	c, err := harness.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	admin, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	server = strings.NewReplacer("CERT", c.Cert, "KEY", c.Key).Replace(server)
	s := ownStack(t, harness.Setup{Config: []string{"resume: {enabled: true}", "server: {trusted_proxies: [127.0.0.1/32], admin_listen: '" + admin + "'" + server + "}"}})
	setup := harness.BalancerSetup{Config: config, Gateways: []string{s.Gateway.Addr()}}
	if ends {
		setup.Certificates = c
	} else {
		setup.Admin = []string{admin}
	}
	b := started(t)(harness.StartBalancer(t.Context(), s.Dir, setup))
	s.Gateway.Endpoint = "https://" + b.Addr
	if err := s.Gateway.Trust(c.CA); err != nil {
		t.Fatal(err)
	}
	return s, b
}

// Behind each balancer, as docs/behind-a-load-balancer.md sets it up, stock clients upload, the audit knows where they are, and what they say about that
// themselves is not believed.
func TestBehindABalancer(t *testing.T) {
	for _, c := range balancers {
		t.Run(c.config, func(t *testing.T) {
			s, b := behind(t, c.config, c.server, c.ends)
			t.Run("aws-cli", func(t *testing.T) { awsBehind(t, s.NewTenant(t)) })
			t.Run("redirect", func(t *testing.T) { redirectedBehind(t, s.NewTenant(t), c.waits) })
			t.Run("early refusal", func(t *testing.T) { refusedBehind(t, s.NewTenant(t), c.waits) })
			t.Run("stored part", func(t *testing.T) { storedBehind(t, s.UncheckedTenant(t, mayResume), c.waits) })
			t.Run("late refusal", func(t *testing.T) { refusedWhileSending(t, s.NewTenant(t)) })
			t.Run("address", func(t *testing.T) { knownBehind(t, s.NewTenant(t), b.Addr) })
		})
	}
}

func awsBehind(t *testing.T, n *harness.Tenant) {
	path, content := file(t, 12*mib)
	object := "s3://" + harness.Bucket + "/" + n.Prefix + "file"
	n.Aws(t, "s3", "cp", "--only-show-errors", "--metadata", "some_name=value", path, object)
	back := filepath.Join(t.TempDir(), "back")
	n.Aws(t, "s3", "cp", "--only-show-errors", object, back)
	sameFile(t, back, content)
}

func redirectedBehind(t *testing.T, n *harness.Tenant, waits bool) {
	path, content := file(t, 20*mib)
	key := n.Prefix + "redirected"
	id := create(t, n, key)
	before, storage := n.Tap.Up(), n.ToStorage.Up()
	heads := curl(t, n, "--fail", "-L", "-D", "-", "-T", path, "--cacert", n.Gateway.CA,
		"-H", "x-partway-transfer: redirect", "-H", "Authorization: Bearer "+n.Bearer,
		n.Endpoint+"/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id)
	sent, storage := n.Tap.Up()-before, n.ToStorage.Up()-storage
	t.Logf("part of %d bytes: %d to the balancer, %d to storage", len(content), sent, storage)
	if waits && sent > 16<<10 {
		t.Errorf("%d bytes went to the balancer, want a head", sent)
	}
	if storage < int64(len(content)) {
		t.Errorf("%d bytes went to storage for a part of %d", storage, len(content))
	}
	a := complete(t, n, key, id, lastETag(t, heads))
	if a.StatusCode != http.StatusOK || a.Code != "" || !strings.Contains(a.Text, "<Location>https://localhost:") {
		t.Errorf("Complete: %s %s", a.Status, a.Text)
	}
	parts := events(t, n, "UploadPart")
	if len(parts) != 1 || parts[0].Road != "redirect" {
		t.Errorf("UploadPart events: %v, want one redirect", parts)
	}
}

// A refusal arrives although a body is on its way.
func refusedBehind(t *testing.T, n *harness.Tenant, waits bool) {
	path, content := file(t, 20*mib)
	before := n.Tap.Up()
	said := curl(t, n, "-T", path, "--cacert", n.Gateway.CA, "-w", "%{http_code} %{size_upload}", "-H", "Authorization: Bearer "+n.Bearer,
		n.Endpoint+"/"+harness.Bucket+"/other-tenant/object")
	t.Logf("refused after %d of %d bytes", n.Tap.Up()-before, len(content))
	if !strings.Contains(said, "<Code>AccessDenied</Code>") || !strings.Contains(said, "403 ") {
		t.Errorf("answer %s", said)
	}
	if waits && n.Tap.Up()-before > 16<<10 {
		t.Errorf("%d bytes went up before the refusal", n.Tap.Up()-before)
	}
}

// A part that storage has need not travel, where the client hears of it before it sends.
func storedBehind(t *testing.T, n *harness.Tenant, waits bool) {
	w := newWaiting(n)
	w.http.TLSClientConfig = harness.Trusting(t, n.Gateway.CA)
	_, content := file(t, 20*mib)
	key := n.Prefix + "stored"
	w.begin(t, key, content)
	id, _, err := w.create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.part(t.Context(), key, id, 1, content, hashed(content))
	if err != nil || !a.ok() {
		t.Fatalf("%v, %v", a, err)
	}
	t.Logf("stored part: %d of %d bytes were sent again", a.sent, len(content))
	if waits && (a.sent != 0 || a.header.Get("X-Partway-Transfer") != "skip;reason=already-stored") {
		t.Errorf("%d bytes were sent again: %s", a.sent, a.header.Get("X-Partway-Transfer"))
	}
	if a, err = w.complete(t.Context(), key, id, a.header.Get("ETag")); err != nil || !a.ok() {
		t.Errorf("Complete: %v, %v", a, err)
	}
}

// Clients that do not wait are in the middle of a body, and read the refusal all the same.
func refusedWhileSending(t *testing.T, n *harness.Tenant) {
	path, _ := file(t, 20*mib)
	for range 10 {
		said := curl(t, n, "-T", path, "--cacert", n.Gateway.CA, "-w", "%{http_code}", "-H", "Expect:", "-H", "Authorization: Bearer "+n.Bearer,
			n.Endpoint+"/"+harness.Bucket+"/other-tenant/object")
		if !strings.Contains(said, "<Code>AccessDenied</Code>") || !strings.Contains(said, "403") {
			t.Errorf("answer %q", said)
		}
	}
}

// The client is at 127.0.0.9 and claims to be elsewhere.
func knownBehind(t *testing.T, n *harness.Tenant, balancer string) {
	key := n.Prefix + "known"
	path, _ := file(t, 100)
	for i, headers := range [][]string{nil, {"X-Forwarded-For: 203.0.113.9"}, {"X-Forwarded-For: 203.0.113.9, 127.0.0.1", "Forwarded: for=203.0.113.9"}} {
		args := []string{"--fail", "-T", path, "--cacert", n.Gateway.CA, "--interface", "127.0.0.9", "-H", "Authorization: Bearer " + n.Bearer}
		for _, h := range headers {
			args = append(args, "-H", h)
		}
		curl(t, n, append(args, "https://"+balancer+"/"+harness.Bucket+"/"+key+strconv.Itoa(i))...)
	}
	puts := events(t, n, "PutObject")
	if len(puts) != 3 {
		t.Errorf("%d PutObject events, want 3", len(puts))
	}
	for _, e := range puts {
		if e.Client != "127.0.0.9" || e.Road != "relay" {
			t.Errorf("the client was at %s by %s, want 127.0.0.9 by relay", e.Client, e.Road)
		}
	}
}
