package proxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"partway/auth"
	"partway/auth/sigv4"
)

func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		name, peer string
		forwarded  []string // one per header line
		want       string
	}{
		{"direct", "203.0.113.1", nil, "203.0.113.1"},
		{"direct, and says otherwise", "203.0.113.1", []string{"198.51.100.1"}, "203.0.113.1"},
		{"direct, and names a trusted proxy", "203.0.113.1", []string{"198.51.100.1, 10.0.0.1"}, "203.0.113.1"},
		{"trusted without a header", "10.0.0.1", nil, "10.0.0.1"},
		{"behind one", "10.0.0.1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"behind two", "10.0.0.1", []string{"198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"behind two that write lines of their own", "10.0.0.1", []string{"198.51.100.1", "10.0.0.2"}, "198.51.100.1"},
		{"what the client sent stands left", "10.0.0.1", []string{"192.0.2.1, 198.51.100.1"}, "198.51.100.1"},
		{"what the client sent stands above", "10.0.0.1", []string{"192.0.2.1", "198.51.100.1"}, "198.51.100.1"},
		{"the client sent a trusted address", "10.0.0.1", []string{"10.9.9.9, 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"a proxy that is not trusted between", "10.0.0.1", []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
		{"all trusted", "10.0.0.1", []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3"},
		{"IPv6", "fd00::1", []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv4 as IPv6", "10.0.0.1", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"with a port", "10.0.0.1", []string{"198.51.100.1:4711, [fd00::2]:80"}, "198.51.100.1"},
		{"a zone is dropped", "10.0.0.1", []string{"fe80::1%eth0"}, "fe80::1"},
		{"no address", "10.0.0.1", []string{"198.51.100.1, unknown"}, "10.0.0.1"},
		{"no address further left", "10.0.0.1", []string{"unknown, 10.0.0.2"}, "10.0.0.2"},
		{"empty", "10.0.0.1", []string{""}, "10.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			headers := []sigv4.Header{header("host", "gw.test")}
			for _, line := range c.forwarded {
				headers = append(headers, header("x-forwarded-for", line), header("x-real-ip", "192.0.2.99"))
			}
			if got := clientAddress(netip.MustParseAddr(c.peer), trusted, headers); got != netip.MustParseAddr(c.want) {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// issueFrom is a bearer for tenant acme that may be used from one network.
func (b *bench) issueFrom(network string) string {
	b.t.Helper()
	return b.issue(auth.Grant{Class: auth.ClassBearer, Tenant: "acme", TTL: time.Hour, Addresses: []string{network},
		Scopes: []scope{scopeOf("acme", func(*scope) {})}})
}

// The peer of every request here is 127.0.0.1.
func TestATokenIsHeldToItsAddresses(t *testing.T) {
	b := newBench(t)
	elsewhere := "Bearer " + b.issueFrom("203.0.113.0/24")
	ask := func(bearer, forwarded string) answer {
		return b.ask("PUT", "/uploads/acme/a", "x", "Authorization", bearer, "X-Forwarded-For", forwarded)
	}
	b.want(ask("Bearer "+b.issueFrom("127.0.0.0/8"), "203.0.113.7"), 200, "")
	b.want(ask(elsewhere, "203.0.113.7"), 403, "AccessDenied")
	if a := b.ask("GET", "/_partway/uploads", "", "Authorization", elsewhere); a.status != 403 {
		t.Errorf("the API: %d %s", a.status, a.body)
	}
	b.gateway.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	b.want(ask(elsewhere, "203.0.113.7"), 200, "")
	b.want(ask(elsewhere, "203.0.113.7, 198.51.100.1"), 403, "AccessDenied")

	// It was proved who came, so the refusal is an event of its own.
	events := b.events()
	last := events[len(events)-1]
	if last.Outcome != "AccessDenied" || last.Tenant != "acme" || last.TokenID == "" || last.ClientAddress != "198.51.100.1" {
		t.Errorf("%+v", last)
	}
	if n := b.s3.count("put"); n != 2 {
		t.Errorf("storage was asked %d times, want 2", n)
	}
}

// The scheme that a Complete's Location shows is the client's own word only where a trusted proxy speaks for it.
func TestTheSchemeOfALocationIsATrustedProxysWord(t *testing.T) {
	for _, tt := range []struct {
		name    string
		trusted string
		want    string
	}{
		{"anybody", "192.0.2.0/24", "<Location>http://"},
		{"a trusted proxy", "127.0.0.0/8", "<Location>https://"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.gateway.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(tt.trusted)}
			id := b.create("acme/a")
			b.want(b.part("acme/a", id, 1, "body"), 200, "")
			a := b.ask("POST", "/uploads/acme/a?uploadId="+id, partList("body"), "X-Forwarded-Proto", "https")
			if a.status != 200 || !strings.Contains(a.body, tt.want) {
				t.Errorf("%d %s, want %s", a.status, a.body, tt.want)
			}
		})
	}
}
