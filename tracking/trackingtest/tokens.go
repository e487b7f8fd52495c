package trackingtest

import (
	"fmt"
	"testing"
	"time"

	"partway/tracking"
)

// token number n was issued n seconds after the epoch.
func token(n int) *tracking.Token {
	at := epoch.Add(time.Duration(n) * time.Second)
	return &tracking.Token{
		ID: fmt.Sprintf("token-%d", n), Class: "key", Tenant: "acme", Subject: "alice", Scope: []byte(`[{"bucket":"uploads"}]`),
		Addresses: []string{"192.0.2.0/24"}, KID: "first", IssuedBy: "operator", CreatedAt: at, ExpiresAt: at.Add(12 * time.Hour),
	}
}

func mustInsertTokens(t *testing.T, s tracking.Tokens, tokens ...*tracking.Token) {
	t.Helper()
	for _, k := range tokens {
		if err := s.InsertToken(t.Context(), k); err != nil {
			t.Fatalf("insert %s: %v", k.ID, err)
		}
	}
}

func mustRevoke(t *testing.T, s tracking.Tokens, rs ...tracking.Revocation) {
	t.Helper()
	for _, r := range rs {
		if err := s.Revoke(t.Context(), r); err != nil {
			t.Fatalf("revoke %+v: %v", r, err)
		}
	}
}

