package auth

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestIssue(t *testing.T) {
	w := newWorld(t)
	for _, class := range []Class{ClassKey, ClassBearer} {
		t.Run(string(class), func(t *testing.T) {
			g := testGrant(class)
			g.TTL += time.Millisecond
			issued, err := w.issuer.Issue(g, noon.Add(time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			id, err := w.verifier.token(issued.Token, class, noon)
			if err != nil {
				t.Fatal(err)
			}
			want := &Identity{TokenID: issued.ID, Tenant: "acme", Subject: "alice", Class: class, Scopes: g.Scopes, KID: w.signing.KID,
				IssuedAt: noon, ExpiresAt: noon.Add(time.Hour)}
			got := *id.id
			got.IssuedAt, got.ExpiresAt = got.IssuedAt.UTC(), got.ExpiresAt.UTC()
			if !reflect.DeepEqual(&got, want) {
				t.Errorf("identity %+v, want %+v", got, want)
			}
			if issued.Secret != id.secret || (issued.Secret != "") != (class == ClassKey) {
				t.Errorf("secret %q, the verifier's %q", issued.Secret, id.secret)
			}
			if !issued.IssuedAt.Equal(want.IssuedAt) || !issued.ExpiresAt.Equal(want.ExpiresAt) {
				t.Errorf("issued %+v", issued)
			}
		})
	}
	if a, b := w.issue(t, ClassKey), w.issue(t, ClassKey); a.ID == b.ID || a.Secret == b.Secret {
		t.Error("two tokens share an id or a secret")
	}
}

func TestIssueRefuses(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name   string
		change func(g *Grant, s *Scope)
		want   error
	}{
		{"as granted", func(*Grant, *Scope) {}, nil},
		{"no class", func(g *Grant, _ *Scope) { g.Class = "" }, ErrGrant},
		{"no tenant", func(g *Grant, _ *Scope) { g.Tenant = "" }, ErrGrant},
		{"tenant in upper case", func(g *Grant, _ *Scope) { g.Tenant = "Acme" }, ErrGrant},
		{"tenant with a line end", func(g *Grant, _ *Scope) { g.Tenant = "acme\n" }, ErrGrant},
		{"tenant of 64", func(g *Grant, _ *Scope) { g.Tenant = strings.Repeat("a", 64) }, ErrGrant},
		{"tenant of 63", func(g *Grant, _ *Scope) { g.Tenant = strings.Repeat("a", 63) }, nil},
		{"no life", func(g *Grant, _ *Scope) { g.TTL = 0 }, ErrGrant},
		{"under a second", func(g *Grant, _ *Scope) { g.TTL = time.Second - 1 }, ErrGrant},
		{"90 days", func(g *Grant, _ *Scope) { g.TTL = 90 * 24 * time.Hour }, nil},
		{"over 90 days", func(g *Grant, _ *Scope) { g.TTL = 90*24*time.Hour + 1 }, ErrGrant},
		{"bearer of 12 hours", func(g *Grant, _ *Scope) { g.Class, g.TTL = ClassBearer, 12*time.Hour }, nil},
		{"bearer over 12 hours", func(g *Grant, _ *Scope) { g.Class, g.TTL = ClassBearer, 12*time.Hour+1 }, ErrGrant},
		{"no scope", func(g *Grant, _ *Scope) { g.Scopes = nil }, ErrGrant},
		{"no bucket", func(_ *Grant, s *Scope) { s.Bucket = "" }, ErrGrant},
		{"bucket with a slash", func(_ *Grant, s *Scope) { s.Bucket = "a/b" }, ErrGrant},
		{"every bucket", func(_ *Grant, s *Scope) { s.Bucket = "*" }, ErrGrant},
		{"every bucket for an operator", func(g *Grant, s *Scope) { g.Operator, s.Bucket = true, "*" }, nil},
		{"whole bucket", func(_ *Grant, s *Scope) { s.Prefix = "" }, nil},
		{"prefix with ..", func(_ *Grant, s *Scope) { s.Prefix = "acme/../other" }, ErrGrant},
		{"prefix with a leading slash", func(_ *Grant, s *Scope) { s.Prefix = "/acme" }, ErrGrant},
		{"prefix with an empty segment", func(_ *Grant, s *Scope) { s.Prefix = "acme//x" }, ErrGrant},
		{"prefix too long", func(_ *Grant, s *Scope) { s.Prefix = strings.Repeat("a", 1024) }, ErrGrant},
		{"no action", func(_ *Grant, s *Scope) { s.Actions = nil }, ErrGrant},
		{"action without s3:", func(_ *Grant, s *Scope) { s.Actions = []string{"PutObject"} }, ErrGrant},
		{"empty action", func(_ *Grant, s *Scope) { s.Actions = []string{"s3:"} }, ErrGrant},
		{"action that nothing needs", func(_ *Grant, s *Scope) { s.Actions = []string{"s3:PutObjct"} }, ErrGrant},
		{"bucket in capitals", func(_ *Grant, s *Scope) { s.Bucket = "Uploads" }, ErrGrant},
		{"forced header that is none of the object's", func(_ *Grant, s *Scope) { s.ForceHeaders = map[string]string{"host": "h"} }, ErrGrant},
		{"forced copy", func(_ *Grant, s *Scope) { s.ForceHeaders = map[string]string{"x-amz-copy-source": "/b/k"} }, ErrGrant},
		{"forced header in capitals", func(_ *Grant, s *Scope) { s.ForceHeaders = map[string]string{"X-Amz-Storage-Class": "COLD"} }, ErrGrant},
		{"forced header with a bad name", func(_ *Grant, s *Scope) { s.ForceHeaders = map[string]string{"x-amz-meta-a b": "c"} }, ErrGrant},
		{"forced header with a line break", func(_ *Grant, s *Scope) { s.ForceHeaders = map[string]string{"x-amz-meta-a": "b\r\nc: d"} }, ErrGrant},
		{"unknown road", func(_ *Grant, s *Scope) { s.Transfer = []string{"tunnel"} }, ErrGrant},
		{"negative limit", func(_ *Grant, s *Scope) { s.MaxObjectBytes = -1 }, ErrGrant},
		{"over 2 KiB", func(g *Grant, s *Scope) {
			*s = Scope{Bucket: "b12", Prefix: strings.Repeat("a/", 500), Actions: []string{"s3:*"}}
			g.Scopes = append(g.Scopes, *s)
		}, ErrTokenTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := testGrant(ClassKey)
			c.change(&g, &g.Scopes[0])
			issued, err := w.issuer.Issue(g, noon)
			if !errors.Is(err, c.want) || (issued == nil) != (c.want != nil) {
				t.Errorf("%v, %v; want %v", issued, err, c.want)
			}
		})
	}
}

