package proxy

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"partway/auth"
	"partway/auth/sigv4"
	"partway/tracking"
)

// idp is an issuer of web identity tokens.
type idp struct {
	url string
	key ed25519.PrivateKey
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(keys)) }))
	t.Cleanup(server.Close)
	return &idp{server.URL, private}
}

func (p *idp) token(t *testing.T, sub string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"iss": p.url, "aud": "gateway", "sub": sub,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
	token.Header["kid"] = "one"
	text, err := token.SignedString(p.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// foreign lets in p's users "ci-...", by the role ci, into uploads/acme/.
func (p *idp) foreign(t *testing.T) *auth.Foreign {
	t.Helper()
	f, err := auth.NewForeign(auth.ForeignConfig{
		Issuers: []auth.ForeignIssuer{{Issuer: p.url, Audiences: []string{"gateway"}, JWKSURL: p.url + "/keys"}},
		Roles: []auth.Role{{Name: "ci", Issuer: p.url, Conditions: map[string][]string{"sub": {"ci-*"}}, Tenant: "acme",
			Scopes: []auth.Scope{{Bucket: "uploads", Prefix: "${tenant}/", Actions: []string{"s3:*"}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func assumeBody(token string, more ...string) string {
	form := url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleArn": {"arn:partway:iam:::role/ci"},
		"RoleSessionName": {"run"}, "WebIdentityToken": {token}}
	for i := 0; i+1 < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form.Encode()
}

const stsForms = "application/x-www-form-urlencoded; charset=utf-8"

// stsAsk sends a request as SDKs do: without Authorization, unless headers have one.
func (b *bench) stsAsk(method, path, body string, headers ...string) answer {
	b.t.Helper()
	return b.ask(method, path, body, append([]string{"Authorization", "", "Content-Type", stsForms}, headers...)...)
}

func (a answer) stsCode(t *testing.T) string {
	t.Helper()
	var e struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error     struct{ Type, Code, Message string }
		RequestID string `xml:"RequestId"`
	}
	if err := xml.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("%v: not a refusal of STS: %s", err, a.body)
	}
	if want := map[bool]string{true: "Sender", false: "Receiver"}[a.status < 500]; e.Error.Type != want || e.Error.Message == "" || e.RequestID == "" {
		t.Errorf("%+v", e)
	}
	return e.Error.Code
}

func TestAssumeRoleWithWebIdentity(t *testing.T) {
	p := newIDP(t)
	b := newBenchWith(t, newFakeS3(t), p.foreign(t))
	for name, ask := range map[string]func() answer{
		"body":          func() answer { return b.stsAsk("POST", "/", assumeBody(p.token(t, "ci-1"))) },
		"query":         func() answer { return b.stsAsk("GET", "/?"+assumeBody(p.token(t, "ci-1")), "") },
		"POST by query": func() answer { return b.stsAsk("POST", "/?"+assumeBody(p.token(t, "ci-1")), "") },
	} {
		t.Run(name, func(t *testing.T) {
			a := ask()
			var got assumedRoleAnswer
			if err := xml.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
				t.Fatalf("%d %s: %v", a.status, a.body, err)
			}
			if !strings.Contains(a.body, "<SessionToken></SessionToken>") || a.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%v %s", a.header, a.body)
			}
			if got.Result.Provider != p.url || got.Result.SubjectFromWebIdentityToken != "ci-1" || got.Result.Audience != "gateway" ||
				got.Result.AssumedRoleUser.Arn != "arn:aws:sts::000000000000:assumed-role/ci/run" || got.Metadata.RequestID == "" {
				t.Errorf("%+v", got)
			}
			expires, err := time.Parse(time.RFC3339, got.Result.Credentials.Expiration)
			if left := time.Until(expires); err != nil || left < 59*time.Minute || left > time.Hour {
				t.Errorf("expires in %v, %v", left, err)
			}
			tokens, err := b.store.ListTokens(t.Context(), "acme")
			if err != nil {
				t.Fatal(err)
			}
			id, _, _ := strings.Cut(got.Result.AssumedRoleUser.AssumedRoleID, ":")
			i := slices.IndexFunc(tokens, func(k tracking.Token) bool { return k.ID == id })
			if i < 0 || tokens[i].Class != "key" || tokens[i].Subject != "ci/ci-1" || tokens[i].IssuedBy != p.url+" ci-1" {
				t.Errorf("%s is recorded as %+v", id, tokens)
			}
			events := b.events()
			if e := events[len(events)-1]; e.Operation != "sts:AssumeRoleWithWebIdentity" || e.Outcome != "ok" || e.Tenant != "acme" || e.Subject != "ci/ci-1" || e.TokenID != id {
				t.Errorf("audited as %+v", e)
			}
		})
	}
}

func TestSTSRefuses(t *testing.T) {
	p := newIDP(t)
	b := newBenchWith(t, newFakeS3(t), p.foreign(t))
	good := p.token(t, "ci-1")
	const caller = "Action=GetCallerIdentity&Version=2011-06-15"
	key, err := b.issuer.Issue(auth.Grant{Class: auth.ClassKey, Tenant: "acme", TTL: time.Minute,
		Scopes: []auth.Scope{{Bucket: "uploads", Actions: []string{"s3:*"}}}}, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := b.issuer.Issue(auth.Grant{Class: auth.ClassKey, Tenant: "acme", TTL: time.Hour, Addresses: []string{"203.0.113.0/24"},
		Scopes: []auth.Scope{{Bucket: "uploads", Actions: []string{"s3:*"}}}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name               string
		method, path, body string
		headers            []string
		status             int
		code               string
	}{
		{"no action", "POST", "/", "Version=2011-06-15", nil, 400, "MissingAction"},
		{"nothing", "POST", "/", "", nil, 400, "MissingAction"},
		{"unknown action", "POST", "/", "Action=AssumeRole&Version=2011-06-15", nil, 400, "InvalidAction"},
		{"XML", "POST", "/", "<a/>", []string{"Content-Type", "application/xml"}, 400, "ValidationError"},
		{"body and query", "POST", "/?Action=GetCallerIdentity", assumeBody(good), nil, 400, "ValidationError"},
		{"bad escape", "POST", "/", "Action=%zz", nil, 400, "ValidationError"},
		{"huge", "POST", "/", assumeBody(good) + "&x=" + strings.Repeat("x", maxSTSForm), nil, 400, "MaxMessageLengthExceeded"},
		{"parameter twice", "POST", "/", assumeBody(good) + "&RoleArn=x", nil, 400, "ValidationError"},
		{"signed as well", "POST", "/", assumeBody(good), []string{"Authorization", "Bearer " + b.tenant}, 400, "ValidationError"},
		{"no such role", "POST", "/", assumeBody(good, "RoleArn", "arn:partway:iam:::role/x"), nil, 403, "AccessDenied"},
		{"condition", "POST", "/", assumeBody(p.token(t, "user-1")), nil, 403, "AccessDenied"},
		{"no JWT", "POST", "/", assumeBody("x"), nil, 400, "InvalidIdentityToken"},
		{"a token of our own", "POST", "/", assumeBody(b.tenant), nil, 400, "InvalidIdentityToken"},
		{"policy", "POST", "/", assumeBody(good, "Policy", "{}"), nil, 400, "MalformedPolicyDocument"},
		{"huge policy", "POST", "/", assumeBody(good, "Policy", strings.Repeat(" ", 3000)), nil, 400, "PackedPolicyTooLarge"},
		{"policy that leaves nothing", "POST", "/", assumeBody(good, "Policy",
			`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::other/*"}}`), nil, 400, "MalformedPolicyDocument"},
		{"caller unsigned", "POST", "/", caller, nil, 403, "MissingAuthenticationToken"},
		{"caller by bearer", "POST", "/", caller, []string{"Authorization", "Bearer " + b.tenant}, 400, "IncompleteSignature"},
		{"caller signed for S3", "POST", "/", caller, signedHeaders(b, key, "s3", caller), 400, "IncompleteSignature"},
		{"caller from an address that its key is not for", "POST", "/", caller, signedHeaders(b, elsewhere, "sts", caller), 403, "AccessDenied"},
		{"caller's key expired", "POST", "/", caller, signedHeaders(b, key, "sts", caller), 403, "ExpiredToken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := b.stsAsk(c.method, c.path, c.body, c.headers...)
			if code := a.stsCode(t); a.status != c.status || code != c.code {
				t.Errorf("%d %s, want %d %s: %s", a.status, code, c.status, c.code, a.body)
			}
		})
	}
	// Whoever proved nothing is counted and leaves no event of its own.
	for _, e := range b.events() {
		if e.Tenant == "" {
			t.Errorf("%+v", e)
		}
	}
	if len(b.gateway.refusals.counts) == 0 {
		t.Error("no refusal was counted")
	}
}

// signedHeaders are the pairs that sign body for a service, as SDKs do: with no x-amz-content-sha256.
func signedHeaders(b *bench, key *auth.Issued, service, body string) []string {
	sum := sha256.Sum256([]byte(body))
	now := time.Now().UTC()
	date := now.Format(sigv4.TimeFormat)
	s := sigv4.Signer{AccessKeyID: key.Token, Secret: key.Secret, Region: "us-east-1", Service: service}
	authorization := s.SignHeader(&sigv4.Request{Method: "POST", Path: "/", Payload: hex.EncodeToString(sum[:]),
		Headers: []sigv4.Header{{Name: "host", Value: strings.TrimPrefix(b.url, "http://")}, {Name: "x-amz-date", Value: date}}}, now)
	return []string{"Authorization", authorization, "X-Amz-Date", date}
}

func TestGetCallerIdentity(t *testing.T) {
	b := newBench(t)
	key, err := b.issuer.Issue(auth.Grant{Class: auth.ClassKey, Tenant: "acme", Subject: "ci/<run>", TTL: time.Hour,
		Scopes: []auth.Scope{{Bucket: "uploads", Actions: []string{"s3:*"}}}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	const body = "Action=GetCallerIdentity&Version=2011-06-15"
	a := b.stsAsk("POST", "/", body, signedHeaders(b, key, "sts", body)...)
	var got callerIdentityAnswer
	if err := xml.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	if got.Result.Account != "000000000000" || got.Result.UserID != key.ID || got.Result.Arn != "arn:aws:sts::000000000000:assumed-role/acme/ci/<run>" {
		t.Errorf("%+v", got)
	}
	if events := b.events(); len(events) != 1 || events[0].Operation != "sts:GetCallerIdentity" || events[0].Tenant != "acme" || events[0].TokenID != key.ID {
		t.Errorf("audited as %+v", events)
	}
	altered := b.stsAsk("POST", "/", body+"&x=y", signedHeaders(b, key, "sts", body)...)
	if code := altered.stsCode(t); code != "SignatureDoesNotMatch" {
		t.Errorf("an altered body: %s", code)
	}
}

// A key that cannot be recorded, or whose event cannot, is not handed out; the refusal keeps STS's form.
func TestAKeyWithoutItsEventIsNotHandedOut(t *testing.T) {
	p := newIDP(t)
	b := newBenchWith(t, newFakeS3(t), p.foreign(t))
	b.store.trailIsAway.Store(true)
	a := b.stsAsk("POST", "/", assumeBody(p.token(t, "ci-1")))
	if code := a.stsCode(t); a.status != 503 || code != "ServiceUnavailable" || strings.Contains(a.body, "SecretAccessKey") {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.store.trailIsAway.Store(false)
}

// The token service answers at the root of the base host alone.
func TestSTSIsAtTheRootOnly(t *testing.T) {
	b := newBench(t)
	for _, path := range []string{"/", "/uploads?Action=GetCallerIdentity", "/uploads/acme/x?Action=GetCallerIdentity"} {
		if a := b.ask("GET", path, ""); strings.Contains(a.body, "sts.amazonaws.com") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

// A foreign token is a bearer as good as ours, for what its role allows.
func TestForeignBearer(t *testing.T) {
	p := newIDP(t)
	b := newBenchWith(t, newFakeS3(t), p.foreign(t))
	foreign := "Bearer " + p.token(t, "ci-1")
	b.want(b.ask("PUT", "/uploads/acme/x", "x", "Authorization", foreign), 200, "")
	b.want(b.ask("PUT", "/uploads/other/x", "x", "Authorization", foreign), 403, "AccessDenied")
	b.want(b.ask("PUT", "/uploads/acme/x", "x", "Authorization", "Bearer "+p.token(t, "user-1")), 403, "InvalidAccessKeyId")
	if a := b.ask("GET", "/_partway/tokens", "", "Authorization", foreign); a.status != 403 {
		t.Errorf("an operator's call: %d %s", a.status, a.body)
	}
}
