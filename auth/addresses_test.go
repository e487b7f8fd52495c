package auth

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestTokenSaysFromWhereItMayBeUsed(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name      string
		addresses []string
		from      string // "": not known
		allowed   bool
	}{
		{"no list", nil, "198.51.100.1", true},
		{"no list, not known", nil, "", true},
		{"inside", []string{"203.0.113.0/24"}, "203.0.113.255", true},
		{"outside", []string{"203.0.113.0/24"}, "203.0.114.0", false},
		{"the second", []string{"203.0.113.0/24", "198.51.100.7/32"}, "198.51.100.7", true},
		{"IPv4 through an IPv6 socket", []string{"203.0.113.0/24"}, "::ffff:203.0.113.1", true},
		{"IPv6", []string{"2001:db8::/32"}, "2001:db8:1::1", true},
		{"other IPv6", []string{"2001:db8::/32"}, "2001:db9::1", false},
		{"IPv4 for all of IPv6", []string{"::/0"}, "203.0.113.1", false},
		{"not known", []string{"0.0.0.0/0", "::/0"}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := testGrant(ClassBearer)
			g.Addresses = c.addresses
			issued, err := w.issuer.Issue(g, noon)
			if err != nil {
				t.Fatal(err)
			}
			id, _, err := w.verifier.Authenticate(bearer(put(), issued.Token), noon)
			if err != nil {
				t.Fatal(err)
			}
			var from netip.Addr
			if c.from != "" {
				from = netip.MustParseAddr(c.from)
			}
			if err := id.CheckAddress(from); (err == nil) != c.allowed || err != nil && !errors.Is(err, ErrAccessDenied) {
				t.Errorf("allowed %v, want %v: %v", err == nil, c.allowed, err)
			}
		})
	}
}

func TestIssueRefusesAddressesThatWouldNotHold(t *testing.T) {
	w := newWorld(t)
	for _, bad := range []string{"", "203.0.113.7", "203.0.113.7/24", "203.0.113.0/33", "::ffff:203.0.113.0/120", "fe80::%eth0/64", "example.com"} {
		g := testGrant(ClassKey)
		g.Addresses = []string{"198.51.100.0/24", bad}
		if _, err := w.issuer.Issue(g, noon); !errors.Is(err, ErrGrant) {
			t.Errorf("%q: %v, want ErrGrant", bad, err)
		}
	}
}

// A list that cannot be read must not pass for none.
func TestTokenWithAddressesThatCannotBeReadIsRefused(t *testing.T) {
	w := newWorld(t)
	for _, bad := range []any{[]string{"203.0.113.7/24"}, []string{""}, "203.0.113.0/24", []int{1}} {
		token := w.forge(t, func(_ *jwt.Token, c jwt.MapClaims) { c["addresses"] = bad }, w.signing.Private)
		if _, _, err := w.verifier.Authenticate(bearer(put(), token), noon); !errors.Is(err, ErrToken) {
			t.Errorf("%v: %v, want ErrToken", bad, err)
		}
	}
}
