package auth

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func FuzzForeignToken(f *testing.F) {
	p := newProvider(f, published("ed", "d", "EdDSA"))
	foreign := p.foreign(f, newForeignClock())
	genuine := p.token(f, jwt.SigningMethodEdDSA, "d", testKeys()["ed"])
	f.Add(genuine)
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := foreign.bearer(text, noon); err == nil && text != genuine {
			t.Fatalf("accepted %q", text)
		}
	})
}

// Whatever a provider signs, an identity comes of it only within its tenant's walls and its time.
func FuzzForeignClaims(f *testing.F) {
	p := newProvider(f, published("ed", "d", "EdDSA"))
	foreign := p.foreign(f, newForeignClock())
	f.Add([]byte(`{"sub":"repo:acme/x","owner":"acme","aud":"partway-uploads","iat":1795348800,"exp":1795352400}`))
	f.Add([]byte(`{"sub":["repo:acme/x"],"owner":{"a":1},"aud":[],"iat":1e400,"exp":-1e308,"nbf":null}`))
	f.Fuzz(func(t *testing.T, claims []byte) {
		c := jwt.MapClaims{}
		if json.Unmarshal(claims, &c) != nil || c == nil {
			return
		}
		c["iss"] = p.URL
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, c)
		token.Header["kid"] = "d"
		text, err := token.SignedString(testKeys()["ed"])
		if err != nil {
			return
		}
		id, err := foreign.bearer(text, noon)
		if err != nil {
			return
		}
		sub, _ := c["sub"].(string)
		// Two hours of the role, and the leeway of a clock that is ahead.
		if !strings.HasPrefix(sub, "repo:acme/") || !tenantName.MatchString(id.Tenant) || id.Scopes[0].Prefix != id.Tenant+"/in" ||
			!noon.Before(id.ExpiresAt) || id.ExpiresAt.After(noon.Add(2*time.Hour+clockLeeway)) {
			t.Fatalf("%s gives %+v", claims, id)
		}
	})
}

func FuzzAssumeRole(f *testing.F) {
	f.Add(assumeForm("t", "Policy", policyOf(`"s3:*"`, `"arn:aws:s3:::uploads/*"`), "DurationSeconds", "900").Encode())
	f.Add("Action=a&Version=2011-06-15&RoleArn=%0a&Policy=%7b")
	f.Fuzz(func(t *testing.T, body string) {
		form, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		a, err := ParseAssumeRole(form)
		if err != nil {
			return
		}
		if !roleName.MatchString(a.Role) || a.Token == "" || a.Duration != 0 && (a.Duration < minRoleTTL || a.Duration > maxRoleTTL) ||
			form.Has("Policy") != (a.Policy != nil) || len(form) > 7 {
			t.Fatalf("%q gives %+v", body, a)
		}
	})
}

// A policy never gives what the role does not.
func FuzzPolicy(f *testing.F) {
	f.Add(policyOf(`"s3:PutObject"`, `"arn:aws:s3:::uploads/acme/in/*"`))
	f.Add(policyOf(`["s3:*"]`, `["arn:aws:s3:::uploads","arn:aws:s3:::uploads/a*"]`))
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Effect":"Deny"}}`)
	role := Scope{Bucket: "uploads", Prefix: "acme/", Actions: []string{"s3:PutObject", "s3:GetObject", "s3:ListBucket"}}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy(text)
		if err != nil {
			return
		}
		left, err := p.narrow([]Scope{role})
		if err != nil {
			return
		}
		for _, s := range left {
			if s.Bucket != role.Bucket || !strings.HasPrefix(s.KeyPrefix(), role.Prefix) || s.check(false) != nil {
				t.Fatalf("%s leaves %+v", text, s)
			}
			for _, a := range s.Actions {
				if !slices.Contains(role.Actions, a) || !strings.Contains(text, "s3:") {
					t.Fatalf("%s leaves %+v", text, s)
				}
			}
		}
	})
}

func FuzzJWKS(f *testing.F) {
	f.Add([]byte(`{"keys":[` + jwkJSON(f, published("ec", "e", "")) + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"x","x":"AQ","y":"AQ"},{"kty":"oct","k":"","kid":""}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := parseJWKS(document, foreignAlgorithms)
		if (len(keys) == 0) != (err != nil) {
			t.Fatalf("%v, %v", keys, err)
		}
		for kid, k := range keys {
			if kid == "" || !canDo(k.public, k.algorithm) {
				t.Fatalf("%q: %+v", kid, k)
			}
		}
	})
}
