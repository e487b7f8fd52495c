package proxy

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"partway/auth"
	"partway/proxy/relay"
	"partway/tracking"
)

// controlTimeout bounds every request that carries no body of an object, but a Complete.
const controlTimeout = 60 * time.Second

// entry is fiber's one handler.
func (g *Gateway) entry(c *fiber.Ctx) error {
	defer g.survive(c)
	ctx, cancel := context.WithTimeoutCause(g.base, controlTimeout, errors.New("the request took too long"))
	defer cancel()
	r, err := g.parse(c)
	g.startSpan(r)
	var resp *Response
	if err == nil {
		resp, err = g.guarded(r, func() (*Response, error) { return g.serve(of(ctx, r), r) })
	}
	if err == nil && resp.take != nil {
		// From here on the connection is ours; c must not be touched after this handler.
		relay.Hijack(c.Context(), r.Head, func(x *relay.Exchange) { g.exchange(x, r, resp.take) }, func(v any) { g.panicked(r, v) })
		return nil
	}
	if err == nil && resp.late != nil {
		g.writeLate(c, r, resp)
		return nil
	}
	g.write(c, r, g.exit(ctx, r, resp, err))
	return nil
}

// survive ends a panic outside of the handlers, which guarded ends, with its connection: fasthttp would let it end the process.
func (g *Gateway) survive(c *fiber.Ctx) {
	if v := recover(); v != nil {
		g.panicked(&Request{}, v)
		c.Response().Reset()
		c.Status(errInternal.Status)
		c.Context().SetConnectionClose()
	}
}

// exchange runs the part of an operation that needs the body.
func (g *Gateway) exchange(x *relay.Exchange, r *Request, take func(context.Context, *relay.Exchange) (*Response, error)) {
	g.metrics.inflight.Inc()
	defer g.metrics.inflight.Dec()
	resp, err := g.guarded(r, func() (*Response, error) { return take(of(g.base, r), x) })
	out := g.exit(g.base, r, resp, err)
	if err := x.Respond(out.Status, out.Headers, out.Body, false); err != nil {
		g.Log.Debug("client did not take the answer", "request_id", r.ID, "error", err)
	}
}

// serve is the order of every request. Nothing is looked up and no handler runs before the request is proved.
func (g *Gateway) serve(ctx context.Context, r *Request) (resp *Response, err error) {
	if r.isPreflight() {
		return g.preflight(r)
	}
	if open := g.openRoute(r); open != nil {
		return open(ctx)
	}
	if r.isSTS() {
		return g.sts(ctx, r)
	}
	if err := g.authenticate(r); err != nil {
		return nil, err
	}
	if err := g.admit(ctx, r); err != nil {
		return nil, err
	}
	if err := r.unhoist(); err != nil {
		return nil, err
	}
	if err := r.checkBody(); err != nil {
		return nil, err
	}
	if r.isAPI() {
		return g.api(ctx, r)
	}
	return g.operate(ctx, r)
}

// operate does what an S3 request of somebody known asks for.
func (g *Gateway) operate(ctx context.Context, r *Request) (resp *Response, err error) {
	if r.Operation, err = operationOf(r); err != nil {
		return nil, err
	}
	r.Event.Operation = r.Operation.Name
	if err := checkNames(r); err != nil {
		return nil, err
	}
	if action := r.Operation.action(r); action != "" {
		if r.Scope, err = r.Identity.Authorize(action, r.Bucket, r.Key); err != nil {
			return nil, err
		}
	}
	if r.Operation.writes() {
		if err := r.checkHeaders(); err != nil {
			return nil, err
		}
	}
	resp, err = r.Operation.handle(g, ctx, r)
	if err != nil && r.Bucket != "" && r.Operation.Name != "CreateBucket" {
		switch asError(err).Code {
		case errNoSuchUpload.Code, errInvalidArgument.Code: // S3 looks for the bucket before it looks at what is asked of it
			err = g.orNoSuchBucket(ctx, r, err)
		}
	}
	return resp, err
}

// authenticate proves who asks; from then on the request is audited under their name.
func (g *Gateway) authenticate(r *Request) (err error) {
	r.Identity, r.Proof, err = g.Verifier.Authenticate(&auth.Request{Method: r.Method, Path: r.Path, Query: r.RawQuery, Headers: r.Head.Headers}, g.Now())
	if err != nil {
		return err
	}
	r.Event.Tenant, r.Event.Subject, r.Event.TokenID = r.Identity.Tenant, r.Identity.Subject, r.Identity.TokenID
	r.Event.Operation = opUnknown // until it is known
	return nil
}

// checkNames holds bucket and key to the rules that make a prefix a wall.
func checkNames(r *Request) error {
	if r.Bucket != "" && !validBucket(r.Bucket) {
		return errInvalidBucketName
	}
	if r.Query.Has("versionId") && r.Query.Get("versionId") == "" {
		return errInvalidArgument.saying("Version id cannot be the empty string")
	}
	if r.Key != "" {
		return auth.ValidKey(r.Key)
	}
	return nil
}

