package proxy

import (
	"context"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"partway/auth/sigv4"
)

// SignIn is how people sign in to the pages at a provider of OpenID Connect, whose tokens auth.roles lets in. The zero value: with a token of ours alone.
type SignIn struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"client_id"`
	Scope    string `json:"scope"`

	Origins []string `json:"-"` // of its endpoints, where the pages may connect to
}

// page answers for a file of the pages; ok is false where there is none of that name.
func (g *Gateway) page(name string) (resp *Response, ok bool) {
	switch name {
	case "":
		name = "index.html"
	case "console":
		name = "console.html"
	case "index.html", "console.html":
		return nil, false // one address each
	}
	if g.Pages == nil || !fs.ValidPath(name) {
		return nil, false
	}
	body, err := fs.ReadFile(g.Pages, name)
	if err != nil {
		return nil, false
	}
	kind := mime.TypeByExtension(path.Ext(name))
	caching := "no-cache"
	if strings.HasPrefix(name, "assets/") { // whose names change with what is in them
		caching = "public, max-age=31536000, immutable"
	}
	return reply(http.StatusOK, body,
		"content-type", kind, "cache-control", caching, "content-security-policy", g.contentPolicy(), "x-content-type-options", "nosniff",
		"referrer-policy", "no-referrer", "cross-origin-opener-policy", "same-origin", "x-frame-options", "DENY"), true
}

// contentPolicy lets the pages run what the gateway serves and nothing else, and connect to it, to storage and to where people sign in.
func (g *Gateway) contentPolicy() string {
	connect := []string{"'self'"}
	for _, b := range g.Backends {
		connect = append(connect, b.WebOrigin())
	}
	connect = append(connect, g.SignIn.Origins...)
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; worker-src 'self'; connect-src " + strings.Join(connect, " ") +
		"; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
}

// webConfig is what the pages must know before anybody has signed in.
func (g *Gateway) webConfig(context.Context) (*Response, error) {
	var config struct {
		OIDC *SignIn `json:"oidc,omitempty"`
	}
	if g.SignIn.Issuer != "" {
		config.OIDC = &g.SignIn
	}
	resp := jsonReply(http.StatusOK, config)
	resp.Headers = append(resp.Headers, sigv4.Header{Name: "cache-control", Value: "no-store"})
	return resp, nil
}
