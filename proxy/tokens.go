package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"partway/auth"
	"partway/tracking"
)

// issueRequest is the body of POST /_partway/tokens.
type issueRequest struct {
	Tenant     string       `json:"tenant"`
	Subject    string       `json:"subject"`
	Class      auth.Class   `json:"class"`
	TTLSeconds int64        `json:"ttl_seconds"`
	Scope      []auth.Scope `json:"scope"`
	Operator   bool         `json:"operator"`
	Addresses  []string     `json:"addresses"`
}

// issuedToken is its answer: the only time that the secret is seen.
type issuedToken struct {
	ID              string     `json:"id"`
	Class           auth.Class `json:"class"`
	Tenant          string     `json:"tenant"`
	ExpiresAt       time.Time  `json:"expires_at"`
	AccessKeyID     string     `json:"access_key_id,omitempty"`
	SecretAccessKey string     `json:"secret_access_key,omitempty"`
	Bearer          string     `json:"bearer,omitempty"`
}

func (g *Gateway) apiIssue(ctx context.Context, r *Request, _ string) (*Response, error) {
	var ask issueRequest
	d := json.NewDecoder(bytes.NewReader(r.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&ask); err != nil {
		return nil, errInvalidArgument.saying("The body is not a token request: " + err.Error())
	}
	if ask.TTLSeconds <= 0 || ask.TTLSeconds > int64(time.Duration(1<<63-1)/time.Second) {
		return nil, errInvalidArgument.saying("ttl_seconds must be a positive number of seconds.")
	}
	issued, err := g.Issuer.Issue(auth.Grant{Class: ask.Class, Tenant: ask.Tenant, Subject: ask.Subject, Operator: ask.Operator,
		Scopes: ask.Scope, Addresses: ask.Addresses, TTL: time.Duration(ask.TTLSeconds) * time.Second}, g.Now())
	if err != nil {
		return nil, err
	}
	r.Event.Target = issued.ID
	if err := g.Store.InsertToken(ctx, TokenRecord(issued, r.Identity.Subject)); err != nil {
		return nil, err // not handed out, so it cannot be used
	}
	out := issuedToken{ID: issued.ID, Class: issued.Class, Tenant: issued.Tenant, ExpiresAt: issued.ExpiresAt}
	if issued.Class == auth.ClassBearer {
		out.Bearer = issued.Token
	} else {
		out.AccessKeyID, out.SecretAccessKey = issued.Token, issued.Secret
	}
	return jsonReply(http.StatusOK, out), nil
}

// TokenRecord is what is remembered of a token that was issued; never its secret.
func TokenRecord(t *auth.Issued, issuedBy string) *tracking.Token {
	return &tracking.Token{ID: t.ID, Class: string(t.Class), Tenant: t.Tenant, Subject: t.Subject, Operator: t.Operator,
		Scope: mustJSON(t.Scopes), Addresses: t.Addresses, KID: t.KID, IssuedBy: issuedBy, CreatedAt: t.IssuedAt, ExpiresAt: t.ExpiresAt}
}

// listedToken is a token's record in a list.
type listedToken struct {
	tracking.Token
	Scope json.RawMessage `json:"scope"`
}

func (g *Gateway) apiTokens(ctx context.Context, r *Request, _ string) (*Response, error) {
	tokens, err := g.Store.ListTokens(ctx, r.Query.Get("tenant"))
	if err != nil {
		return nil, err
	}
	items := make([]listedToken, len(tokens))
	for i, t := range tokens {
		items[i] = listedToken{t, t.Scope}
	}
	return jsonReply(http.StatusOK, page{Items: items}), nil
}
