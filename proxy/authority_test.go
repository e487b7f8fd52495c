package proxy

import (
	"context"
	"testing"
	"time"

	"partway/auth"
	"partway/auth/sigv4"
)

type scope = auth.Scope

// scopeOf is everything under a prefix of the bucket uploads, changed.
func scopeOf(prefix string, change func(*scope)) scope {
	s := scope{Bucket: "uploads", Prefix: prefix, Actions: []string{"s3:*"}}
	change(&s)
	return s
}

func identityUntil(t time.Time) *auth.Identity { return &auth.Identity{ExpiresAt: t} }

func header(name, value string) sigv4.Header { return sigv4.Header{Name: name, Value: value} }

var benchMaster = []byte("a master key that nobody but this test has")

func newAuthority(t *testing.T, foreign *auth.Foreign) (*auth.Verifier, *auth.Issuer, *auth.Sealer) {
	t.Helper()
	key, err := auth.GenerateSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	signing := []auth.SigningKey{key}
	masters := []auth.MasterKey{{Version: 1, Secret: benchMaster, Active: true}}
	verifier, err := auth.NewVerifier(auth.VerifierConfig{Issuer: "partway", Audience: "partway", Region: "us-east-1", SigningKeys: signing, MasterKeys: masters, Foreign: foreign, MaxStaleness: 1000 * time.Hour,
		Revocations: func(context.Context) ([]auth.Revocation, error) { return nil, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.Refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
	issuer, err := auth.NewIssuer(auth.IssuerConfig{Issuer: "partway", Audience: "partway", SigningKeys: signing, MasterKeys: masters})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := auth.NewSealer(masters)
	if err != nil {
		t.Fatal(err)
	}
	return verifier, issuer, sealer
}
