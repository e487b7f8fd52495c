package proxy

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"partway/auth"
)

// maxSTSForm is more than the longest token and policy take.
const maxSTSForm = 64 << 10

// The operations of AWS's Security Token Service, as the audit trail and metrics know them. That a key was issued is a
// write, by whichever method it was asked for.
var (
	assumeRole     = &Operation{Name: "sts:" + auth.ActionAssumeRoleWithWebIdentity, Method: http.MethodPost}
	callerIdentity = &Operation{Name: "sts:" + auth.ActionGetCallerIdentity, Method: http.MethodGet}
)

// isSTS reports whether a request is for the token service, which SDKs call at the root of AWS_ENDPOINT_URL_STS. All that S3
// has there is ListBuckets, a GET without Action.
func (r *Request) isSTS() bool {
	return r.OnBase && r.Path == "/" && (r.Method == http.MethodPost || r.Method == http.MethodGet && r.Query.Has("Action"))
}

// sts answers a request for the token service. Each of its operations has a proof of its own.
func (g *Gateway) sts(ctx context.Context, r *Request) (*Response, error) {
	form, err := stsForm(r)
	if err != nil {
		return nil, err
	}
	var answer func(context.Context, *Request, url.Values) (*Response, error)
	switch form.Get("Action") {
	case auth.ActionAssumeRoleWithWebIdentity:
		r.Operation, answer = assumeRole, g.assumeRole
	case auth.ActionGetCallerIdentity:
		r.Operation, answer = callerIdentity, g.callerIdentity
	case "":
		return nil, errMissingAction
	default:
		return nil, errInvalidAction
	}
	r.Event.Operation = r.Operation.Name
	resp, err := answer(ctx, r, form)
	if err != nil {
		return nil, asSTSError(r.Operation, err)
	}
	return resp, nil
}

// stsForm reads the parameters from the body, or from the query of a request without one; never from both.
func stsForm(r *Request) (url.Values, error) {
	mediaType, _, _ := strings.Cut(r.Header("content-type"), ";")
	text := string(r.Body)
	switch {
	case len(text) > maxSTSForm:
		return nil, errTooLargeBody
	case text == "":
		text = r.RawQuery
	case r.RawQuery != "":
		return nil, errSTSValidation.saying("Send the parameters in the body or in the query, not in both.")
	case !strings.EqualFold(strings.TrimSpace(mediaType), "application/x-www-form-urlencoded"):
		return nil, errSTSValidation.saying("The body must be application/x-www-form-urlencoded.")
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, errSTSValidation.saying("The parameters are not application/x-www-form-urlencoded.")
	}
	return form, nil
}

// assumeRole gives a key in exchange for a foreign token: "AssumeRoleWithWebIdentity", STS API Reference.
func (g *Gateway) assumeRole(ctx context.Context, r *Request, form url.Values) (*Response, error) {
	if err := r.toProve().Unsigned(); err != nil {
		return nil, err
	}
	ask, err := auth.ParseAssumeRole(form)
	if err != nil {
		return nil, err
	}
	who, err := g.Verifier.WebIdentity(ask, g.Now())
	if err != nil {
		return nil, err
	}
	if err := g.proved(ctx, r, who.Identity); err != nil {
		return nil, err
	}
	grant, err := ask.Grant(who)
	if err != nil {
		return nil, err
	}
	issued, err := g.Issuer.Issue(grant, g.Now())
	if err != nil {
		return nil, err
	}
	r.Event.TokenID = issued.ID // what is done with the key has it too
	if err := g.Store.InsertToken(ctx, TokenRecord(issued, who.Issuer+" "+who.Subject)); err != nil {
		return nil, err // not handed out, so it cannot be used
	}
	return assumedRoleXML(r, ask, who, issued), nil
}

// callerIdentity says whose key signed the request: "GetCallerIdentity", STS API Reference.
func (g *Gateway) callerIdentity(ctx context.Context, r *Request, form url.Values) (*Response, error) {
	id, err := g.Verifier.AuthenticateSTS(r.toProve(), r.Body, g.Now())
	if err != nil {
		return nil, err
	}
	if err := g.proved(ctx, r, id); err != nil {
		return nil, err
	}
	if err := auth.CheckGetCallerIdentity(form); err != nil {
		return nil, err
	}
	return callerIdentityXML(r, id), nil
}

func (r *Request) toProve() *auth.Request {
	return &auth.Request{Method: r.Method, Path: r.Path, Query: r.RawQuery, Headers: r.Head.Headers}
}

// proved has the request audited under the name of who asked, and admits it.
func (g *Gateway) proved(ctx context.Context, r *Request, id *auth.Identity) error {
	r.Identity = id
	r.Event.Tenant, r.Event.Subject, r.Event.TokenID = id.Tenant, id.Subject, id.TokenID
	return g.admit(ctx, r)
}
