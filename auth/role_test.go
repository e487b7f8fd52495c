package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestRoleConditions(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	for _, c := range []struct {
		name       string
		conditions map[string][]string
		change     func(*jwt.Token, jwt.MapClaims)
		want       error
	}{
		{"exact", map[string][]string{"sub": {"repo:acme/app"}}, nil, nil},
		{"beginning", map[string][]string{"sub": {"repo:acme/*"}}, nil, nil},
		{"anything", map[string][]string{"sub": {"*"}}, nil, nil},
		{"one of two values", map[string][]string{"sub": {"x", "repo:acme/app"}}, nil, nil},
		{"one of a list's elements", map[string][]string{"groups": {"release"}}, nil, nil},
		{"truth", map[string][]string{"email_verified": {"true"}}, claim("email_verified", true), nil},
		{"number", map[string][]string{"project": {"12345678901234567890"}}, claim("project", uint64(12345678901234567890)), nil},
		{"all of several", map[string][]string{"sub": {"repo:acme/*"}, "owner": {"acme"}}, nil, nil},

		{"all but one of several", map[string][]string{"sub": {"repo:acme/*"}, "owner": {"other"}}, nil, ErrToken},
		{"value that begins alike", map[string][]string{"sub": {"repo:acme/ap"}}, nil, ErrToken},
		{"beginning that is longer", map[string][]string{"sub": {"repo:acme/app2*"}}, nil, ErrToken},
		{"other case", map[string][]string{"sub": {"repo:ACME/app"}}, nil, ErrToken},
		{"claim that is not there", map[string][]string{"ref": {"*"}}, nil, ErrToken},
		{"empty claim", map[string][]string{"ref": {"*"}}, claim("ref", ""), ErrToken},
		{"empty list", map[string][]string{"groups": {"*"}}, claim("groups", []string{}), ErrToken},
		{"list in a list", map[string][]string{"groups": {"dev"}}, claim("groups", []any{[]any{"dev"}}), ErrToken},
		{"object", map[string][]string{"groups": {"*"}}, claim("groups", map[string]any{"dev": "dev"}), ErrToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			role := testRole(p.URL)
			role.Conditions = c.conditions
			f := p.foreign(t, newForeignClock(), role)
			var changes []func(*jwt.Token, jwt.MapClaims)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			_, err := f.bearer(p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa"], changes...), noon)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func TestRoleTenant(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	f := p.foreign(t, newForeignClock())
	for _, c := range []struct {
		name   string
		owner  any
		tenant string
	}{
		{"a name", "acme-2", "acme-2"},
		{"longest", strings.Repeat("a", 63), strings.Repeat("a", 63)},
		{"too long", strings.Repeat("a", 64), ""},
		{"upper case is not made lower", "Acme", ""},
		{"slash", "acme/other", ""},
		{"up", "..", ""},
		{"space", "acme ", ""},
		{"line end", "acme\n", ""},
		{"dash first", "-acme", ""},
		{"empty", "", ""},
		{"missing", nil, ""},
		{"list", []string{"acme"}, ""},
		{"number", 7, ""},
		{"placeholder", "${tenant}", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := f.bearer(p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa"], claim("owner", c.owner)), noon)
			if c.tenant == "" {
				if !errors.Is(err, ErrToken) {
					t.Errorf("%+v, %v", id, err)
				}
				return
			}
			if err != nil || id.Tenant != c.tenant || id.Scopes[0].Prefix != c.tenant+"/in" || id.Scopes[1].Prefix != "shared/"+c.tenant+"/" {
				t.Errorf("%+v, %v", id, err)
			}
		})
	}
	if got := f.roles[0].Scopes[0].Prefix; got != "${tenant}/in" {
		t.Errorf("the role itself was changed: %q", got)
	}
}

func TestForeignBearer(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	second := testRole(p.URL)
	second.Name, second.Tenant, second.Conditions = "second", "other", map[string][]string{"sub": {"*"}}
	w := p.world(t, testRole(p.URL), second)
	token := func(changes ...func(*jwt.Token, jwt.MapClaims)) string {
		return p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa"], changes...)
	}
	id, proof, err := w.verifier.Authenticate(bearer(put(), token()), noon)
	if err != nil {
		t.Fatal(err)
	}
	if id.Tenant != "acme" || id.Subject != "ci/repo:acme/app" || id.Operator || id.Class != ClassBearer || len(id.TokenID) < 32 ||
		!id.ExpiresAt.Equal(noon.Add(time.Hour)) || !id.IssuedAt.Equal(noon) || proof.Mechanism != MechanismBearer {
		t.Errorf("%+v, %+v", id, proof)
	}
	if _, err := id.Authorize("s3:PutObject", "uploads", "acme/in/x"); err != nil {
		t.Error(err)
	}
	for _, key := range []string{"acme/x", "acme/inside", "other/in/x"} {
		if _, err := id.Authorize("s3:PutObject", "uploads", key); !errors.Is(err, ErrAccessDenied) {
			t.Errorf("%s: %v", key, err)
		}
	}
	again, _, err := w.verifier.Authenticate(bearer(put(), token()), noon)
	if err != nil || again.TokenID != id.TokenID {
		t.Errorf("the same token again: %+v, %v", again, err)
	}
	if id, _, err := w.verifier.Authenticate(bearer(put(), token(claim("sub", "user:bob"))), noon); err != nil || id.Tenant != "other" {
		t.Errorf("a token for the second role: %+v, %v", id, err)
	}
	// Good for the role's two hours, whatever its issuer says.
	long := token(claim("exp", noon.Add(24*time.Hour).Unix()))
	if id, _, err := w.verifier.Authenticate(bearer(put(), long), noon); err != nil || !id.ExpiresAt.Equal(noon.Add(2*time.Hour)) {
		t.Errorf("a long token: %+v, %v", id, err)
	}
	if _, _, err := w.verifier.Authenticate(bearer(put(), long), noon.Add(2*time.Hour)); !errors.Is(err, ErrExpired) {
		t.Errorf("a long token after the role's life: %v", err)
	}
	// A foreign token is a bearer and nothing else.
	asKey := &Issued{Token: token(), Secret: "s"}
	if _, _, err := w.verifier.Authenticate(signHeader(put(), signer(asKey), emptySHA256, noon), noon); !errors.Is(err, ErrToken) {
		t.Errorf("as an access key id: %v", err)
	}
	if _, _, err := w.verifier.Authenticate(bearer(put(), w.issue(t, ClassBearer).Token), noon); err != nil {
		t.Errorf("a token of our own: %v", err)
	}
	w.revoked = []Revocation{{Tenant: "acme", At: noon}}
	if err := w.verifier.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.verifier.Authenticate(bearer(put(), token()), noon); !errors.Is(err, ErrRevoked) {
		t.Errorf("after the tenant's revocation: %v", err)
	}
	if _, _, err := w.verifier.Authenticate(bearer(put(), token()), noon.Add(defaultMaxStaleness+time.Second)); err == nil {
		t.Error("accepted with revocations that are too old")
	}
}

func TestNoRoleForAForeignBearer(t *testing.T) {
	p := newProvider(t, published("rsa", "r", "RS256"))
	w := p.world(t)
	_, _, err := w.verifier.Authenticate(bearer(put(), p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa"], claim("sub", "repo:evil/app"))), noon)
	if !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), "conditions of no role") {
		t.Error(err)
	}
}

// One issuer's token gets no role of another's, whatever it claims.
func TestRolesKeepIssuersApart(t *testing.T) {
	p, evil := newProvider(t, published("rsa", "r", "RS256")), newProvider(t, published("rsa2", "r", "RS256"))
	f, err := NewForeign(ForeignConfig{Issuers: []ForeignIssuer{p.issuer(), evil.issuer()}, Roles: []Role{testRole(p.URL)},
		Transport: p.Client().Transport, Now: newForeignClock().now})
	if err != nil {
		t.Fatal(err)
	}
	text := evil.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa2"])
	if _, err := f.verify(text, noon); err != nil {
		t.Fatal("not a genuine token:", err)
	}
	if _, err := f.bearer(text, noon); !errors.Is(err, ErrToken) {
		t.Error(err)
	}
}

func TestForeignConfig(t *testing.T) {
	const https = "https://id.example"
	for _, c := range []struct {
		name   string
		change func(*ForeignIssuer, *Role)
		want   string // "": accepted
	}{
		{"as it should be", func(*ForeignIssuer, *Role) {}, ""},
		{"http to localhost", func(i *ForeignIssuer, r *Role) { i.Issuer, r.Issuer = "http://localhost:8080", "http://localhost:8080" }, ""},
		{"http", func(i *ForeignIssuer, r *Role) { i.Issuer, r.Issuer = "http://id.example", "http://id.example" }, "only https"},
		{"http to a name that begins alike", func(i *ForeignIssuer, _ *Role) { i.Issuer = "http://localhost.example" }, "only https"},
		{"no URL", func(i *ForeignIssuer, _ *Role) { i.Issuer = "id.example" }, "not https"},
		{"password in the URL", func(i *ForeignIssuer, _ *Role) { i.Issuer = "https://a:b@id.example" }, "not https"},
		{"keys over http", func(i *ForeignIssuer, _ *Role) { i.JWKSURL = "http://id.example/keys" }, "only https"},
		{"no audience", func(i *ForeignIssuer, _ *Role) { i.Audiences = nil }, "audiences"},
		{"empty audience", func(i *ForeignIssuer, _ *Role) { i.Audiences = []string{""} }, "audiences"},
		{"HS256", func(i *ForeignIssuer, _ *Role) { i.Algorithms = []string{"HS256"} }, "algorithms"},
		{"none", func(i *ForeignIssuer, _ *Role) { i.Algorithms = []string{"none"} }, "algorithms"},
		{"role without a name", func(_ *ForeignIssuer, r *Role) { r.Name = "" }, "name"},
		{"slash in a role's name", func(_ *ForeignIssuer, r *Role) { r.Name = "a/b" }, "name"},
		{"role of an unknown issuer", func(_ *ForeignIssuer, r *Role) { r.Issuer = "https://x.example" }, "not a foreign issuer"},
		{"no condition", func(_ *ForeignIssuer, r *Role) { r.Conditions = nil }, "conditions"},
		{"condition without values", func(_ *ForeignIssuer, r *Role) { r.Conditions = map[string][]string{"sub": nil} }, "conditions"},
		{"empty value", func(_ *ForeignIssuer, r *Role) { r.Conditions = map[string][]string{"sub": {""}} }, "conditions"},
		{"glob in the middle", func(_ *ForeignIssuer, r *Role) { r.Conditions = map[string][]string{"sub": {"repo:*/app"}} }, "conditions"},
		{"two globs", func(_ *ForeignIssuer, r *Role) { r.Conditions = map[string][]string{"sub": {"repo:**"}} }, "conditions"},
		{"tenant of no name", func(_ *ForeignIssuer, r *Role) { r.Tenant = "Acme" }, "tenant"},
		{"no tenant", func(_ *ForeignIssuer, r *Role) { r.Tenant = "" }, "tenant"},
		{"tenant of no claim", func(_ *ForeignIssuer, r *Role) { r.Tenant = "claim:" }, "tenant"},
		{"no scope", func(_ *ForeignIssuer, r *Role) { r.Scopes = nil }, "scope"},
		{"every bucket", func(_ *ForeignIssuer, r *Role) { r.Scopes[0].Bucket = "*" }, "scope 1"},
		{"bucket by tenant", func(_ *ForeignIssuer, r *Role) { r.Scopes[0].Bucket = "${tenant}" }, "scope 1"},
		{"other placeholder", func(_ *ForeignIssuer, r *Role) { r.Scopes[1].Prefix = "${sub}/" }, "scope 2"},
		{"prefix that leaves", func(_ *ForeignIssuer, r *Role) { r.Scopes[1].Prefix = "${tenant}/../x" }, "scope 2"},
		{"longest life", func(_ *ForeignIssuer, r *Role) { r.MaxTTL = 12 * time.Hour }, ""},
		{"longer", func(_ *ForeignIssuer, r *Role) { r.MaxTTL = 12*time.Hour + 1 }, "max_ttl"},
		{"shortest life", func(_ *ForeignIssuer, r *Role) { r.MaxTTL = 15 * time.Minute }, ""},
		{"shorter", func(_ *ForeignIssuer, r *Role) { r.MaxTTL = 15*time.Minute - 1 }, "max_ttl"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, r := ForeignIssuer{Issuer: https, Audiences: []string{"a"}}, testRole(https)
			r.Scopes = slices.Clone(r.Scopes)
			c.change(&i, &r)
			_, err := NewForeign(ForeignConfig{Issuers: []ForeignIssuer{i}, Roles: []Role{r}})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	twice := ForeignConfig{Issuers: []ForeignIssuer{{Issuer: https, Audiences: []string{"a"}}, {Issuer: https, Audiences: []string{"b"}}}}
	if _, err := NewForeign(twice); err == nil {
		t.Error("one issuer twice")
	}
	if _, err := NewForeign(ForeignConfig{Issuers: twice.Issuers[:1], Roles: []Role{testRole(https), testRole(https)}}); err == nil {
		t.Error("one role twice")
	}
	w := newWorld(t)
	own, err := NewForeign(ForeignConfig{Issuers: []ForeignIssuer{{Issuer: testIssuer, Audiences: []string{"a"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewVerifier(VerifierConfig{Issuer: testIssuer, Audience: "a", Region: "r", SigningKeys: []SigningKey{w.signing}, MasterKeys: w.masters,
		Revocations: w.verifier.source, Foreign: own}); err == nil {
		t.Error("our own issuer as a foreign one")
	}
}
