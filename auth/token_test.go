package auth

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// forge signs a bearer token whose header and claims were changed; method and key are the issuer's unless changed too.
func (w *world) forge(t *testing.T, change func(token *jwt.Token, c jwt.MapClaims), key any) string {
	t.Helper()
	c := jwt.MapClaims{"iss": testIssuer, "aud": []string{testAudience}, "iat": noon.Unix(), "nbf": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
		"jti": "id", "sub": "alice", "use": "bearer", "tenant": "acme", "mk": 2,
		"scope": []Scope{{Bucket: "uploads", Actions: []string{"s3:*"}}}}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
	token.Header["kid"] = w.signing.KID
	change(token, c)
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(*jwt.Token, jwt.MapClaims) {
		return func(_ *jwt.Token, c jwt.MapClaims) { c[name] = value }
	}
	header := func(name string, value any) func(*jwt.Token, jwt.MapClaims) {
		return func(t *jwt.Token, _ jwt.MapClaims) { t.Header[name] = value }
	}
	type forgery struct {
		name   string
		change func(*jwt.Token, jwt.MapClaims)
		key    any
		want   error
	}
	for _, c := range append([]forgery{
		{"as issued", claim("extra", "ignored"), w.signing.Private, nil},
		{"audience as a string", claim("aud", testAudience), w.signing.Private, nil},
		{"29 s early", claim("nbf", noon.Add(29*time.Second).Unix()), w.signing.Private, nil},
		{"31 s early", claim("nbf", noon.Add(31*time.Second).Unix()), w.signing.Private, ErrToken},
		{"issued 29 s from now", claim("iat", noon.Add(29*time.Second).Unix()), w.signing.Private, nil},
		{"issued 31 s from now", claim("iat", noon.Add(31*time.Second).Unix()), w.signing.Private, ErrToken},
		{"no leeway for the expiry", claim("exp", noon.Unix()), w.signing.Private, ErrExpired},
		{"old master key", claim("mk", 1), w.signing.Private, nil},
		{"unknown master key", claim("mk", 3), w.signing.Private, ErrToken},
		{"issuer", claim("iss", "https://other.example"), w.signing.Private, ErrToken},
		{"audience", claim("aud", []string{"other"}), w.signing.Private, ErrToken},
		{"unknown class", claim("use", "admin"), w.signing.Private, ErrToken},
		{"key class as bearer", claim("use", "key"), w.signing.Private, ErrToken},
		{"no scope", claim("scope", []Scope{}), w.signing.Private, ErrToken},
		{"signed by a stranger", claim("iss", testIssuer), stranger, ErrToken},
		{"unknown kid", header("kid", "other"), w.signing.Private, ErrToken},
		{"kid of another type", header("kid", 1), w.signing.Private, ErrToken},
		{"no kid", func(t *jwt.Token, _ jwt.MapClaims) { delete(t.Header, "kid") }, w.signing.Private, ErrToken},
		{"crit", header("crit", []string{"exp"}), w.signing.Private, ErrToken},
		{"jku is ignored", header("jku", "https://evil.example/jwks"), w.signing.Private, nil},
		{"a stranger's jwk is ignored", header("jwk", map[string]string{"kty": "OKP"}), stranger, ErrToken},
		{"alg none", func(t *jwt.Token, _ jwt.MapClaims) { t.Method, t.Header["alg"] = jwt.SigningMethodNone, "none" }, jwt.UnsafeAllowNoneSignatureType, ErrToken},
		{"HMAC with the public key", func(t *jwt.Token, _ jwt.MapClaims) { t.Method, t.Header["alg"] = jwt.SigningMethodHS256, "HS256" }, []byte(w.signing.Public), ErrToken},
	}, func() (missing []forgery) {
		for _, name := range []string{"iss", "aud", "iat", "nbf", "exp", "jti", "sub", "use", "tenant", "scope", "mk"} {
			missing = append(missing, forgery{"without " + name, func(_ *jwt.Token, c jwt.MapClaims) { delete(c, name) }, w.signing.Private, ErrToken})
		}
		return missing
	}()...) {
		t.Run(c.name, func(t *testing.T) {
			text := w.forge(t, c.change, c.key)
			for range 2 {
				if _, err := w.verifier.token(text, ClassBearer, noon); !errors.Is(err, c.want) {
					t.Errorf("%v, want %v", err, c.want)
				}
			}
		})
	}
	if _, err := w.verifier.token(strings.Repeat("a", maxBearerTokenBytes+1), ClassBearer, noon); !errors.Is(err, ErrTokenTooLong) {
		t.Errorf("a huge token: %v", err)
	}
}

func TestTokenCacheIsBounded(t *testing.T) {
	c := newTokenCache(10)
	kept := &verifiedToken{}
	c.put("kept", kept)
	for i := range 1000 {
		c.put(fmt.Sprint(i), &verifiedToken{})
		if c.get("kept") != kept {
			t.Fatalf("a token in use was forgotten after %d others", i)
		}
		if n := len(c.young) + len(c.old); n > 20 {
			t.Fatalf("%d tokens", n)
		}
	}
	if c.get("1") != nil {
		t.Error("a token that nobody asks for is still there")
	}
}
