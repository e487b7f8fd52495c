package auth

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// RFC 8725, line by line: each required claim dropped or altered, each way to choose another key or algorithm.
func TestForeignTokens(t *testing.T) {
	other := newProvider(t, published("rsa2", "other's", "RS256"))
	p := newProvider(t, published("rsa", "r", "RS256"), published("ec", "e", "ES256"), published("ed", "d", "EdDSA"),
		published("rsa2", "pss", "PS256"), published("rsa2", "unnamed", ""))
	role := testRole(p.URL)
	role.Conditions = map[string][]string{"owner": {"acme"}} // so that nothing but what is tested refuses a token
	f, err := NewForeign(ForeignConfig{Issuers: []ForeignIssuer{p.issuer(), {Issuer: other.URL, Audiences: []string{"x"}}},
		Roles: []Role{role}, Transport: p.Client().Transport, Now: newForeignClock().now})
	if err != nil {
		t.Fatal(err)
	}
	rsaDER, err := x509.MarshalPKIXPublicKey(testKeys()["rsa"].Public())
	if err != nil {
		t.Fatal(err)
	}
	ecJWK, err := json.Marshal(jose.JSONWebKey{Key: testKeys()["ec"].Public()})
	if err != nil {
		t.Fatal(err)
	}
	rs256 := func(changes ...func(*jwt.Token, jwt.MapClaims)) string {
		return p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa"], changes...)
	}
	unix := func(d time.Duration) int64 { return noon.Add(d).Unix() }

	for _, c := range []struct {
		name, token string
		want        error
	}{
		{"RS256", rs256(), nil},
		{"ES256", p.token(t, jwt.SigningMethodES256, "e", testKeys()["ec"]), nil},
		{"EdDSA", p.token(t, jwt.SigningMethodEdDSA, "d", testKeys()["ed"]), nil},
		{"PS256", p.token(t, jwt.SigningMethodPS256, "pss", testKeys()["rsa2"]), nil},
		{"key that names no algorithm", p.token(t, jwt.SigningMethodRS256, "unnamed", testKeys()["rsa2"]), nil},
		{"audience among others", rs256(claim("aud", []string{"other", foreignAudience})), nil},
		{"type JWT", rs256(inHeader("typ", "JWT")), nil},
		{"type at+jwt", rs256(inHeader("typ", "application/at+jwt")), nil},
		{"no type", rs256(inHeader("typ", nil)), nil},
		{"no nbf", rs256(claim("nbf", nil)), nil},
		{"29 s early", rs256(claim("nbf", unix(29*time.Second)), claim("iat", unix(29*time.Second))), nil},

		{"without iss", rs256(claim("iss", nil)), ErrToken},
		{"without aud", rs256(claim("aud", nil)), ErrToken},
		{"without sub", rs256(claim("sub", nil)), ErrToken},
		{"without exp", rs256(claim("exp", nil)), ErrToken},
		{"without iat", rs256(claim("iat", nil)), ErrToken},
		{"iss of a stranger", rs256(claim("iss", "https://stranger.example")), ErrToken},
		{"iss of another trusted issuer", rs256(claim("iss", other.URL)), ErrToken},
		{"iss with a slash more", rs256(claim("iss", p.URL+"/")), ErrToken},
		{"iss as a list", rs256(claim("iss", []string{p.URL})), ErrToken},
		{"wrong aud", rs256(claim("aud", "other")), ErrToken},
		{"aud of another trusted issuer", rs256(claim("aud", "x")), ErrToken},
		{"empty aud", rs256(claim("aud", []string{})), ErrToken},
		{"aud that is a number", rs256(claim("aud", 1)), ErrToken},
		{"empty sub", rs256(claim("sub", "")), ErrToken},
		{"sub that is a number", rs256(claim("sub", 1)), ErrToken},
		{"expired", rs256(claim("exp", unix(-time.Second))), ErrExpired},
		{"expires now: no leeway", rs256(claim("exp", unix(0))), ErrExpired},
		{"exp as text", rs256(claim("exp", "4102444800")), ErrToken},
		{"nbf 31 s away", rs256(claim("nbf", unix(31*time.Second))), ErrToken},
		{"nbf as text", rs256(claim("nbf", "0")), ErrToken},
		{"iat 31 s away", rs256(claim("iat", unix(31*time.Second))), ErrToken},

		{"kid of another issuer", p.token(t, jwt.SigningMethodRS256, "other's", testKeys()["rsa2"]), ErrToken},
		{"key of another issuer under a kid of this one", p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa2"]), ErrToken},
		{"unknown kid", p.token(t, jwt.SigningMethodRS256, "new", testKeys()["rsa"]), ErrToken},
		{"kid of another type", rs256(inHeader("kid", 1)), ErrToken},
		{"no kid", rs256(inHeader("kid", nil)), ErrToken},
		{"alg none", p.token(t, jwt.SigningMethodNone, "r", jwt.UnsafeAllowNoneSignatureType), ErrToken},
		{"HS256 with the public key", p.token(t, jwt.SigningMethodHS256, "r", rsaDER), ErrToken},
		{"HS256 with the kid", p.token(t, jwt.SigningMethodHS256, "r", []byte("r")), ErrToken},
		{"RS512 by an RS256 key", p.token(t, jwt.SigningMethodRS512, "r", testKeys()["rsa"]), ErrToken},
		{"PS256 by an RS256 key", p.token(t, jwt.SigningMethodPS256, "r", testKeys()["rsa"]), ErrToken},
		{"RS256 by a PS256 key", p.token(t, jwt.SigningMethodRS256, "pss", testKeys()["rsa2"]), ErrToken},
		{"PS256 by a key that names no algorithm", p.token(t, jwt.SigningMethodPS256, "unnamed", testKeys()["rsa2"]), ErrToken},
		{"ES256 under an RSA kid", p.token(t, jwt.SigningMethodES256, "r", testKeys()["ec"]), ErrToken},
		{"crit", rs256(inHeader("crit", []string{"exp"})), ErrToken},
		{"empty crit", rs256(inHeader("crit", []string{})), ErrToken},
		{"b64 under crit", rs256(inHeader("crit", []string{"b64"}), inHeader("b64", false)), ErrToken},
		{"logout token", rs256(inHeader("typ", "logout+jwt")), ErrToken},
		{"type that is a number", rs256(inHeader("typ", 1)), ErrToken},
		{"its own jwk", p.token(t, jwt.SigningMethodES256, "mine", testKeys()["ec"], inHeader("jwk", json.RawMessage(ecJWK))), ErrToken},
		{"its own jwk under a kid", p.token(t, jwt.SigningMethodRS256, "r", testKeys()["rsa2"], inHeader("jwk", json.RawMessage(ecJWK))), ErrToken},
		{"jku", p.token(t, jwt.SigningMethodRS256, "other's", testKeys()["rsa2"], inHeader("jku", other.URL+"/keys")), ErrToken},
		{"x5u", p.token(t, jwt.SigningMethodRS256, "other's", testKeys()["rsa2"], inHeader("x5u", other.URL+"/keys")), ErrToken},
		{"empty", "", ErrToken},
		{"five parts", rs256() + ".a.b", ErrToken},
		{"a line end", rs256() + "\n", ErrToken},
		{"too long", strings.Repeat("a", maxForeignTokenBytes+1), ErrTokenTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, err := f.bearer(c.token, noon)
			if !errors.Is(err, c.want) || (id == nil) != (err != nil) {
				t.Errorf("%+v, %v; want %v", id, err, c.want)
			}
		})
	}
	if n := other.fetched.Load(); n != 1 {
		t.Errorf("the other issuer's keys were fetched %d times, want once: for the token that says to be its", n)
	}
}

func TestEveryBitOfAForeignTokenCounts(t *testing.T) {
	p := newProvider(t, published("ed", "d", "EdDSA"))
	f := p.foreign(t, newForeignClock())
	text := p.token(t, jwt.SigningMethodEdDSA, "d", testKeys()["ed"].(ed25519.PrivateKey))
	if _, err := f.bearer(text, noon); err != nil {
		t.Fatal(err)
	}
	for i := range text {
		for _, bit := range []byte{1, 2, 4, 8, 16, 32} {
			changed := []byte(text)
			changed[i] ^= bit
			if _, err := f.bearer(string(changed), noon); err == nil {
				t.Fatalf("byte %d may change from %q to %q", i, text[i], changed[i])
			}
		}
	}
}