// parse copies what is needed out of fasthttp's buffers. On error the Request still serves the exit.
func (g *Gateway) parse(c *fiber.Ctx) (*Request, error) {
	h := &c.Request().Header
	r := &Request{ID: newRequestID(), Received: g.Now(), Method: string(h.Method()), Secure: g.Relay.TLS != nil, Client: peerAddress(c.Context().RemoteAddr()), Head: &relay.Head{Length: -1}}
	r.Path, r.RawQuery, _ = strings.Cut(string(h.RequestURI()), "?")
	r.Event = tracking.Event{RequestID: r.ID, ClientAddress: addressText(r.Client), Road: string(RoadNone)}
	head, err := relay.ParseHead(h.RawHeaders())
	if err != nil {
		r.unread = true // whatever follows such a head
		return r, err
	}
	r.Head, r.unread = head, r.Method == fiber.MethodPut && head.HasBody()
	r.Secure = r.Secure || within(g.TrustedProxies, r.Client) && head.Get("x-forwarded-proto") == "https"
	r.Client = clientAddress(r.Client, g.TrustedProxies, head.Headers)
	r.Host, r.Origin = head.Get("host"), head.Get("origin")
	r.Event.UserAgent, r.Event.ClientAddress = head.Get("user-agent"), addressText(r.Client)
	if head.Length > 0 {
		r.Event.BytesDeclared = head.Length
	}
	if r.Method != fiber.MethodPut {
		r.Body = append([]byte(nil), c.Request().Body()...)
	}
	if r.Query, err = parseQuery(r.RawQuery); err != nil {
		return r, err
	}
	r.Bucket, r.Key, r.OnBase, err = locate(g.Domains, r.Host, r.Path)
	r.Event.Bucket, r.Event.Key = r.Bucket, r.Key
	return r, err
}

// freeBody is how much of a body anybody may have held in memory.
const freeBody = 64 << 10

// intake is relay.Intake, and lets only those who are known have larger bodies held in memory. To others such a body is too large; what they are
// told is decided there.
func (g *Gateway) intake(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	length := h.ContentLength()
	c := relay.Intake(h)
	if h.IsPut() || length >= 0 && length <= freeBody || length == bodyUntilClose {
		return c
	}
	head, err := relay.ParseHead(h.RawHeaders())
	if err == nil {
		path, query, _ := strings.Cut(string(h.RequestURI()), "?")
		_, _, err = g.Verifier.Authenticate(&auth.Request{Method: string(h.Method()), Path: path, Query: query, Headers: head.Headers}, g.Now())
	}
	if err != nil {
		c.MaxRequestBodySize = 1
	}
	return c
}

// bodyUntilClose is fasthttp's Content-Length of a request that declares none: it has no body.
const bodyUntilClose = -2

// unparsed answers requests that fasthttp could not read; it is fiber's ErrorHandler.
func (g *Gateway) unparsed(c *fiber.Ctx, err error) error {
	refusal := errBadRequest
	var small *fasthttp.ErrSmallBuffer
	var fe *fiber.Error
	switch {
	case errors.As(err, &small):
		refusal = g.headTooLarge()
	case errors.As(err, &fe) && fe.Code == fiber.StatusRequestEntityTooLarge:
		g.tooLarge(c)
		return nil
	case errors.As(err, &fe) && fe.Code == fiber.StatusRequestHeaderFieldsTooLarge:
		refusal = g.headTooLarge()
	case errors.As(err, &fe) && fe.Code == fiber.StatusMethodNotAllowed:
		refusal = errMethodNotAllowed
	}
	r := &Request{ID: newRequestID(), Received: g.Now(), Head: &relay.Head{Length: -1}, unread: true, Client: peerAddress(c.Context().RemoteAddr())}
	g.startSpan(r)
	// fasthttp's words quote the head, where tokens and signatures are: they go no further.
	g.write(c, r, g.exit(g.base, r, nil, refusal))
	return nil
}

func (g *Gateway) headTooLarge() *Error {
	return errHeadTooLarge.with("MaxSizeAllowed", strconv.Itoa(g.HeaderBytes))
}

// tooLarge answers a body beyond XMLBytes. Its head is good, so whoever sent it can be told and named.
func (g *Gateway) tooLarge(c *fiber.Ctx) {
	r, err := g.parse(c)
	g.startSpan(r)
	sts := r.isSTS() // whose callers prove themselves in the body
	if err == nil && !sts {
		err = g.authenticate(r)
	}
	if err == nil {
		err = errTooLargeBody
	}
	if r.Identity != nil {
		if r.Operation, _ = operationOf(r); r.Operation != nil {
			r.Event.Operation = r.Operation.Name
		}
	}
	r.unread = true
	g.write(c, r, g.exit(g.base, r, nil, err))
}

// guarded turns a panic into InternalError, so that it is audited and ends one request only.
func (g *Gateway) guarded(r *Request, f func() (*Response, error)) (resp *Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			g.panicked(r, v)
			resp, err = nil, errInternal.because(fmt.Errorf("panic: %v", v))
		}
	}()
	return f()
}

func (g *Gateway) panicked(r *Request, v any) {
	g.Log.Error("panic", "request_id", r.ID, "operation", r.Event.Operation, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
}

// newRequestID names a request; it is no secret.
func newRequestID() string {
	var b [8]byte
	for i, v := 0, rand.Uint64(); i < len(b); i++ {
		b[i] = byte(v >> (8 * i))
	}
	return strings.ToUpper(hex.EncodeToString(b[:]))
}
