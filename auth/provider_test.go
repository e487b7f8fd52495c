package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const foreignAudience = "partway-uploads"

// provider is an OpenID Connect provider on https.
type provider struct {
	*httptest.Server
	fetched atomic.Int64            // answers with keys
	gate    chan struct{}           // of each answer with keys, if not nil
	mu      sync.Mutex              // of what follows
	keys    []jose.JSONWebKey       // published
	answer  http.HandlerFunc        // in place of the keys, if not nil
	config  func(url string) string // the discovery document; nil: as it should be
}

// newProvider publishes keys.
func newProvider(t testing.TB, keys ...jose.JSONWebKey) *provider {
	p := &provider{keys: keys}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		text := `{"issuer":"` + p.URL + `","jwks_uri":"` + p.URL + `/keys"}`
		if p.config != nil {
			text = p.config(p.URL)
		}
		w.Write([]byte(text))
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) {
		p.fetched.Add(1)
		if p.gate != nil {
			<-p.gate
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.answer != nil {
			p.answer(w, r)
			return
		}
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: p.keys})
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

// publish replaces the keys.
func (p *provider) publish(keys ...jose.JSONWebKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = keys
}

// answerWith replaces the answer to whoever asks for keys; nil takes it back.
func (p *provider) answerWith(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = h
}

func (p *provider) issuer() ForeignIssuer {
	return ForeignIssuer{Issuer: p.URL, Audiences: []string{foreignAudience}}
}

// token is a token of p's, changed.
func (p *provider) token(t testing.TB, method jwt.SigningMethod, kid string, key any, changes ...func(*jwt.Token, jwt.MapClaims)) string {
	t.Helper()
	c := jwt.MapClaims{"iss": p.URL, "aud": foreignAudience, "sub": "repo:acme/app", "iat": noon.Unix(), "nbf": noon.Unix(),
		"exp": noon.Add(time.Hour).Unix(), "owner": "acme", "groups": []string{"dev", "release"}}
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = kid
	for _, change := range changes {
		change(token, c)
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func claim(name string, value any) func(*jwt.Token, jwt.MapClaims) {
	return func(_ *jwt.Token, c jwt.MapClaims) {
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
	}
}

func inHeader(name string, value any) func(*jwt.Token, jwt.MapClaims) {
	return func(t *jwt.Token, _ jwt.MapClaims) {
		if value == nil {
			delete(t.Header, name)
		} else {
			t.Header[name] = value
		}
	}
}

// testKeys are made once: RSA takes its time.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := map[string]crypto.Signer{}
	must := func(name string, k crypto.Signer, err error) {
		if err != nil {
			panic(err)
		}
		keys[name] = k
	}
	for _, name := range []string{"rsa", "rsa2"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		must(name, k, err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	must("short", short, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must("ec", ec, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	must("ed", ed, err)
	return keys
})

// published is the public half of a test key as its provider shows it.
func published(name, kid, algorithm string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: testKeys()[name].Public(), KeyID: kid, Algorithm: algorithm, Use: "sig"}
}

func testRole(issuer string) Role {
	return Role{Name: "ci", Issuer: issuer, Conditions: map[string][]string{"sub": {"repo:acme/*"}}, Tenant: "claim:owner", MaxTTL: 2 * time.Hour,
		Scopes: []Scope{{Bucket: "uploads", Prefix: "${tenant}/in", Actions: []string{"s3:PutObject", "s3:AbortMultipartUpload"}, MaxObjectBytes: 1 << 30},
			{Bucket: "uploads", Prefix: "shared/${tenant}/", Actions: []string{"s3:*"}}}}
}

// foreignClock is a clock that tests move.
type foreignClock struct{ at atomic.Pointer[time.Time] }

func newForeignClock() *foreignClock {
	c := &foreignClock{}
	c.set(noon)
	return c
}

func (c *foreignClock) set(t time.Time)         { c.at.Store(&t) }
func (c *foreignClock) advance(d time.Duration) { c.set(c.now().Add(d)) }
func (c *foreignClock) now() time.Time          { return *c.at.Load() }

func (p *provider) foreign(t testing.TB, clock *foreignClock, roles ...Role) *Foreign {
	t.Helper()
	if len(roles) == 0 {
		roles = []Role{testRole(p.URL)}
	}
	f, err := NewForeign(ForeignConfig{Issuers: []ForeignIssuer{p.issuer()}, Roles: roles, Transport: p.Client().Transport, Now: clock.now,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// world is one whose verifier knows p.
func (p *provider) world(t testing.TB, roles ...Role) *world {
	t.Helper()
	w := newWorld(t)
	w.foreign = p.foreign(t, newForeignClock(), roles...)
	w.verifier = w.newVerifier(t)
	if err := w.verifier.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}
