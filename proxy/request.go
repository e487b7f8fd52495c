package proxy

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"partway/auth"
	"partway/auth/sigv4"
	"partway/proxy/relay"
	"partway/tracking"
)

// Request is a client's request after the one parse; nothing behind the parser reads the HTTP library. Its strings are
// copies: they outlive the handler.
type Request struct {
	ID       string // x-amz-request-id
	Received time.Time

	Method    string
	Host      string // as the client wrote it
	Path      string // raw
	RawQuery  string
	Query     Query
	Head      *relay.Head
	Body      []byte     // of every method but PUT, whose body is still on the connection
	hoisted   bool       // a header came in the query: a client that follows a redirect would not replay it
	unread    bool       // something that nobody read may follow the head: the connection closes, unless a relay takes it
	Client    netip.Addr // see clientAddress
	Secure    bool       // came over TLS, or a trusted proxy says so
	Origin    string     // of the web page that asks, as its browser says; "" for none
	OnBase    bool       // not a virtual host: the JSON API answers here
	Bucket    string     // decoded; "" for the service
	Key       string     // decoded once; "" for the bucket
	Operation *Operation

	Identity *auth.Identity // nil until authenticated
	Proof    *auth.Proof
	overRate bool        // refused by admit, and counted with others in one event
	Scope    *auth.Scope // the one that allowed the operation; nil for operations that look at scopes themselves

	// Event is filled in on the way and recorded at the exit.
	Event tracking.Event
	span  trace.Span // from startSpan to endSpan; nil where no traces are made
}

// Header returns the value of a header, by lower-case name.
func (r *Request) Header(name string) string { return r.Head.Get(name) }

// HasHeader reports whether a header is there, be it empty.
func (r *Request) HasHeader(name string) bool {
	return slices.ContainsFunc(r.Head.Headers, func(h sigv4.Header) bool { return h.Name == name })
}

// payload is the x-amz-content-sha256 that binds the body: as signed, or, for a bearer, as declared.
func (r *Request) payload() string {
	if r.Proof.Mechanism == auth.MechanismBearer {
		if p := r.Header("x-amz-content-sha256"); p != "" {
			return p
		}
		return sigv4.UnsignedPayload
	}
	return r.Proof.Payload
}

// signatureParams are the query parameters of a presigned request that speak of its signature.
var signatureParams = []string{"x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-expires", "x-amz-signedheaders", "x-amz-signature",
	"x-amz-content-sha256"}

// unhoist takes the x-amz-* parameters of a presigned query for the headers that they stand for: SDKs move headers into the query when they
// presign, where they are signed as well.
func (r *Request) unhoist() error {
	if r.Proof.Mechanism != auth.MechanismQuery {
		return nil
	}
	for _, p := range r.Query {
		name := strings.ToLower(p.Name)
		if !strings.HasPrefix(name, "x-amz-") || slices.Contains(signatureParams, name) {
			continue
		}
		if r.HasHeader(name) {
			return errInvalidArgument.saying("There are a header and a query parameter " + name + ".")
		}
		r.Head.Headers, r.hoisted = append(r.Head.Headers, sigv4.Header{Name: name, Value: p.Value}), true
	}
	return nil
}

// checkBody holds a body that is in memory to what was signed of it. Bodies that are relayed are verified by storage.
func (r *Request) checkBody() error {
	payload := r.payload()
	switch {
	case r.unread || payload == sigv4.UnsignedPayload:
		return nil
	case strings.HasPrefix(payload, "STREAMING-") && len(r.Body) > 0:
		return errNotImplemented.saying("A " + r.Method + " with a streaming payload is not implemented.")
	case strings.HasPrefix(payload, "STREAMING-"):
		return nil
	}
	sum := sha256.Sum256(r.Body)
	if computed := hex.EncodeToString(sum[:]); payload != computed {
		return errPayloadHash.with("ClientComputedContentSHA256", payload, "S3ComputedContentSHA256", computed)
	}
	return nil
}

// Query is a decoded query, in order. A parameter without "=" has an empty value.
type Query []Param

// Param is one decoded query parameter.
type Param struct{ Name, Value string }

// Get returns the first value of name.
func (q Query) Get(name string) string {
	for _, p := range q {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// Has reports whether name occurs.
func (q Query) Has(name string) bool {
	for _, p := range q {
		if p.Name == name {
			return true
		}
	}
	return false
}

// parseQuery decodes a raw query by S3's rules: "+" is a space, ";" is no separator, and no parameter may occur twice
// (a proxy and a storage that pick different ones would disagree about what was authorised).
func parseQuery(raw string) (Query, error) {
	var q Query
	for len(raw) > 0 {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, errInvalidURI
		}
		value, err = url.QueryUnescape(value)
		if err != nil {
			return nil, errInvalidURI
		}
		if q.Has(name) {
			return nil, errInvalidArgument.saying("The query parameter " + name + " occurs twice.")
		}
		q = append(q, Param{name, value})
	}
	return q, nil
}

// locate splits host and raw path into bucket and key. Path style always works; virtual-host style for the configured
// domains. The key is percent-decoded exactly once.
func locate(domains []string, host, path string) (bucket, key string, onBase bool, err error) {
	if !strings.HasPrefix(path, "/") { // absolute-form and "*"
		return "", "", false, errInvalidURI
	}
	rest := path[1:]
	bucket = bucketOfHost(domains, host)
	onBase = bucket == ""
	if onBase {
		bucket, rest, _ = strings.Cut(rest, "/")
	}
	if bucket, err = url.PathUnescape(bucket); err != nil {
		return "", "", onBase, errInvalidURI
	}
	if key, err = url.PathUnescape(rest); err != nil {
		return "", "", onBase, errInvalidURI
	}
	return bucket, key, onBase, nil
}

// bucketOfHost returns the label before one of the domains, or "".
func bucketOfHost(domains []string, host string) string {
	name := hostName(host)
	for _, d := range domains {
		if label, ok := strings.CutSuffix(name, "."+d); ok && label != "" {
			return label
		}
	}
	return ""
}

// hostName is a Host header's value in lower case, without port and brackets.
func hostName(host string) string {
	u := url.URL{Host: host}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// validBucket holds a name to S3's rules as far as a gateway must: nothing in it can be read as part of a path, a query or a host.
func validBucket(name string) bool {
	if len(name) < 3 || len(name) > 63 || strings.Contains(name, "..") {
		return false
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	for i := range len(name) {
		c := name[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || i == len(name)-1 || c != '-' && c != '.') {
			return false
		}
	}
	return true
}
