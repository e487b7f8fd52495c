package proxy

import (
	"context"
	"net/http"
	"time"

	"partway/auth"
)

// identity is what a token says of its holder, for pages that show it.
type identity struct {
	TokenID   string       `json:"token_id"`
	Tenant    string       `json:"tenant"`
	Subject   string       `json:"subject"`
	Operator  bool         `json:"operator"`
	ExpiresAt time.Time    `json:"expires_at"`
	Scope     []auth.Scope `json:"scope"`
}

// apiWhoAmI tells callers who they are here. A token of another issuer does not say it itself.
func (g *Gateway) apiWhoAmI(_ context.Context, r *Request, _ string) (*Response, error) {
	id := r.Identity
	return jsonReply(http.StatusOK, identity{id.TokenID, id.Tenant, id.Subject, id.Operator, id.ExpiresAt, orEmpty(id.Scopes)}), nil
}
