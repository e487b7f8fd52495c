package auth

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"partway/auth/sigv4"
)

const (
	testIssuer   = "https://gateway.example"
	testAudience = "partway"
	testRegion   = "us-east-1"
	testHost     = "gateway.example"
)

// noon is the time of every test that does not say otherwise.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// world is an issuer and a verifier that trust one another.
type world struct {
	signing  SigningKey
	masters  []MasterKey
	issuer   *Issuer
	verifier *Verifier
	revoked  []Revocation
	now      time.Time // of the verifier's Refresh
	foreign  *Foreign
}

func newWorld(t testing.TB) *world {
	t.Helper()
	signing, err := GenerateSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{signing: signing, now: noon, masters: []MasterKey{
		{Version: 1, Secret: bytes.Repeat([]byte("a"), 32)},
		{Version: 2, Secret: bytes.Repeat([]byte("b"), 32), Active: true},
	}}
	w.issuer, err = NewIssuer(IssuerConfig{Issuer: testIssuer, Audience: testAudience, SigningKeys: []SigningKey{signing}, MasterKeys: w.masters})
	if err != nil {
		t.Fatal(err)
	}
	w.verifier = w.newVerifier(t)
	if err := w.verifier.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) newVerifier(t testing.TB) *Verifier {
	t.Helper()
	v, err := NewVerifier(VerifierConfig{Issuer: testIssuer, Audience: testAudience, Region: testRegion,
		SigningKeys: []SigningKey{w.signing}, MasterKeys: w.masters, Foreign: w.foreign, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
		Revocations: func(context.Context) ([]Revocation, error) { return w.revoked, nil }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func testGrant(class Class) Grant {
	return Grant{Class: class, Tenant: "acme", Subject: "alice", TTL: time.Hour, Scopes: []Scope{
		{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:PutObject", "s3:GetObject"}}}}
}

func (w *world) issue(t testing.TB, class Class) *Issued {
	t.Helper()
	issued, err := w.issuer.Issue(testGrant(class), noon)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func signer(token *Issued) *sigv4.Signer {
	return &sigv4.Signer{AccessKeyID: token.Token, Secret: token.Secret, Region: testRegion, Service: "s3"}
}

const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// put is an UploadPart, unsigned: free headers first, then those that are to be signed.
func put(signed ...sigv4.Header) *Request {
	return &Request{Method: "PUT", Path: "/uploads/acme/a%20key", Query: "partNumber=1&uploadId=abc",
		Headers: append([]sigv4.Header{{Name: "user-agent", Value: "test"}, {Name: "x-partway-transfer", Value: "redirect"},
			{Name: "host", Value: testHost}}, signed...)}
}

func toSign(r *Request, payload string) *sigv4.Request {
	s := &sigv4.Request{Method: r.Method, Path: r.Path, Query: r.Query, Payload: payload}
	for _, h := range r.Headers {
		if h.Name != "user-agent" && h.Name != "x-partway-transfer" {
			s.Headers = append(s.Headers, h)
		}
	}
	return s
}

// signHeader signs r as stock clients do.
func signHeader(r *Request, s *sigv4.Signer, payload string, at time.Time) *Request {
	r.Headers = append(r.Headers,
		sigv4.Header{Name: "x-amz-date", Value: at.UTC().Format(sigv4.TimeFormat)},
		sigv4.Header{Name: "x-amz-content-sha256", Value: payload})
	authorization := s.SignHeader(toSign(r, payload), at)
	r.Headers = append(r.Headers, sigv4.Header{Name: "authorization", Value: authorization})
	return r
}

func presign(r *Request, s *sigv4.Signer, ttl time.Duration, at time.Time) *Request {
	r.Query = s.Presign(toSign(r, sigv4.UnsignedPayload), ttl, at)
	return r
}

// presignPayload presigns r for a payload that the query names.
func presignPayload(r *Request, token *Issued, payload string) *Request {
	presign(r.param("X-Amz-Content-Sha256", payload), signer(token), time.Minute, noon)
	r.Query, _, _ = strings.Cut(r.Query, "&X-Amz-Signature=")
	scope := sigv4.Scope{Date: noon.Format("20060102"), Region: testRegion, Service: "s3"}
	signature, err := sigv4.Signature(sigv4.DeriveKey(token.Secret, scope), toSign(r, payload), noon.Format(sigv4.TimeFormat), scope)
	if err != nil {
		panic(err)
	}
	r.Query += "&X-Amz-Signature=" + signature
	return r
}

func bearer(r *Request, token string) *Request {
	r.Headers = append(r.Headers, sigv4.Header{Name: "authorization", Value: "Bearer " + token})
	return r
}

// with returns r with one header replaced, or added.
func (r *Request) with(name, value string) *Request {
	for i := range r.Headers {
		if r.Headers[i].Name == name {
			r.Headers[i].Value = value
			return r
		}
	}
	r.Headers = append(r.Headers, sigv4.Header{Name: name, Value: value})
	return r
}

func (r *Request) without(name string) *Request {
	var kept []sigv4.Header
	for _, h := range r.Headers {
		if h.Name != name {
			kept = append(kept, h)
		}
	}
	r.Headers = kept
	return r
}

// edit changes the value of one header.
func (r *Request) edit(name, old, new string) *Request {
	for i := range r.Headers {
		if r.Headers[i].Name == name {
			if !strings.Contains(r.Headers[i].Value, old) {
				panic("no " + old + " in " + name)
			}
			r.Headers[i].Value = strings.Replace(r.Headers[i].Value, old, new, 1)
		}
	}
	return r
}

// param sets a parameter of the query, "" removing it.
func (r *Request) param(name, value string) *Request {
	q, err := url.ParseQuery(r.Query)
	if err != nil {
		panic(err)
	}
	q.Del(name)
	if value != "" {
		q.Set(name, value)
	}
	r.Query = q.Encode()
	return r
}