func TestTypicalKeyTokenIsShort(t *testing.T) {
	issued := newWorld(t).issue(t, ClassKey)
	if n := len(issued.Token); n > 700 {
		t.Errorf("%d bytes", n)
	}
	if strings.Contains(issued.Token, "/") {
		t.Error("the token holds a slash, which ends it in a credential")
	}
}

func TestConstructorsRefuseBadKeys(t *testing.T) {
	w := newWorld(t)
	public := w.signing
	public.Private = nil
	idle := w.signing
	idle.Active = false
	short := []MasterKey{{Version: 1, Secret: make([]byte, 31), Active: true}}
	for _, c := range []struct {
		name    string
		signing []SigningKey
		masters []MasterKey
	}{
		{"no signing key", nil, w.masters},
		{"no private half", []SigningKey{public}, w.masters},
		{"none active", []SigningKey{idle}, w.masters},
		{"one kid twice", []SigningKey{w.signing, w.signing}, w.masters},
		{"no kid", []SigningKey{{Private: w.signing.Private, Public: w.signing.Public, Active: true}}, w.masters},
		{"no master key", []SigningKey{w.signing}, nil},
		{"short master key", []SigningKey{w.signing}, short},
		{"version 0", []SigningKey{w.signing}, []MasterKey{{Secret: make([]byte, 32), Active: true}}},
		{"version 256", []SigningKey{w.signing}, []MasterKey{{Version: 256, Secret: make([]byte, 32), Active: true}}},
		{"one version twice", []SigningKey{w.signing}, append(w.masters[1:2:2], w.masters[1])},
		{"two active", []SigningKey{w.signing}, append(w.masters[1:2:2], MasterKey{Version: 3, Secret: make([]byte, 32), Active: true})},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewIssuer(IssuerConfig{Issuer: "i", Audience: "a", SigningKeys: c.signing, MasterKeys: c.masters})
			if err == nil {
				t.Error("NewIssuer took them")
			}
			if fmt.Sprint(c.signing) == fmt.Sprint([]SigningKey{w.signing}) {
				if _, err := NewSealer(c.masters); err == nil {
					t.Error("NewSealer took them")
				}
			}
		})
	}
}
