package proxy

import (
	"net/http"
	"slices"
	"strings"

	"partway/auth/sigv4"
)

// Web pages of the configured origins may call the gateway (https://fetch.spec.whatwg.org/#http-cors-protocol). Each is named exactly. No
// answer ever allows credentials: a caller proves itself by headers that the page sets, never by what its browser would add.

// maxPreflightAge is how long a browser may remember a preflight, in seconds.
const maxPreflightAge = "3600"

var errCORS = &Error{Code: "AccessForbidden", Status: 403, Message: "CORSResponse: This CORS request is not allowed. The gateway's cors.origins does not name this Origin."}

// isPreflight reports whether a browser asks if a page may make a request.
func (r *Request) isPreflight() bool {
	return r.Method == http.MethodOptions && r.Origin != "" && r.HasHeader("access-control-request-method")
}

// preflight answers before anyone is authenticated: a browser asks without credentials.
func (g *Gateway) preflight(r *Request) (*Response, error) {
	r.Event.Operation = opPreflight
	if !slices.Contains(g.CORSOrigins, r.Origin) {
		return nil, errCORS
	}
	resp := reply(http.StatusNoContent, nil, "access-control-allow-methods", "GET, HEAD, PUT, POST, DELETE", "access-control-max-age", maxPreflightAge)
	if asked := r.Header("access-control-request-headers"); asked != "" {
		if strings.ContainsFunc(asked, func(c rune) bool {
			return c != ',' && c != ' ' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
		}) {
			return nil, errInvalidArgument.saying("Access-Control-Request-Headers holds something else than header names.")
		}
		// Every header that matters is either signed or on one of our lists, so it is no page's origin that decides about it.
		resp.Headers = append(resp.Headers, sigv4.Header{Name: "access-control-allow-headers", Value: asked})
	}
	return resp, nil
}

// allowOrigin lets the page that asked read the answer, and keeps caches from giving it to another.
func (g *Gateway) allowOrigin(r *Request, headers []sigv4.Header) []sigv4.Header {
	if len(g.CORSOrigins) == 0 {
		return headers
	}
	if slices.Contains(g.CORSOrigins, r.Origin) {
		var exposed []string
		for _, h := range headers {
			if h.Name == "etag" || h.Name == "retry-after" || strings.HasPrefix(h.Name, "x-amz-") || strings.HasPrefix(h.Name, "x-partway-") {
				exposed = append(exposed, h.Name)
			}
		}
		headers = append(headers, sigv4.Header{Name: "access-control-allow-origin", Value: r.Origin},
			sigv4.Header{Name: "access-control-expose-headers", Value: strings.Join(exposed, ", ")})
	}
	return append(headers, sigv4.Header{Name: "vary", Value: "Origin"})
}
