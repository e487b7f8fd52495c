package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"partway/auth/sigv4"
	"partway/proxy/relay"
	"partway/proxy/storage"
	"partway/tracking"
)

// putObject is S3's PutObject, for bodies that need no multipart upload.
func (g *Gateway) putObject(ctx context.Context, r *Request) (*Response, error) {
	b, err := g.backendOf(r.Bucket)
	if err != nil {
		return nil, err
	}
	f, err := framingOf(r, b.TakesAWSChunked())
	if err != nil {
		return nil, err
	}
	if limit := r.Scope.MaxObjectBytes; limit > 0 && f.bytes > limit {
		return nil, overLimit(limit)
	}
	c := r.call()
	r.force(c)
	r.refuseOverwrite(c)
	forced := r.Scope.NoOverwrite || len(r.Scope.ForceHeaders) > 0
	var charge *tracking.Charge
	resp, err := g.send(ctx, r, b, c, f, forced, func(road Road, _ time.Time) (err error) {
		if charge, err = g.charge(ctx, r, "", f.bytes); err == nil && road == RoadRedirect {
			g.settle(ctx, charge) // nobody here will see what comes of it
		}
		return err
	})
	if err != nil || resp.take == nil || charge == nil {
		return resp, err
	}
	take := resp.take
	resp.take = func(ctx context.Context, x *relay.Exchange) (*Response, error) {
		resp, err := take(ctx, x)
		g.endPut(ctx, charge, err)
		return resp, err
	}
	return resp, nil
}

// send takes a body to storage by the road that decide chooses. forced says that the call has headers that the client did not
// send; a redirect cannot carry them. reserve is asked before the first byte moves, with the time until which a grant counts.
func (g *Gateway) send(ctx context.Context, r *Request, b *storage.Backend, c *storage.Call, f *framing, forced bool, reserve func(Road, time.Time) error) (*Response, error) {
	if f.bytes > maxPutBytes {
		return nil, errEntityTooLarge
	}
	wish := r.Header("x-partway-transfer")
	if wish != "" && wish != string(RoadRedirect) && wish != string(RoadRelay) {
		return nil, errInvalidArgument.saying("x-partway-transfer is either redirect or relay.")
	}
	r.Event.BytesDeclared, r.Event.Checksum = max(f.bytes, 0), checksumOf(r)
	replayed, signable := replayedHeaders(r)
	known := facts{
		wish: wish, policy: r.Scope.Transfer, fallback: g.DefaultRoad,
		awsChunked: f.chunked(), unsignable: forced || r.hoisted || !signable, sameHost: SameSite(r.Host, b.Host()), took: g.Now().Sub(r.Received),
	}
	road, reason, err := decide(known)
	var location string
	var until time.Time
	if err == nil && road == RoadRedirect {
		signed := *c
		signed.Headers, signed.ContentLength = replayed, f.length
		location, until, err = g.presign(ctx, r, b, &signed)
		if errors.Is(err, storage.ErrNoIdentity) {
			g.Log.Warn("relayed for want of an identity", "request_id", r.ID, "error", err)
			known.noIdentity, known.took = true, g.Now().Sub(r.Received)
			road, reason, err = decide(known)
		}
	}
	if err != nil {
		return nil, err
	}
	r.Event.Road, r.Event.Reason = string(road), reason
	g.metrics.decision(road, reason)
	if err := reserve(road, until); err != nil {
		return nil, err
	}
	if road == RoadRedirect {
		g.metrics.grants(road, f.bytes)
		return redirect(location), nil
	}
	f.apply(c)
	return &Response{take: func(ctx context.Context, x *relay.Exchange) (*Response, error) {
		return g.relayBody(ctx, x, r, b, c, f)
	}}, nil
}

// maxPutBytes is S3's limit on one body: a part, or an object that is put whole.
const maxPutBytes = 5 << 30

