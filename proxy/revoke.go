package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"partway/auth"
	"partway/tracking"
)

// lasting is the life of a revocation that must not end by itself.
const lasting = 100 * 365 * 24 * time.Hour

var errNoTenant = errInvalidArgument.saying("No tenant can have this name.")

func (g *Gateway) apiRevokeToken(ctx context.Context, r *Request, id string) (*Response, error) {
	return g.revoke(ctx, r, tracking.Revocation{TokenID: id}, g.Issuer.MaxTTL())
}

func (g *Gateway) apiRevokeTenant(ctx context.Context, r *Request, tenant string) (*Response, error) {
	if !auth.ValidTenant(tenant) {
		return nil, errNoTenant
	}
	return g.revoke(ctx, r, tracking.Revocation{Tenant: tenant}, g.Issuer.MaxTTL())
}

// apiRevokeKey ends all that a signing key ever signed, and for as long as the key is listed: whoever stole it can give a token any life.
func (g *Gateway) apiRevokeKey(ctx context.Context, r *Request, kid string) (*Response, error) {
	if !g.Verifier.Knows(kid) {
		return nil, errNotFound.saying("No signing key with this kid is listed here.")
	}
	return g.revoke(ctx, r, tracking.Revocation{KID: kid}, lasting)
}

// apiFreeze refuses every token of a tenant, those issued later included, until apiThaw.
func (g *Gateway) apiFreeze(ctx context.Context, r *Request, tenant string) (*Response, error) {
	if !auth.ValidTenant(tenant) {
		return nil, errNoTenant
	}
	if tenant == r.Identity.Tenant {
		return nil, errInvalidRequest.saying("This is your own tenant: nobody in it could thaw it.")
	}
	return g.revoke(ctx, r, tracking.Revocation{Tenant: tenant, Freeze: true}, lasting)
}

func (g *Gateway) apiThaw(ctx context.Context, r *Request, tenant string) (*Response, error) {
	if !auth.ValidTenant(tenant) {
		return nil, errNoTenant
	}
	if err := g.Store.Thaw(ctx, tenant); err != nil {
		return nil, err
	}
	return jsonReply(http.StatusOK, map[string]time.Time{"thawed_at": g.Now().UTC().Truncate(time.Millisecond)}), nil
}

// revoke records a revocation for as long as what it ends may live; every gateway reads it within seconds.
func (g *Gateway) revoke(ctx context.Context, r *Request, v tracking.Revocation, life time.Duration) (*Response, error) {
	v.At = g.Now().UTC().Truncate(time.Millisecond)
	v.ExpiresAt = v.At.Add(life)
	if err := g.Store.Revoke(ctx, v); err != nil {
		if errors.Is(err, tracking.ErrNotFound) {
			return nil, errNotFound.saying("No token with this id was issued here.")
		}
		return nil, err
	}
	done := "revoked_at"
	if v.Freeze {
		done = "frozen_at"
	}
	return jsonReply(http.StatusOK, map[string]time.Time{done: v.At}), nil
}
