package proxy

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"partway/tracking"
)

func (b *bench) revocations() []tracking.Revocation {
	b.t.Helper()
	list, err := b.store.Revocations(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// kid is that of the bench's only signing key.
func (b *bench) kid() string {
	b.t.Helper()
	header, _, _ := strings.Cut(b.tenant, ".")
	var said struct{ KID string }
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err == nil {
		err = json.Unmarshal(text, &said)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return said.KID
}

func TestAdministration(t *testing.T) {
	const (
		maxTTL  = 90 * 24 * time.Hour
		century = 99 * 365 * 24 * time.Hour
	)
	b := newBench(t)
	kid := b.kid()
	for _, c := range []struct {
		name, path        string
		status            int
		operation, target string
		want              []tracking.Revocation // added to those before; At and ExpiresAt aside
		atLeast           time.Duration         // that it lasts
	}{
		{"tenant", "tenants/acme/revoke", 200, "partway:RevokeTenant", "acme", []tracking.Revocation{{Tenant: "acme"}}, maxTTL},
		{"freeze", "tenants/acme/freeze", 200, "partway:FreezeTenant", "acme", []tracking.Revocation{{Tenant: "acme", Freeze: true}}, century},
		{"key", "keys/" + kid + "/revoke", 200, "partway:RevokeKey", kid, []tracking.Revocation{{KID: kid}}, century},
		{"unknown key", "keys/other%20key/revoke", 404, "partway:RevokeKey", "other key", nil, 0},
		{"unknown token", "tokens/other/revoke", 404, "partway:RevokeToken", "other", nil, 0},
		{"no name of a tenant", "tenants/Acme/freeze", 400, "partway:FreezeTenant", "Acme", nil, 0},
		{"no name of a tenant to revoke", "tenants/a%20b/revoke", 400, "partway:RevokeTenant", "a b", nil, 0},
		{"no name of a tenant to thaw", "tenants/Acme/thaw", 400, "partway:ThawTenant", "Acme", nil, 0},
		{"one's own tenant", "tenants/ops/freeze", 400, "partway:FreezeTenant", "ops", nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			before := len(b.revocations())
			for _, bearer := range []string{b.tenant, b.operator()} {
				status := 403
				if bearer != b.tenant {
					status = c.status
				}
				if a := b.ask("POST", "/_partway/"+c.path, "", "Authorization", "Bearer "+bearer); a.status != status {
					t.Errorf("%d %s, want %d", a.status, a.body, status)
				}
				events := b.events()
				last := events[len(events)-1]
				if last.Operation != c.operation || last.Target != c.target || last.Status != status {
					t.Errorf("event %+v", last)
				}
				if status == 403 && len(b.revocations()) != before {
					t.Fatal("a tenant's token revoked something")
				}
			}
			if n := len(b.revocations()) - before; n != len(c.want) {
				t.Fatalf("%d revocations were added, want %d", n, len(c.want))
			}
			for _, want := range c.want {
				if !b.listed(want, c.atLeast) {
					t.Errorf("%+v for %s is not among %+v", want, c.atLeast, b.revocations())
				}
			}
		})
	}
}

// listed reports whether the revocation is recorded, for that long at least.
func (b *bench) listed(want tracking.Revocation, life time.Duration) bool {
	for _, r := range b.revocations() {
		lasts := !r.ExpiresAt.Before(r.At.Add(life))
		if r.At, r.ExpiresAt = (time.Time{}), (time.Time{}); r == want && lasts {
			return true
		}
	}
	return false
}

func TestThaw(t *testing.T) {
	b := newBench(t)
	operator := "Bearer " + b.operator()
	b.ask("POST", "/_partway/tenants/acme/freeze", "", "Authorization", operator)
	if a := b.ask("POST", "/_partway/tenants/acme/thaw", ""); a.status != 403 || len(b.revocations()) != 1 {
		t.Fatalf("by a tenant: %d %s, %+v", a.status, a.body, b.revocations())
	}
	for range 2 {
		if a := b.ask("POST", "/_partway/tenants/acme/thaw", "", "Authorization", operator); a.status != 200 || len(b.revocations()) != 0 {
			t.Fatalf("%d %s, %+v", a.status, a.body, b.revocations())
		}
	}
	events := b.events()
	if last := events[len(events)-1]; last.Operation != "partway:ThawTenant" || last.Target != "acme" || last.Tenant != "ops" || last.Outcome != "ok" {
		t.Errorf("%+v", last)
	}
}

func TestIssueRecordsFromWhereAndByWhichKey(t *testing.T) {
	b := newBench(t)
	a := b.ask("POST", "/_partway/tokens", `{"tenant":"acme","class":"key","ttl_seconds":60,"addresses":["203.0.113.0/24"],
		"scope":[{"bucket":"uploads","prefix":"acme","actions":["s3:PutObject"]}]}`, "Authorization", "Bearer "+b.operator())
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	tokens, err := b.store.ListTokens(context.Background(), "acme")
	if err != nil || len(tokens) != 1 || tokens[0].KID != b.kid() || len(tokens[0].Addresses) != 1 || tokens[0].Addresses[0] != "203.0.113.0/24" {
		t.Errorf("%+v, %v", tokens, err)
	}
	events := b.events()
	if last := events[len(events)-1]; last.Operation != "partway:IssueToken" || last.Target != tokens[0].ID {
		t.Errorf("%+v", last)
	}
}
