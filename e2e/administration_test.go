package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

// A freeze reaches every gateway within seconds, holds for tokens that are issued later, and is lifted from any of them.
func TestFreezeAndThawOverTwoGateways(t *testing.T) {
	a, b := twoGateways(t)
	partway(t, a.Stack, "token", "freeze", "--tenant", a.Name)
	refused(t, b, awaitRefusal(t, b, b.Keys), 403, "AccessDenied", false)
	refused(t, a, awaitRefusal(t, a, a.Keys), 403, "AccessDenied", false)
	token, err := a.Gateway.Issue(t.Context(), a.Name, "key", time.Hour, harness.Scope{Bucket: harness.Bucket, Prefix: a.Prefix, Actions: []string{"s3:*"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*harness.Tenant{a, b} {
		refused(t, n, listWith(t, n, token.Keys), 403, "AccessDenied", false)
	}

	partway(t, b.Stack, "token", "thaw", "--tenant", a.Name)
	for _, n := range []*harness.Tenant{a, b} {
		for _, keys := range []harness.Keys{n.Keys, token.Keys} {
			awaitService(t, n, keys)
		}
	}
	for _, operation := range []string{"partway:FreezeTenant", "partway:ThawTenant"} {
		if list := partway(t, b.Stack, "audit", "--tenant", "operator"); !strings.Contains(list, operation) {
			t.Errorf("no %s in the audit:\n%s", operation, list)
		}
	}
}

// awaitService asks until a pair of keys that was refused is served.
func awaitService(t *testing.T, n *harness.Tenant, keys harness.Keys) {
	t.Helper()
	err := harness.Await(withTimeout(t, 5*time.Second), "the thaw", nil, func() bool {
		a := listWith(t, n, keys)
		if a.StatusCode != http.StatusOK {
			n.Unauthenticated(a.ID)
		}
		return a.StatusCode == http.StatusOK
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Tokens, secrets and upload ids of before a rotation are good until their key is revoked; then all of the key's tokens end.
func TestRotatedAndRevokedKeys(t *testing.T) {
	s := ownStack(t, harness.Setup{})
	n := s.NewTenant(t)
	kid := kidOf(t, s, n.AccessKeyID)
	key := n.Prefix + "before"
	id := create(t, n, key)
	if err := s.Gateway.Stop(40 * time.Second); err != nil {
		t.Fatal(err)
	}
	partway(t, s, "keys", "rotate", "--config", s.Config)
	if err := s.StartGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Tap.Retarget(s.Gateway.Addr())
	finish(t, n, key, id)

	young, err := s.Gateway.Issue(t.Context(), n.Name, "key", time.Hour, harness.Scope{Bucket: harness.Bucket, Prefix: n.Prefix, Actions: []string{"s3:*"}})
	if err != nil {
		t.Fatal(err)
	}
	if newKID := kidOf(t, s, young.AccessKeyID); newKID == kid {
		t.Fatal("the rotated key signs on")
	}
	partway(t, s, "token", "revoke", "--kid", kid)
	refused(t, n, awaitRefusal(t, n, n.Keys), 400, "InvalidToken", false)
	if a := listWith(t, n, young.Keys); a.StatusCode != http.StatusOK {
		t.Errorf("the new key's token: %s %s", a.Status, a.Text)
	}

	backup := filepath.Join(t.TempDir(), "keys.tar")
	partway(t, s, "keys", "backup", "--config", s.Config, "--out", backup)
}

// kidOf is the key that signed a token.
func kidOf(t *testing.T, s *harness.Stack, token string) string {
	t.Helper()
	said := partway(t, s, "token", "inspect", token)
	_, rest, _ := strings.Cut(said, `"kid": "`)
	kid, _, found := strings.Cut(rest, `"`)
	if !found {
		t.Fatalf("no kid in %s", said)
	}
	return kid
}

// The rate is one for all gateways; without Redis each allows a quarter by itself, and what is over is refused all the same.
func TestRateOverTwoGateways(t *testing.T) {
	const rate = 8
	a, b := twoGatewaysOn(t, harness.Setup{Mongo: harness.SecantusDB, Config: []string{"limits: {requests_per_second: 8}"}})
	served := func(seconds int) (n int) {
		t.Helper()
		for began := time.Now(); time.Since(began) < time.Duration(seconds)*time.Second; {
			for _, g := range []*harness.Tenant{a, b} {
				switch answer := listWith(t, g, g.Keys); answer.StatusCode {
				case http.StatusOK:
					n++
				case http.StatusServiceUnavailable:
					if answer.Code != "SlowDown" || answer.Header.Get("Retry-After") == "" {
						t.Errorf("%s %s, Retry-After %q", answer.Status, answer.Code, answer.Header.Get("Retry-After"))
					}
					g.Unauthenticated(answer.ID) // counted with others in one event
				default:
					t.Errorf("%s %s", answer.Status, answer.Text)
				}
			}
		}
		return n
	}
	// One second's worth at once, and one for each second; the last round may begin just before the end.
	if n := served(3); n < 2*rate || n > 5*rate {
		t.Errorf("%d requests were served in three seconds, at a rate of %d", n, rate)
	}
	a.ToRedis.Cut()
	if n := served(3); n < rate/4 || n > 3*rate {
		t.Errorf("without Redis %d requests were served in three seconds, at a quarter of %d on each gateway", n, rate)
	}
	if err := a.ToRedis.Mend(); err != nil {
		t.Fatal(err)
	}
}

// Who comes from elsewhere is told so and recorded, whatever the client itself says about where it is.
func TestTokenOfOneNetworkBehindATrustedProxy(t *testing.T) {
	for _, c := range []struct {
		name    string
		config  []string
		allowed []string // values of X-Forwarded-For that the token is let in with
		refused []string
	}{
		{"trusted", []string{"server: {trusted_proxies: [127.0.0.0/8]}"},
			[]string{"203.0.113.9", "198.51.100.1, 203.0.113.9", "203.0.113.9, 127.0.0.2"}, []string{"", "203.0.113.9, 198.51.100.1"}},
		{"not trusted", nil, nil, []string{"", "203.0.113.9"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := ownStack(t, harness.Setup{Config: c.config}).NewTenant(t)
			bearer := strings.TrimSpace(partway(t, n.Stack, "token", "issue", "--tenant", n.Name, "--bucket", harness.Bucket, "--prefix", n.Prefix,
				"--actions", "ListBucket", "--addresses", "203.0.113.0/24", "--format", "bearer"))
			ask := func(forwarded string) harness.Answer {
				r := n.Request(t, http.MethodGet, "/"+harness.Bucket+"?list-type=2&prefix="+n.Prefix, "")
				r.Header.Set("Authorization", "Bearer "+bearer)
				if forwarded != "" {
					r.Header.Set("X-Forwarded-For", forwarded)
				}
				return n.Do(t, r)
			}
			for _, forwarded := range c.allowed {
				if a := ask(forwarded); a.StatusCode != http.StatusOK {
					t.Errorf("X-Forwarded-For %q: %s %s", forwarded, a.Status, a.Text)
				}
			}
			for _, forwarded := range c.refused {
				refused(t, n, ask(forwarded), 403, "AccessDenied", true)
			}
		})
	}
}

func TestConnectionsPerAddress(t *testing.T) {
	const most = 3
	s := ownStack(t, harness.Setup{Config: []string{"limits: {connections_per_address: 3}"}})
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}, Timeout: 10 * time.Second}
	for i := range most + 1 {
		c, err := from.DialContext(t.Context(), "tcp", s.Gateway.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, "GET /_partway/health HTTP/1.1\r\nHost: gateway\r\n\r\n") // of one that is closed, the read tells
		line, _ := bufio.NewReader(c).ReadString('\n')
		if served := strings.HasPrefix(line, "HTTP/1.1 200"); served != (i < most) {
			t.Errorf("connection %d: %q", i+1, line)
		}
	}
}