// relayBody moves the body and returns storage's answer as the client's.
func (g *Gateway) relayBody(ctx context.Context, x *relay.Exchange, r *Request, b *storage.Backend, c *storage.Call, f *framing) (*Response, error) {
	req, err := b.Relayed(ctx, c, g.Now())
	if err != nil {
		return nil, err
	}
	req.Length, req.Body = f.length, f.body
	span := b.Span(ctx, c.Method)
	answer, err := x.Put(ctx, b.Conns(), req)
	if answer != nil {
		span.Answered(answer.Status)
		r.Event.Bytes = answer.Sent
		g.metrics.carried(r.Event.Road, "in", answer.Sent)
	}
	span.End()
	if err != nil {
		return nil, err
	}
	if answer.Status >= http.StatusMultipleChoices {
		return nil, storageError(answer.Status, answer.Body)
	}
	if answer.Early { // it cannot have stored what it was not sent
		return nil, errUnavailable.because(fmt.Errorf("storage answered %d before it had the body", answer.Status))
	}
	r.Event.Bytes, r.Event.ETag = f.bytes, answer.Header.Get("ETag")
	return &Response{Status: answer.Status, Headers: answerHeaders(answer.Header), Body: answer.Body}, nil
}

// presign makes the URL of a redirect. Credentials that are not there by the time that a decision may take are ErrNoIdentity.
func (g *Gateway) presign(ctx context.Context, r *Request, b *storage.Backend, c *storage.Call) (location string, until time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, slowDecision-g.Now().Sub(r.Received))
	defer cancel()
	return b.Presigned(ctx, c, storage.Grantee{Tenant: r.Identity.Tenant, Prefix: r.Scope.KeyPrefix()}, g.urlLife(r), g.Now())
}

// redirectBody is S3's error for those who look into it. Never with an <Endpoint>: s3cmd would follow that, with its own credentials.
var redirectBody = []byte(xmlDeclaration + "\n<Error><Code>TemporaryRedirect</Code><Message>Please send the body to the Location given.</Message></Error>")

// redirect answers 307 with a presigned URL at storage; the body stays with the client until it follows.
func redirect(location string) *Response {
	resp := reply(http.StatusTemporaryRedirect, redirectBody, "location", location, "cache-control", "no-store", xmlType.Name, xmlType.Value)
	resp.Outcome = outcomeGranted
	return resp
}

// urlLife is how long a presigned URL lives: never longer than the token that asked for it.
func (g *Gateway) urlLife(r *Request) time.Duration {
	return max(time.Second, min(g.URLTTL, r.Identity.ExpiresAt.Sub(g.Now())))
}

// replayedHeaders are the headers that a client which follows a redirect sends to storage again, and that the URL must therefore sign: some
// servers refuse an x-amz-* header that is not signed, and a client that sends no more than what is signed must not lose the object's
// Content-Type or an If-None-Match on the way. Not signable: what a presigned request cannot carry.
func replayedHeaders(r *Request) (headers []sigv4.Header, signable bool) {
	for _, h := range r.Head.Headers {
		switch {
		case h.Name == "x-amz-content-sha256" && h.Value != sigv4.UnsignedPayload:
			return nil, false // presigned requests are taken with UNSIGNED-PAYLOAD only
		case h.Name == "x-amz-content-sha256" || h.Name == "x-amz-date" || h.Name == "x-amz-user-agent" || forwarded.has(h.Name):
			headers = append(headers, h)
		case strings.HasPrefix(h.Name, "x-amz-"):
			return nil, false
		}
	}
	return headers, true
}

// answerHeaders picks the headers of storage's answer that the client is sent. Content-Length is set by who writes the body.
func answerHeaders(h http.Header) []sigv4.Header {
	var out []sigv4.Header
	for name, values := range h {
		name = strings.ToLower(name)
		if name != "content-length" && answered.has(name) {
			out = append(out, sigv4.Header{Name: name, Value: strings.Join(values, ", ")})
		}
	}
	slices.SortFunc(out, func(a, b sigv4.Header) int { return strings.Compare(a.Name, b.Name) })
	return out
}
