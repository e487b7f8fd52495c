package proxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"partway/auth/sigv4"
	"partway/proxy/relay"
	"partway/proxy/storage"
	"partway/tracking"
)

// maxSigned is how many parts one call may speak of.
const maxSigned = 1000

// signRequest is the body of POST /_partway/sign: parts of one upload or, without upload_id, one object to put or to get.
type signRequest struct {
	Method   string     `json:"method"` // PUT, which "" means, or GET
	Bucket   string     `json:"bucket"`
	Key      string     `json:"key"`
	UploadID string     `json:"upload_id"`
	Parts    []signPart `json:"parts"`
	DryRun   bool       `json:"dry_run"` // which road, and why: nothing is signed or reserved

	anyLength bool // an object may be put without its length being declared, if no limit counts it
}

type signPart struct {
	PartNumber    int               `json:"part_number"`
	ContentLength *int64            `json:"content_length"` // nil: of a part, not known yet
	Headers       map[string]string `json:"headers"`        // that the body will be sent with
}

// signedRequest is what its caller sends to storage: method, URL, exactly these headers, and a body of the length that was declared.
type signedRequest struct {
	PartNumber int               `json:"part_number,omitempty"`
	Method     string            `json:"method"`
	URL        string            `json:"url"`
	Headers    map[string]string `json:"headers"`
	ExpiresAt  time.Time         `json:"expires_at"`
}

// foretold is one answer of a dry run.
type foretold struct {
	PartNumber int    `json:"part_number,omitempty"`
	Method     string `json:"method"`
	Road       Road   `json:"road"`
	Reason     string `json:"reason"`
}

// apiSign answers with requests that are signed for storage, so that their bodies need not pass here. Each is looked at as the S3 operation that
// it stands for: its action, its limits, its headers. All are signed or none is.
func (g *Gateway) apiSign(ctx context.Context, r *Request, _ string) (*Response, error) {
	var ask signRequest
	if err := decodeBody(r, &ask); err != nil {
		return nil, err
	}
	operation, err := g.speaksOf(r, &ask)
	if err != nil {
		return nil, err
	}
	signed := make([]*signing, len(ask.Parts))
	for i := range ask.Parts {
		if signed[i], err = g.signing(r, operation, &ask, i); err != nil {
			return nil, err
		}
	}
	if ask.UploadID != "" {
		if _, _, err := g.liveUpload(ctx, signed[0].r); err != nil {
			return nil, err
		}
	}
	if ask.DryRun {
		out := make([]foretold, len(signed))
		for i, s := range signed {
			if out[i], err = g.foretell(ctx, s); err != nil {
				return nil, err
			}
		}
		return jsonReply(http.StatusOK, map[string]any{"requests": out}), nil
	}
	return g.sign(ctx, r, signed, func(out []signedRequest) any { return map[string]any{"requests": out} })
}

// speaksOf holds the request as a whole to the rules: which operation its parts are, on which key, and whether the token allows it.
func (g *Gateway) speaksOf(r *Request, ask *signRequest) (*Operation, error) {
	r.Bucket, r.Key, r.Event.Bucket, r.Event.Key = ask.Bucket, ask.Key, ask.Bucket, ask.Key
	name := "PutObject"
	switch {
	case ask.Method != "" && ask.Method != http.MethodPut && ask.Method != http.MethodGet:
		return nil, errInvalidArgument.saying("method is PUT or GET.")
	case ask.Bucket == "" || ask.Key == "":
		return nil, errInvalidArgument.saying("bucket and key say what is to be signed.")
	case ask.Method == http.MethodGet && ask.UploadID != "":
		return nil, errInvalidArgument.saying("A part of an upload cannot be got.")
	case ask.Method == http.MethodGet:
		name = "GetObject"
	case ask.UploadID != "":
		name = "UploadPart"
	}
	if name == "GetObject" && len(ask.Parts) == 0 {
		ask.Parts = make([]signPart, 1)
	}
	switch n := len(ask.Parts); {
	case n == 0:
		return nil, errInvalidArgument.saying("parts names none.")
	case n > maxSigned:
		return nil, errInvalidArgument.saying(fmt.Sprintf("%d parts are too many for one call, which may have %d.", n, maxSigned))
	case n > 1 && name != "UploadPart":
		return nil, errInvalidArgument.saying("An object is one request. Parts need an upload_id.")
	}
	if err := checkNames(r); err != nil {
		return nil, err
	}
	operation := operationNamed(name)
	var err error
	r.Scope, err = r.Identity.Authorize(operation.Action, r.Bucket, r.Key)
	return operation, err
}

func operationNamed(name string) *Operation {
	i := slices.IndexFunc(operations, func(o *Operation) bool { return o.Name == name })
	return operations[i]
}

