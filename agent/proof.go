package agent

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"partway/auth/sigv4"
)

// Credentials open the endpoint. They are made for one run.
type Credentials struct{ AccessKeyID, SecretAccessKey string }

// maxSkew is S3's.
const maxSkew = 15 * time.Minute

var (
	errNoCredentials = &Refusal{Status: 403, Code: "AccessDenied", Message: "This endpoint takes requests that are signed with the credentials of its run."}
	errWrongKey      = &Refusal{Status: 403, Code: "InvalidAccessKeyId", Message: "The access key id is not the one of this run."}
	errSignature     = &Refusal{Status: 403, Code: "SignatureDoesNotMatch", Message: "The request signature we calculated does not match the signature you provided."}
	errSkewed        = &Refusal{Status: 403, Code: "RequestTimeTooSkewed", Message: "The difference between the request time and the current time is too large."}
)

// claim is what a request says of its signature, in its header or in its query.
type claim struct {
	credential, signedHeaders, signature, date string
	query, payload                             string // as they were signed
	life                                       time.Duration
}

// prove returns what follows the chunks of a signed body, if r was signed with the credentials of this run. A presigned request is made into the
// one that it stands for: what it has in its query for lack of a header becomes one.
func (s *Server) prove(r *http.Request) (*sigv4.Chunks, error) {
	c, err := claimOf(r)
	if err != nil {
		return nil, err
	}
	scope := strings.Split(c.credential, "/")
	if len(scope) != 5 || scope[4] != sigv4.Terminator || scope[3] != "s3" {
		return nil, errNoCredentials
	}
	if subtle.ConstantTimeCompare([]byte(scope[0]), []byte(s.credentials.AccessKeyID)) != 1 {
		return nil, errWrongKey
	}
	at, err := time.Parse(sigv4.TimeFormat, c.date)
	if err != nil || !strings.HasPrefix(c.date, scope[1]) {
		return nil, errNoCredentials
	}
	if age := time.Since(at); age > c.life || age < -maxSkew {
		return nil, errSkewed
	}
	signed := &sigv4.Request{Method: r.Method, Query: c.query, Payload: c.payload}
	signed.Path, _, _ = strings.Cut(r.RequestURI, "?")
	hosts := false
	for name := range strings.SplitSeq(c.signedHeaders, ";") {
		hosts = hosts || name == "host"
		signed.Headers = append(signed.Headers, headersNamed(r, name)...)
	}
	in := sigv4.Scope{Date: scope[1], Region: scope[2], Service: scope[3]}
	key := s.keys.Key(s.credentials.SecretAccessKey, in)
	want, err := sigv4.Signature(key, signed, c.date, in)
	if err != nil || !hosts || signed.Payload == "" || subtle.ConstantTimeCompare([]byte(want), []byte(c.signature)) != 1 {
		return nil, errSignature
	}
	if r.Header.Get("Authorization") == "" {
		unhoist(r)
	}
	return sigv4.NewChunks(key, want, c.date, in), nil
}

func claimOf(r *http.Request) (*claim, error) {
	_, query, _ := strings.Cut(r.RequestURI, "?")
	if q := r.URL.Query(); q.Has("X-Amz-Signature") {
		seconds, err := strconv.Atoi(q.Get("X-Amz-Expires"))
		if err != nil || seconds < 1 || seconds > 7*24*3600 || q.Get("X-Amz-Algorithm") != sigv4.Algorithm || r.Header.Get("Authorization") != "" {
			return nil, errNoCredentials
		}
		return &claim{q.Get("X-Amz-Credential"), q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Signature"), q.Get("X-Amz-Date"), query, sigv4.UnsignedPayload,
			time.Duration(seconds) * time.Second}, nil
	}
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), sigv4.Algorithm+" ")
	if !ok || len(r.Header["Authorization"]) != 1 {
		return nil, errNoCredentials
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	return &claim{fields["Credential"], fields["SignedHeaders"], fields["Signature"], r.Header.Get("X-Amz-Date"), query, r.Header.Get("X-Amz-Content-Sha256"), maxSkew}, nil
}

// ofProof are the parameters of a presigned query that speak of its signature.
var ofProof = map[string]bool{
	"x-amz-algorithm": true, "x-amz-credential": true, "x-amz-date": true, "x-amz-expires": true, "x-amz-signedheaders": true, "x-amz-signature": true,
	"x-amz-security-token": true, "x-amz-content-sha256": true,
}

// unhoist takes the signature out of a presigned request's query, and makes headers of those that its SDK put there.
func unhoist(r *http.Request) {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	var left []string
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		lower := strings.ToLower(name)
		text, err := url.QueryUnescape(value)
		switch {
		case ofProof[lower]:
		case strings.HasPrefix(lower, "x-amz-") && err == nil:
			r.Header.Set(name, text)
		default:
			left = append(left, pair)
		}
	}
	r.Header.Set("X-Amz-Content-Sha256", sigv4.UnsignedPayload)
	r.URL.RawQuery = strings.Join(left, "&")
	r.RequestURI = path + "?" + r.URL.RawQuery
}

// headersNamed are r's headers of one lower-case name as they stood on the wire; net/http keeps some elsewhere.
func headersNamed(r *http.Request, name string) []sigv4.Header {
	var values []string
	switch name {
	case "host":
		values = []string{r.Host}
	case "transfer-encoding":
		values = r.TransferEncoding
	default:
		values = r.Header.Values(name)
	}
	var out []sigv4.Header
	for _, v := range values {
		out = append(out, sigv4.Header{Name: name, Value: v})
	}
	return out
}