func mustTokens(t *testing.T, s tracking.Tokens, tenant string) []tracking.Token {
	t.Helper()
	list, err := s.ListTokens(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// mustRevocation is the latest revocation that is alive for (tokenID, tenant), or nil.
func mustRevocation(t *testing.T, s tracking.Tokens, tokenID, tenant string) *tracking.Revocation {
	t.Helper()
	list, err := s.Revocations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var latest *tracking.Revocation
	for _, r := range list {
		if r.TokenID == tokenID && r.Tenant == tenant && (latest == nil || r.At.After(latest.At)) {
			latest = &r
		}
	}
	return latest
}

func tokenIDs(tokens []tracking.Token) []string {
	var all []string
	for _, k := range tokens {
		all = append(all, k.ID)
	}
	return all
}

func tokens(t *testing.T, open func(t *testing.T) tracking.Store) {
	now := epoch.Add(time.Minute)

	t.Run("a token reads back as it was written", func(t *testing.T) {
		s := open(t)
		k := token(1)
		k.Operator = true
		mustInsertTokens(t, s, k)
		wantEqual(t, "tokens", mustTokens(t, s, ""), []tracking.Token{*k})
	})
	t.Run("a taken id is refused", func(t *testing.T) {
		s := open(t)
		mustInsertTokens(t, s, token(1))
		other := token(1)
		other.Tenant = "other"
		wantErr(t, s.InsertToken(t.Context(), other), tracking.ErrExists)
		wantEqual(t, "tokens", mustTokens(t, s, ""), []tracking.Token{*token(1)})
	})
	t.Run("newest first, of one tenant or of all", func(t *testing.T) {
		s := open(t)
		longer := token(2)
		longer.Tenant = "acme2"
		mustInsertTokens(t, s, token(3), token(1), longer)
		wantEqual(t, "all", tokenIDs(mustTokens(t, s, "")), []string{"token-3", "token-2", "token-1"})
		wantEqual(t, "acme", tokenIDs(mustTokens(t, s, "acme")), []string{"token-3", "token-1"})
		wantEqual(t, "nobody", tokenIDs(mustTokens(t, s, "nobody")), []string(nil))
	})
	t.Run("revoking a token marks it and is listed", func(t *testing.T) {
		s := open(t)
		mustInsertTokens(t, s, token(1), token(2))
		r := tracking.Revocation{TokenID: "token-1", At: now, ExpiresAt: future()}
		mustRevoke(t, s, r)
		wantEqual(t, "revocation", mustRevocation(t, s, "token-1", ""), &r)
		list := mustTokens(t, s, "acme")
		wantEqual(t, "token-2", list[0].RevokedAt, time.Time{})
		wantEqual(t, "token-1", list[1].RevokedAt, now)
	})
	t.Run("revoking a token again keeps the first time", func(t *testing.T) {
		s := open(t)
		mustInsertTokens(t, s, token(1))
		mustRevoke(t, s, tracking.Revocation{TokenID: "token-1", At: now, ExpiresAt: future()},
			tracking.Revocation{TokenID: "token-1", At: now.Add(time.Minute), ExpiresAt: future()})
		wantEqual(t, "revoked at", mustTokens(t, s, "")[0].RevokedAt, now)
		if mustRevocation(t, s, "token-1", "") == nil {
			t.Fatal("not listed")
		}
	})
	t.Run("revoking an unknown token is not found and records nothing", func(t *testing.T) {
		s := open(t)
		wantErr(t, s.Revoke(t.Context(), tracking.Revocation{TokenID: "nobody", At: now, ExpiresAt: future()}), tracking.ErrNotFound)
		if r := mustRevocation(t, s, "nobody", ""); r != nil {
			t.Fatalf("listed: %+v", r)
		}
	})
	t.Run("revoking a tenant marks its earlier tokens and no others", func(t *testing.T) {
		s := open(t)
		before, at, after, other := token(1), token(2), token(3), token(4)
		at.CreatedAt, after.CreatedAt = now, now.Add(time.Millisecond)
		other.Tenant = "acme2"
		mustInsertTokens(t, s, before, at, after, other)
		r := tracking.Revocation{Tenant: "acme", At: now, ExpiresAt: future()}
		mustRevoke(t, s, r)
		wantEqual(t, "revocation", mustRevocation(t, s, "", "acme"), &r)
		got := map[string]time.Time{}
		for _, k := range mustTokens(t, s, "") {
			got[k.ID] = k.RevokedAt
		}
		wantEqual(t, "revoked", got, map[string]time.Time{"token-1": now, "token-2": {}, "token-3": {}, "token-4": {}})
	})
	t.Run("revoking a tenant keeps the time of tokens revoked before", func(t *testing.T) {
		s := open(t)
		mustInsertTokens(t, s, token(1))
		mustRevoke(t, s, tracking.Revocation{TokenID: "token-1", At: now, ExpiresAt: future()},
			tracking.Revocation{Tenant: "acme", At: now.Add(time.Minute), ExpiresAt: future()})
		wantEqual(t, "revoked at", mustTokens(t, s, "")[0].RevokedAt, now)
	})
	t.Run("a tenant without tokens can be revoked", func(t *testing.T) {
		s := open(t)
		mustRevoke(t, s, tracking.Revocation{Tenant: "offline", At: now, ExpiresAt: future()})
		if mustRevocation(t, s, "", "offline") == nil {
			t.Fatal("not listed")
		}
	})
	t.Run("an earlier revocation of a tenant takes nothing back", func(t *testing.T) {
		s := open(t)
		mustRevoke(t, s, tracking.Revocation{Tenant: "acme", At: now, ExpiresAt: future()},
			tracking.Revocation{Tenant: "acme", At: now.Add(-time.Minute), ExpiresAt: past()})
		r := mustRevocation(t, s, "", "acme")
		if r == nil || !r.At.Equal(now) {
			t.Fatalf("revocation %+v, want At %v", r, now)
		}
	})
	t.Run("a later revocation of a tenant moves it forward", func(t *testing.T) {
		s := open(t)
		mustRevoke(t, s, tracking.Revocation{Tenant: "acme", At: now, ExpiresAt: future()},
			tracking.Revocation{Tenant: "acme", At: now.Add(time.Minute), ExpiresAt: future()})
		wantEqual(t, "at", mustRevocation(t, s, "", "acme").At, now.Add(time.Minute))
	})
	t.Run("revocations end when they expire", func(t *testing.T) {
		s := open(t)
		mustInsertTokens(t, s, token(1), token(2))
		mustRevoke(t, s, tracking.Revocation{TokenID: "token-1", At: now, ExpiresAt: past()},
			tracking.Revocation{Tenant: "gone", At: now, ExpiresAt: past()},
			tracking.Revocation{TokenID: "token-2", At: now, ExpiresAt: future()})
		list, err := s.Revocations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != 1 || list[0].TokenID != "token-2" {
			t.Fatalf("revocations %+v, want that of token-2 alone", list)
		}
	})
	t.Run("revoking a key marks the tokens that it signed, whenever that was", func(t *testing.T) {
		s := open(t)
		before, after, other := token(1), token(2), token(3)
		after.CreatedAt, after.Tenant, other.KID = now.Add(time.Minute), "acme2", "second"
		mustInsertTokens(t, s, before, after, other)
		r := tracking.Revocation{KID: "first", At: now, ExpiresAt: future()}
		mustRevoke(t, s, r)
		list, err := s.Revocations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "revocations", list, []tracking.Revocation{r})
		got := map[string]time.Time{}
		for _, k := range mustTokens(t, s, "") {
			got[k.ID] = k.RevokedAt
		}
		wantEqual(t, "revoked", got, map[string]time.Time{"token-1": now, "token-2": now, "token-3": {}})
	})
	t.Run("a freeze is listed until it is lifted, and marks no token", func(t *testing.T) {
		s := open(t)
		mustInsertTokens(t, s, token(1))
		freeze := tracking.Revocation{Tenant: "acme", Freeze: true, At: now, ExpiresAt: future()}
		mustRevoke(t, s, freeze, freeze)
		list, err := s.Revocations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "revocations", list, []tracking.Revocation{freeze})
		wantEqual(t, "revoked at", mustTokens(t, s, "")[0].RevokedAt, time.Time{})
		for range 2 {
			if err := s.Thaw(t.Context(), "acme"); err != nil {
				t.Fatal(err)
			}
		}
		if r := mustRevocation(t, s, "", "acme"); r != nil {
			t.Fatalf("still listed: %+v", r)
		}
	})
	t.Run("thawing a tenant lifts nothing else", func(t *testing.T) {
		s := open(t)
		mustRevoke(t, s, tracking.Revocation{Tenant: "acme", At: now, ExpiresAt: future()},
			tracking.Revocation{Tenant: "acme", Freeze: true, At: now, ExpiresAt: future()},
			tracking.Revocation{Tenant: "acme2", Freeze: true, At: now, ExpiresAt: future()})
		if err := s.Thaw(t.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if r := mustRevocation(t, s, "", "acme"); r == nil || r.Freeze {
			t.Fatalf("of acme: %+v, want the revocation alone", r)
		}
		if r := mustRevocation(t, s, "", "acme2"); r == nil || !r.Freeze {
			t.Fatalf("of acme2: %+v, want its freeze", r)
		}
	})
	t.Run("a revocation names one thing", func(t *testing.T) {
		s := open(t)
		for _, r := range []tracking.Revocation{
			{}, {Freeze: true}, {TokenID: "token-1", Tenant: "acme"}, {TokenID: "token-1", KID: "first"}, {Tenant: "acme", KID: "first"},
			{KID: "first", Freeze: true}, {TokenID: "token-1", Freeze: true},
		} {
			r.At, r.ExpiresAt = now, future()
			if err := s.Revoke(t.Context(), r); err == nil {
				t.Errorf("taken: %+v", r)
			}
		}
		if list, err := s.Revocations(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("recorded: %+v, %v", list, err)
		}
	})
	t.Run("a token and a tenant of one name are apart", func(t *testing.T) {
		s := open(t)
		k := token(1)
		k.ID = "acme"
		mustInsertTokens(t, s, k)
		mustRevoke(t, s, tracking.Revocation{TokenID: "acme", At: now, ExpiresAt: future()})
		if r := mustRevocation(t, s, "", "acme"); r != nil {
			t.Fatalf("the tenant is revoked: %+v", r)
		}
	})
}
