package proxy

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"partway/auth"
	"partway/auth/sigv4"
	"partway/tracking"
)

const apiPrefix = "/_partway/"

// openAPI describes the JSON API to programs. It is made of the rows and types here, by a test (go test ./proxy -run TestOpenAPI -update).
//
//go:embed openapi.json
var openAPI []byte

var jsonType = sigv4.Header{Name: "content-type", Value: "application/json"}

type apiError struct {
	Code      string `json:"code"`
	Message   string `json:"message"`
	RequestID string `json:"request_id"`

	// Error tells a refusal from an answer to clients that do not look at the status, which is 200 when a Complete took long: Uppy's way.
	Error *apiErrorCode `json:"error,omitempty"`
}

type apiErrorCode struct {
	Code string `json:"code"`
}

// page is the form of every list.
type page struct {
	Items      any    `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// isAPI reports whether a request is for the JSON API. On virtual hosts these paths are object keys.
func (r *Request) isAPI() bool { return r.OnBase && strings.HasPrefix(r.Path, apiPrefix) }

// apiRoute is one row of the JSON API. Name is its operation in the audit trail. {id} in Path is one path segment.
type apiRoute struct {
	Method, Path, Name string
	who                apiCaller
	handle             func(*Gateway, context.Context, *Request, string) (*Response, error)
}

// apiCaller says who may call a route.
type apiCaller bool

const (
	anyone    apiCaller = false // who is authenticated; a tenant sees its own
	operators apiCaller = true
)

var apiRoutes = []apiRoute{
	{"GET", "whoami", "partway:WhoAmI", anyone, (*Gateway).apiWhoAmI},
	{"GET", "uploads", "partway:ListUploads", anyone, (*Gateway).apiUploads},
	{"GET", "uploads/{id}", "partway:GetUpload", anyone, (*Gateway).apiUpload},
	{"POST", "uploads/{id}/abort", "AbortMultipartUpload", anyone, (*Gateway).apiAbort},
	{"GET", "events", "partway:ListEvents", anyone, (*Gateway).apiEvents},
	{"GET", "usage", "partway:GetUsage", anyone, (*Gateway).apiUsage},
	{"POST", "sign", "partway:Sign", anyone, (*Gateway).apiSign},
	{"POST", "landed", "partway:ReportLanded", anyone, (*Gateway).apiLanded},
	{"POST", "audit/verify", "partway:VerifyEvents", operators, (*Gateway).apiVerify},
	{"GET", "audit/export", "partway:ExportEvents", operators, (*Gateway).apiExport},
	{"POST", "tenants/{id}/erase", "partway:EraseTenant", operators, (*Gateway).apiErase},
	{"GET", "metrics", "partway:GetMetrics", operators, (*Gateway).apiMetrics},
	{"GET", "tokens", "partway:ListTokens", operators, (*Gateway).apiTokens},
	{"POST", "tokens", "partway:IssueToken", operators, (*Gateway).apiIssue},
	{"POST", "tokens/{id}/revoke", "partway:RevokeToken", operators, (*Gateway).apiRevokeToken},
	{"POST", "tenants/{id}/revoke", "partway:RevokeTenant", operators, (*Gateway).apiRevokeTenant},
	{"POST", "tenants/{id}/freeze", "partway:FreezeTenant", operators, (*Gateway).apiFreeze},
	{"POST", "tenants/{id}/thaw", "partway:ThawTenant", operators, (*Gateway).apiThaw},
	{"POST", "keys/{id}/revoke", "partway:RevokeKey", operators, (*Gateway).apiRevokeKey},
}

// api finds the row of an authenticated request.
func (g *Gateway) api(ctx context.Context, r *Request) (*Response, error) {
	r.Event.Bucket, r.Event.Key = "", ""
	if r.Proof.Mechanism != auth.MechanismBearer {
		return nil, errInvalidRequest.saying("The API under " + apiPrefix + " takes bearer tokens only.")
	}
	path, known := strings.TrimPrefix(r.Path, apiPrefix), false
	if call, ok := strings.CutPrefix(path, companionPrefix); ok {
		return g.companion(ctx, r, call)
	}
	for _, route := range apiRoutes {
		id, ok := matchPath(route.Path, path)
		if !ok {
			continue
		}
		known = true
		if route.Method == r.Method {
			r.Event.Operation = route.Name
			if route.Method != http.MethodGet {
				r.Event.Target = id
			}
			if route.who == operators && !r.Identity.Operator {
				return nil, errAccessDenied.saying("This is for operators.")
			}
			return route.handle(g, ctx, r, id)
		}
	}
	r.Event.Operation = opUnknownCall
	if known {
		return nil, errMethodNotAllowed
	}
	return nil, errNotFound
}

// matchPath compares a row's path with a request's, and returns the segment in {id}'s place, decoded.
func matchPath(pattern, path string) (id string, ok bool) {
	before, after, wild := strings.Cut(pattern, "{id}")
	if !wild {
		return "", pattern == path
	}
	id, ok = strings.CutPrefix(path, before)
	if ok {
		id, ok = strings.CutSuffix(id, after)
	}
	if !ok || id == "" || strings.Contains(id, "/") {
		return "", false
	}
	id, err := url.PathUnescape(id)
	return id, err == nil
}

// openRoute returns the handler of the few paths that need no token.
func (g *Gateway) openRoute(r *Request) func(context.Context) (*Response, error) {
	if !r.isAPI() || r.Method != http.MethodGet {
		return nil
	}
	switch strings.TrimPrefix(r.Path, apiPrefix) {
	case "health":
		return func(context.Context) (*Response, error) {
			return jsonReply(http.StatusOK, map[string]string{"status": "ok"}), nil
		}
	case "ready":
		return func(ctx context.Context) (*Response, error) { return jsonReply(g.readiness(ctx)), nil }
	case "jwks.json":
		return func(context.Context) (*Response, error) {
			return &Response{Status: http.StatusOK, Headers: headers(jsonType), Body: g.JWKS}, nil
		}
	case "web.json":
		return g.webConfig
	case "openapi.json":
		return func(context.Context) (*Response, error) {
			return &Response{Status: http.StatusOK, Headers: headers(jsonType), Body: openAPI}, nil
		}
	}
	if page, ok := g.page(strings.TrimPrefix(r.Path, apiPrefix)); ok {
		return func(context.Context) (*Response, error) { return page, nil }
	}
	return nil
}

// tenantOf is the tenant whose records a caller may see: its own, or, for operators, the one it asks for ("" for all).
func tenantOf(r *Request) (string, error) {
	asked := r.Query.Get("tenant")
	if r.Identity.Operator || asked == r.Identity.Tenant {
		return asked, nil
	}
	if asked != "" {
		return "", errAccessDenied.saying("Your token sees the records of tenant " + r.Identity.Tenant + " only.")
	}
	return r.Identity.Tenant, nil
}

func (g *Gateway) apiUploads(ctx context.Context, r *Request, _ string) (*Response, error) {
	tenant, err := tenantOf(r)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(r)
	if err != nil {
		return nil, err
	}
	q := tracking.UploadQuery{Tenant: tenant, Bucket: r.Query.Get("bucket"), Prefix: r.Query.Get("prefix"), Limit: limit, Cursor: r.Query.Get("cursor")}
	for _, s := range strings.FieldsFunc(r.Query.Get("state"), func(c rune) bool { return c == ',' }) {
		state := tracking.State(s)
		if !state.Known() { // else a misspelt one would look like "there are none"
			return nil, errInvalidArgument.saying("There is no state " + strconv.Quote(s) + ".")
		}
		q.States = append(q.States, state)
	}
	only, err := flagOf(r, "stalled")
	if err != nil {
		return nil, err
	}
	progress, err := flagOf(r, "progress")
	if err != nil {
		return nil, err
	}
	withProgress := progress != nil && *progress
	if only == nil && !withProgress {
		items, next, err := g.Store.ListUploads(ctx, q)
		if err != nil {
			return nil, err
		}
		return jsonReply(http.StatusOK, page{orEmpty(items), next}), nil
	}
	items, next, err := g.standings(ctx, q, only)
	if err != nil {
		return nil, err
	}
	if withProgress {
		return jsonReply(http.StatusOK, page{g.withProgress(ctx, items), next}), nil
	}
	return jsonReply(http.StatusOK, page{orEmpty(items), next}), nil
}

// apiUpload is one record and, while there is one, its ledger.
func (g *Gateway) apiUpload(ctx context.Context, r *Request, id string) (*Response, error) {
	u, err := g.Store.Upload(ctx, id)
	if err != nil {
		return nil, asNoSuchUpload(err)
	}
	if !r.Identity.Operator && u.Tenant != r.Identity.Tenant {
		return nil, errNoSuchUpload // another tenant's is answered like one that never was
	}
	stalled, err := g.stalled(ctx, u)
	if err != nil {
		return nil, err
	}
	out := struct {
		*tracking.Upload
		Stalled bool            `json:"stalled"`
		Ledger  []tracking.Part `json:"ledger"`
	}{Upload: u, Stalled: stalled, Ledger: []tracking.Part{}}
	if s, err := g.Sessions.Session(ctx, id); err == nil && s.Parts != nil {
		out.Ledger = s.Parts
	}
	return jsonReply(http.StatusOK, out), nil
}

func (g *Gateway) apiMetrics(context.Context, *Request, string) (*Response, error) {
	families, err := prometheus.Gatherer(g.Registry).Gather()
	if err != nil {
		return nil, errInternal.because(err)
	}
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			return nil, errInternal.because(err)
		}
	}
	return reply(http.StatusOK, text.Bytes(), "content-type", string(expfmt.NewFormat(expfmt.TypeTextPlain))), nil
}

func limitOf(r *Request) (int, error) {
	s := r.Query.Get("limit")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1000 {
		return 0, errInvalidArgument.saying("limit must be a number from 1 to 1000.")
	}
	return n, nil
}

// flagOf is nil where the query does not say.
func flagOf(r *Request, name string) (*bool, error) {
	switch r.Query.Get(name) {
	case "":
		return nil, nil
	case "true":
		return new(true), nil
	case "false":
		return new(false), nil
	}
	return nil, errInvalidArgument.saying(name + " must be true or false.")
}

func timeOf(r *Request, name string) (time.Time, error) {
	s := r.Query.Get(name)
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, errInvalidArgument.saying(name + " must be a time as RFC 3339 writes it, such as 2026-01-31T15:04:05Z.")
	}
	return t, nil
}

func orEmpty[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

func jsonReply[T any](status int, v T) *Response {
	return &Response{Status: status, Headers: headers(jsonType), Body: mustJSON(v)}
}

// mustJSON marshals one of the API's own types.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("encoding an answer: " + err.Error()) // only a type that cannot be marshalled gets here
	}
	return append(b, '\n')
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set(jsonType.Name, jsonType.Value)
	w.WriteHeader(status)
	_, _ = w.Write(mustJSON(v)) // a client that is gone needs no answer
}