// signing is one request on its way to be signed.
type signing struct {
	r    *Request // as if the client had sent it here
	b    *storage.Backend
	call *storage.Call
	line tracking.Part
	odd  string // a header that cannot be signed
}

// signing makes the i-th part of ask into the request that it stands for, and holds it to the rules of its operation.
func (g *Gateway) signing(r *Request, o *Operation, ask *signRequest, i int) (*signing, error) {
	p := ask.Parts[i]
	s := &signing{r: &Request{ID: r.ID, Received: r.Received, Method: o.Method, Host: r.Host, Client: r.Client, Bucket: r.Bucket, Key: r.Key, Operation: o,
		Identity: r.Identity, Proof: r.Proof, Scope: r.Scope, Head: &relay.Head{Length: -1}, Event: r.Event}}
	s.r.Event.Operation, s.r.Event.BytesDeclared = o.Name, 0 // not the length of the JSON
	if o.Method == http.MethodPut {
		if err := s.declare(p.ContentLength); err != nil {
			return nil, err
		}
	} else if p.ContentLength != nil || len(p.Headers) > 0 {
		return nil, errInvalidArgument.saying("A GetObject is signed without content_length and headers; send Range and conditions unsigned.")
	}
	if err := s.readHeaders(p.Headers); err != nil {
		return nil, err
	}
	s.call = s.r.call()
	s.call.ContentLength = s.r.Head.Length
	var err error
	switch o.Name {
	case "UploadPart":
		err = g.signingPart(s, ask, p.PartNumber)
		if err == nil && slices.ContainsFunc(ask.Parts[:i], func(q signPart) bool { return q.PartNumber == p.PartNumber }) {
			err = errInvalidArgument.saying(fmt.Sprintf("Part %d occurs twice.", p.PartNumber))
		}
		r.Event.UploadID = s.r.Event.UploadID
	default:
		if p.PartNumber != 0 {
			return nil, errInvalidArgument.saying("A part_number needs an upload_id.")
		}
		s.b, err = g.backendOf(s.r.Bucket)
	}
	if err == nil && o.Name == "PutObject" {
		err = s.putting(ask.anyLength && s.r.Scope.MaxPartBytes == 0 && s.r.Scope.MaxObjectBytes == 0 && g.tenantLimit(s.r) == 0)
	}
	return s, err
}

// declare enters the length that the client will send.
func (s *signing) declare(length *int64) error {
	if length == nil {
		return nil
	}
	switch n := *length; {
	case n < 0:
		return errInvalidArgument.saying("content_length must not be negative.")
	case n > maxPutBytes:
		return errEntityTooLarge
	default:
		s.r.Head.Length, s.r.Event.BytesDeclared = n, n
	}
	return nil
}

// signingPart completes an UploadPart.
func (g *Gateway) signingPart(s *signing, ask *signRequest, number int) error {
	s.r.Query = Query{{"partNumber", strconv.Itoa(number)}, {"uploadId", ask.UploadID}}
	if _, err := partNumber(s.r); err != nil {
		return err
	}
	ref, b, err := g.openUpload(s.r)
	if err != nil {
		return err
	}
	s.b = b
	s.call.Query = []storage.Param{{Name: "partNumber", Value: strconv.Itoa(number)}, {Name: "uploadId", Value: ref.StorageID}}
	s.line = tracking.Part{Number: number, Bytes: s.r.Head.Length, Checksum: s.r.Event.Checksum, Road: string(RoadSign)}
	return nil
}

// putting completes a PutObject. What the scope demands of it is signed, so that storage does too.
func (s *signing) putting(anyLength bool) error {
	if s.r.Head.Length < 0 && !anyLength { // nobody would look at its length later
		return errMissingLength
	}
	if limit := s.r.Scope.MaxObjectBytes; limit > 0 && s.r.Head.Length > limit {
		return overLimit(limit)
	}
	s.line.Bytes = s.r.Head.Length
	s.r.force(s.call)
	s.r.refuseOverwrite(s.call)
	return nil
}

// readHeaders takes the headers that the client will send, all of which are signed. One that cannot be is odd.
func (s *signing) readHeaders(given map[string]string) error {
	for name, value := range given {
		h := sigv4.Header{Name: strings.ToLower(name), Value: strings.TrimSpace(value)}
		if !relay.ValidHeader(h.Name, h.Value) {
			return errInvalidArgument.saying(fmt.Sprintf("%.100q is no header that could be sent.", name))
		}
		if s.r.HasHeader(h.Name) {
			return errInvalidArgument.saying("The header " + h.Name + " occurs twice.")
		}
		s.r.Head.Headers = append(s.r.Head.Headers, h)
	}
	slices.SortFunc(s.r.Head.Headers, func(a, b sigv4.Header) int { return cmp.Compare(a.Name, b.Name) })
	if err := s.r.checkHeaders(); err != nil {
		return err
	}
	for _, h := range s.r.Head.Headers {
		switch {
		case h.Name == "x-amz-content-sha256" && h.Value == sigv4.UnsignedPayload: // says what presigned requests are anyway
		case !forwarded.has(h.Name), h.Name == "content-encoding" && hasToken(h.Value, "aws-chunked"):
			s.odd = h.Name
		}
	}
	s.r.Event.Checksum = checksumOf(s.r)
	return nil
}

