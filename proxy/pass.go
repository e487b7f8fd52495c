package proxy

import (
	"context"
	"strings"

	"partway/proxy/relay"
	"partway/proxy/storage"
)

// passOn is the handler of every operation that needs nothing but its action: the request goes to storage as it came, signed again. The body
// of a PUT is still on the connection and is relayed; that of a POST is in memory.
func (g *Gateway) passOn(ctx context.Context, r *Request) (*Response, error) {
	b, err := g.backendOf(r.Bucket)
	if err != nil {
		return nil, err
	}
	c := r.call()
	if !r.unread {
		return g.forward(ctx, b, c, r.Body)
	}
	if strings.HasPrefix(r.payload(), "STREAMING-") { // for objects and parts alone
		return nil, errInvalidRequest.saying("The value of x-amz-content-sha256 header is invalid.")
	}
	f, err := framingOf(r, b.TakesAWSChunked())
	if err != nil {
		return nil, err
	}
	f.apply(c)
	r.Event.Road, r.Event.Reason = string(RoadRelay), reasonDefault
	return &Response{take: func(ctx context.Context, x *relay.Exchange) (*Response, error) {
		return g.relayBody(ctx, x, r, b, c, f)
	}}, nil
}

// sub is the operation's sub-resource as storage is sent it.
func (r *Request) sub() []storage.Param {
	if name := r.Operation.Sub; name != "" && name != "uploadId" {
		return []storage.Param{{Name: name, Value: r.Query.Get(name)}}
	}
	return nil
}
