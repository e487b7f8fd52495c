package config

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"partway/auth"
)

const foreign = `auth:
  issuers:
    - {issuer: "https://id.example", audiences: [partway]}
  roles:
    - name: ci
      issuer: "https://id.example"
      conditions: {sub: "repo:acme/*", verified: true, project: [7, eight]}
      tenant: "claim:owner"
      scope: [{bucket: uploads, prefix: "${tenant}/in", actions: ["s3:PutObject"], force_headers: {x-amz-storage-class: STANDARD}}]
      max_ttl: 2h
`

func TestForeignIssuersAndRoles(t *testing.T) {
	c, err := load(t, works+foreign)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Auth.ForeignIssuers(), []auth.ForeignIssuer{{Issuer: "https://id.example", Audiences: []string{"partway"}}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	want := []auth.Role{{Name: "ci", Issuer: "https://id.example", Tenant: "claim:owner", MaxTTL: 2 * time.Hour,
		Conditions: map[string][]string{"sub": {"repo:acme/*"}, "verified": {"true"}, "project": {"7", "eight"}},
		Scopes: []auth.Scope{{Bucket: "uploads", Prefix: "${tenant}/in", Actions: []string{"s3:PutObject"},
			ForceHeaders: map[string]string{"x-amz-storage-class": "STANDARD"}}}}}
	if got := c.Auth.ForeignRoles(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestForeignRefuses(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"http", "https://id.example\", audiences", "http://id.example\", audiences", "partway.yaml:10: auth.issuers[0]: issuer: \"http://id.example\": only https is safe"},
		{"no audience", "audiences: [partway]", "audiences: []", "auth.issuers[0]: audiences: name at least one"},
		{"own issuer", "{issuer: \"https://id.example\"", "{issuer: partway", "auth.issuers[0].issuer: is auth.issuer"},
		{"unknown key", "audiences: [partway]", "audiences: [partway], secret: x", "partway.yaml:10: auth.issuers[0].secret: unknown key"},
		{"role of nobody", "issuer: \"https://id.example\"\n", "issuer: \"https://x.example\"\n", "is not a foreign issuer that is listed"},
		{"glob in the middle", "repo:acme/*", "repo:*/app", "auth.roles[0]: conditions: sub"},
		{"condition that is a mapping", "verified: true", "verified: {a: b}", "is not text or a list of texts"},
		{"condition without a value", "verified: true", "verified: []", `conditions: claim "verified" has no value`},
		{"tenant", "claim:owner", "Acme", "auth.roles[0]: tenant"},
		{"unknown grant", "bucket: uploads", "bukket: uploads", "unknown key"},
		{"every bucket", "bucket: uploads", "bucket: \"*\"", "auth.roles[0]: scope 1"},
		{"life", "2h", "13h", "auth.roles[0]: max_ttl"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(foreign, tt.old) {
				t.Fatalf("no %q", tt.old)
			}
			if _, err := load(t, works+strings.Replace(foreign, tt.old, tt.new, 1)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