// decide is the road of one request that was asked for signed.
func (s *signing) decide(noIdentity bool) (Road, string, error) {
	return decide(facts{wish: string(RoadSign), policy: s.r.Scope.Transfer, unsignable: s.odd != "", noIdentity: noIdentity})
}

// foretell says which road a request would get.
func (g *Gateway) foretell(ctx context.Context, s *signing) (foretold, error) {
	road, reason, err := s.decide(false)
	if err == nil && road == RoadSign {
		if _, _, err = g.presignFor(ctx, s); errors.Is(err, storage.ErrNoIdentity) {
			road, reason, err = s.decide(true)
		}
	}
	return foretold{PartNumber: s.line.Number, Method: s.r.Method, Road: road, Reason: reason}, err
}

// sign signs all, reserves all, and records one grant for each. body is what the answer says of them.
func (g *Gateway) sign(ctx context.Context, r *Request, signed []*signing, body func([]signedRequest) any) (*Response, error) {
	out := make([]signedRequest, len(signed))
	lines := make([]tracking.Part, len(signed))
	events := make([]tracking.Event, len(signed))
	for i, s := range signed {
		road, reason, err := s.decide(false)
		if err == nil && road == RoadSign {
			out[i], err = g.signOne(ctx, s)
		}
		if err != nil || road != RoadSign {
			return nil, s.unsigned(r, reason, err)
		}
		s.r.Event.Road, s.r.Event.Reason = string(road), reason
		s.line.Until = out[i].ExpiresAt
		lines[i], events[i] = s.line, s.r.Event
	}
	if err := g.count(ctx, r, signed[0].r.Operation, lines); err != nil {
		return nil, err
	}
	for i := range events {
		g.metrics.decision(RoadSign, events[i].Reason)
		g.metrics.grants(RoadSign, events[i].BytesDeclared)
	}
	r.Event.Road, r.Event.Reason = string(RoadSign), events[0].Reason
	resp := jsonReply(http.StatusOK, body(out))
	resp.Headers = append(resp.Headers, sigv4.Header{Name: "cache-control", Value: "no-store"})
	resp.Outcome, resp.events = outcomeGranted, events
	return resp, nil
}

// count enters what was signed into the ledger or, for an object, into the tenant's total: nobody here will see what comes of it.
func (g *Gateway) count(ctx context.Context, r *Request, o *Operation, lines []tracking.Part) error {
	switch o.Name {
	case "UploadPart":
		return g.reserve(ctx, r, lines...)
	case "PutObject":
		charge, err := g.charge(ctx, r, "", lines[0].Bytes)
		if err == nil {
			g.settle(ctx, charge)
		}
		return err
	}
	return nil
}

// unsigned is the refusal of a request that cannot be signed. The reason goes into x-partway-transfer, for programs that then send the body here.
func (s *signing) unsigned(r *Request, reason string, err error) error {
	switch {
	case errors.Is(err, storage.ErrNoIdentity):
		r.Event.Reason = reasonIdentity
		return errUnavailable.because(err)
	case s.odd != "":
		r.Event.Reason = reasonUnsignable
		return errInvalidArgument.saying("The header " + s.odd + " cannot be sent with a request that is signed in its URL.")
	case err == nil, errors.Is(err, errAccessDenied):
		r.Event.Reason = cmp.Or(reason, reasonPolicy)
		return errAccessDenied.saying("The token does not allow signed requests here (" + strings.Join(s.r.Scope.Transfer, ", ") + ").")
	}
	return err
}

func (g *Gateway) signOne(ctx context.Context, s *signing) (signedRequest, error) {
	url, until, err := g.presignFor(ctx, s)
	if err != nil {
		return signedRequest{}, err
	}
	headers := make(map[string]string, len(s.call.Headers))
	for _, h := range s.call.Headers {
		headers[h.Name] = h.Value
	}
	return signedRequest{PartNumber: s.line.Number, Method: s.r.Method, URL: url, Headers: headers, ExpiresAt: until.UTC().Truncate(time.Second)}, nil
}

func (g *Gateway) presignFor(ctx context.Context, s *signing) (url string, until time.Time, err error) {
	return s.b.Presigned(ctx, s.call, storage.Grantee{Tenant: s.r.Identity.Tenant, Prefix: s.r.Scope.KeyPrefix()}, g.urlLife(s.r), g.Now())
}
