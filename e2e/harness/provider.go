package harness

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Audience of the tokens of a Provider.
const Audience = "partway"

// Provider is an OpenID Connect provider: it serves discovery and keys over https and signs web identity tokens (RS256).
type Provider struct {
	URL string

	mu  sync.Mutex
	kid string
	key *rsa.PrivateKey

	signIn signIn
}

// StartProvider serves until the test ends.
func StartProvider(t testing.TB, c *Certificates) *Provider {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{URL: "https://" + l.Addr().String()}
	p.Rotate(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":%q,"token_endpoint":%q}`, p.URL, p.URL+"/keys", p.URL+"/authorize", p.URL+"/token")
	})
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.exchange)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		kid, key := p.current()
		// 65537, RFC 7518 section 6.3.1.2.
		fmt.Fprintf(w, `{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":%q,"e":"AQAB","n":%q}]}`, kid, encode(key.N.Bytes()))
	})
	server := &http.Server{Handler: p.forPages(mux), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:  log.New(io.Discard, "", 0), // browsers that do not know the CA try without telling
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(l, "", "") }()
	t.Cleanup(func() {
		server.Close()
		<-served
	})
	return p
}

// Rotate replaces the key: only tokens made from now on can be verified with what is published.
func (p *Provider) Rotate(t testing.TB) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kid, p.key = rand.Text(), key
}

func (p *Provider) current() (string, *rsa.PrivateKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kid, p.key
}

// Token is a web identity token, good for ten minutes, with a claim "owner" beside the registered ones.
func (p *Provider) Token(t testing.TB, subject, owner string) string {
	t.Helper()
	token, err := p.token(subject, owner)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (p *Provider) token(subject, owner string) (string, error) {
	kid, key := p.current()
	now := time.Now()
	part := func(v map[string]any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // texts and numbers alone
		}
		return encode(b)
	}
	text := part(map[string]any{"alg": "RS256", "typ": "JWT", "kid": kid}) + "." + part(map[string]any{
		"iss": p.URL, "aud": Audience, "sub": subject, "owner": owner, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()})
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	return text + "." + encode(signature), err
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
