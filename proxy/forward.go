package proxy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"slices"
	"strconv"
	"strings"

	"partway/auth/sigv4"
	"partway/proxy/awschunked"
	"partway/proxy/storage"
)

// headerSet is of lower-case names.
type headerSet struct {
	names    map[string]bool
	prefixes []string
}

// headerNames makes a set; names that end in "*" are prefixes.
func headerNames(names ...string) headerSet {
	s := headerSet{names: make(map[string]bool, len(names))}
	for _, name := range names {
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			s.prefixes = append(s.prefixes, prefix)
		} else {
			s.names[name] = true
		}
	}
	return s
}

func (s headerSet) has(name string) bool {
	return s.names[name] || slices.ContainsFunc(s.prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// forwarded are the request headers that storage is sent. All else stays here: a signature cannot bind the absence of a header, so what is
// not listed (x-amz-copy-source above all) must never reach storage.
// Source: the request syntax of each operation in the Amazon S3 API Reference.
var forwarded = headerNames(
	"cache-control", "content-disposition", "content-encoding", "content-language", "content-md5", "content-type", "expires",
	"if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range",
	"x-amz-checksum-*", "x-amz-sdk-checksum-algorithm",
	"x-amz-acl", "x-amz-grant-*", "x-amz-bypass-governance-retention", "x-amz-expected-bucket-owner", "x-amz-if-match-*", "x-amz-request-payer",
	"x-amz-bucket-object-lock-enabled", "x-amz-confirm-remove-self-bucket-access", "x-amz-max-parts", "x-amz-object-attributes", "x-amz-object-ownership",
	"x-amz-optional-object-attributes", "x-amz-part-number-marker",
	"x-amz-meta-*", "x-amz-storage-class", "x-amz-tagging", "x-amz-website-redirect-location",
	"x-amz-object-lock-*", "x-amz-server-side-encryption*", "x-amz-mp-object-size",
)

// gated are the forwarded headers that do what another S3 action does: the token must allow that action too.
// Source: the permissions of PutObject in the Amazon S3 API Reference.
var gated = []struct {
	headers headerSet
	action  string
}{
	{headerNames("x-amz-acl", "x-amz-grant-*"), "s3:PutObjectAcl"},
	{headerNames("x-amz-tagging"), "s3:PutObjectTagging"},
	{headerNames("x-amz-object-lock-legal-hold"), "s3:PutObjectLegalHold"},
	{headerNames("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"), "s3:PutObjectRetention"},
	{headerNames("x-amz-bypass-governance-retention"), "s3:BypassGovernanceRetention"},
}

// consumed are the x-amz-* headers that are answered here: they say how a request is signed and framed, or who speaks.
var consumed = headerNames("x-amz-content-sha256", "x-amz-date", "x-amz-decoded-content-length", "x-amz-trailer", "x-amz-user-agent")

// checkHeaders refuses a write with an x-amz-* header that would have to be dropped: without x-amz-write-offset-bytes, say, a write that
// should append would overwrite.
func (r *Request) checkHeaders() error {
	for _, h := range r.Head.Headers {
		if !strings.HasPrefix(h.Name, "x-amz-") {
			continue
		}
		known := forwarded.has(h.Name) || consumed.has(h.Name) || r.Operation.Copy && copyHeaders.has(h.Name)
		if !known {
			return errNotImplemented.saying("The header " + h.Name + " implies functionality that is not implemented")
		}
		for _, g := range gated {
			if !g.headers.has(h.Name) {
				continue
			}
			if _, err := r.Identity.Authorize(g.action, r.Bucket, r.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

// answered are the answer headers that the client is sent.
var answered = headerNames(
	"accept-ranges", "cache-control", "content-disposition", "content-encoding", "content-language", "content-length", "content-range",
	"content-type", "etag", "expires", "last-modified",
	"x-amz-abort-date", "x-amz-abort-rule-id", "x-amz-archive-status", "x-amz-bucket-arn", "x-amz-checksum-*",
	"x-amz-copy-source-version-id", "x-amz-delete-marker", "x-amz-expiration",
	"x-amz-meta-*", "x-amz-missing-meta", "x-amz-mp-parts-count", "x-amz-object-lock-*", "x-amz-object-size", "x-amz-replication-status",
	"x-amz-request-charged", "x-amz-restore", "x-amz-server-side-encryption*", "x-amz-storage-class", "x-amz-tagging-count", "x-amz-version-id",
	"x-amz-website-redirect-location",
)

// call makes a client's request into one for storage: the headers of the allow-list, the sub-resource and the parameters
// of the operation's row.
func (r *Request) call() *storage.Call {
	c := &storage.Call{Method: r.Method, Bucket: r.Bucket, Key: r.Key, Query: r.sub(), ContentLength: -1}
	for _, h := range r.Head.Headers {
		if forwarded.has(h.Name) {
			c.Headers = append(c.Headers, h)
		}
	}
	for _, p := range r.Query {
		if slices.Contains(r.Operation.Params, p.Name) {
			c.Query = append(c.Query, storage.Param(p))
		}
	}
	return c
}

// force sets the headers that the token's scope asks for on an object that is being made, over the client's own.
func (r *Request) force(c *storage.Call) {
	if r.Scope == nil {
		return
	}
	for name, value := range r.Scope.ForceHeaders {
		setHeader(c, strings.ToLower(name), value)
	}
}

// refuseOverwrite makes storage refuse when the key exists, where the token's scope asks for it.
func (r *Request) refuseOverwrite(c *storage.Call) {
	if r.Scope != nil && r.Scope.NoOverwrite {
		setHeader(c, "if-none-match", "*")
	}
}

func setHeader(c *storage.Call, name, value string) {
	c.Headers = slices.DeleteFunc(c.Headers, func(h sigv4.Header) bool { return h.Name == name })
	c.Headers = append(c.Headers, sigv4.Header{Name: name, Value: value})
}

// minChunk is S3's limit on every chunk of a body but the last.
const minChunk = 8 << 10

// framing says how a body comes and how storage is sent it.
type framing struct {
	bytes   int64 // of the object; -1: not declared
	length  int64 // of what storage is sent; -1: chunked
	payload string
	drop    []string // headers that do not go along
	add     []sigv4.Header
	body    func(io.Reader) io.Reader // nil: the bytes as they come
}

// chunked reports whether the client's body has aws-chunked framing.
func (f *framing) chunked() bool { return f.body != nil }

// framingOf reads from the head how the body will be framed. Storage is sent the same form where it takes it: plain bodies and
// STREAMING-UNSIGNED-PAYLOAD-TRAILER. Signed chunks carry signatures made with the client's secret, so they are verified here and go on
// plain, or, with a trailer, framed again without signatures.
func framingOf(r *Request, takesAWSChunked bool) (*framing, error) {
	payload := r.payload()
	if !strings.HasPrefix(payload, "STREAMING-") {
		if hasToken(r.Header("content-encoding"), "aws-chunked") {
			return nil, errInvalidRequest.saying("Content-Encoding aws-chunked needs x-amz-content-sha256 to name a streaming form.")
		}
		if r.Head.Length < 0 {
			return nil, errMissingLength
		}
		return &framing{bytes: r.Head.Length, length: r.Head.Length, payload: payload}, nil
	}
	decoded, err := strconv.ParseInt(r.Header("x-amz-decoded-content-length"), 10, 64)
	if err != nil || decoded < 0 {
		return nil, errMissingLength.with("Hint", "x-amz-decoded-content-length says how long the object is.")
	}
	if r.Head.Length < 0 && !r.Head.Chunked {
		return nil, errMissingLength
	}
	o := awschunked.Options{Length: decoded, Trailer: r.Header("x-amz-trailer"), Chunks: r.Proof.Chunks, MinChunk: minChunk}
	if payload != sigv4.StreamingUnsignedTrailer && o.Chunks == nil {
		return nil, errInvalidRequest.saying("x-amz-content-sha256 names a payload form that this request cannot have: " + payload)
	}
	f := &framing{bytes: decoded, drop: []string{"content-encoding"}}
	switch {
	case o.Trailer == "" || !takesAWSChunked:
		f.plain(r, decoded)
		f.body = func(b io.Reader) io.Reader { return awschunked.NewReader(b, o) }
	case payload == sigv4.StreamingUnsignedTrailer:
		f.framed(r, decoded, r.Head.Length)
		f.body = func(b io.Reader) io.Reader { return awschunked.NewWalker(b, o) }
	default:
		f.framed(r, decoded, awschunked.ReframedLength(decoded, o.Trailer))
		f.body = func(b io.Reader) io.Reader { return awschunked.Reframe(b, o) }
	}
	return f, nil
}

// plain sends storage the object's bytes alone.
func (f *framing) plain(r *Request, decoded int64) {
	f.length, f.payload = decoded, sigv4.UnsignedPayload
	f.encoding(r)
}

// framed sends storage aws-chunked framing with a trailer. x-amz-content-sha256 announces it, as minio-go does too; Content-Encoding
// does not, because some storage would keep "aws-chunked" with the object.
func (f *framing) framed(r *Request, decoded, length int64) {
	f.length, f.payload = length, sigv4.StreamingUnsignedTrailer
	f.encoding(r)
	f.add = append(f.add,
		sigv4.Header{Name: "x-amz-decoded-content-length", Value: strconv.FormatInt(decoded, 10)},
		sigv4.Header{Name: "x-amz-trailer", Value: r.Header("x-amz-trailer")})
}

// encoding keeps what Content-Encoding says about the object.
func (f *framing) encoding(r *Request) {
	if rest := withoutToken(r.Header("content-encoding"), "aws-chunked"); rest != "" {
		f.add = append(f.add, sigv4.Header{Name: "content-encoding", Value: rest})
	}
}

// apply puts the framing's headers and payload into a call.
func (f *framing) apply(c *storage.Call) {
	c.Headers = slices.DeleteFunc(c.Headers, func(h sigv4.Header) bool { return slices.Contains(f.drop, h.Name) })
	c.Headers = append(c.Headers, f.add...)
	c.Payload, c.ContentLength = f.payload, f.length
}

func hasToken(list, token string) bool { return withoutToken(list, token) != strings.TrimSpace(list) }

// withoutToken removes one element of a comma-separated header value.
func withoutToken(list, token string) string {
	items := strings.Split(list, ",")
	kept := items[:0]
	for _, i := range items {
		if i = strings.TrimSpace(i); i != "" && !strings.EqualFold(i, token) {
			kept = append(kept, i)
		}
	}
	return strings.Join(kept, ",")
}

const checksumPrefix = "x-amz-checksum-"

// checksumHeaders are the checksums that a client declared of its body in headers of their own.
func checksumHeaders(r *Request) (all []sigv4.Header) {
	for _, h := range r.Head.Headers {
		if name, ok := strings.CutPrefix(h.Name, checksumPrefix); ok && name != "algorithm" && name != "type" {
			all = append(all, h)
		}
	}
	return all
}

// checksumOf is what a client declared of its body, for event and ledger: "crc32:<base64>", and with a space between where there are more. An
// exact x-amz-content-sha256 is one of them.
func checksumOf(r *Request) string {
	var all []string
	for _, h := range checksumHeaders(r) {
		all = append(all, strings.TrimPrefix(h.Name, checksumPrefix)+":"+h.Value)
	}
	if v := r.Header("content-md5"); v != "" {
		all = append(all, "md5:"+v)
	}
	if sum, err := hex.DecodeString(r.payload()); err == nil && len(sum) == sha256.Size && !r.HasHeader("x-amz-checksum-sha256") {
		all = append(all, "sha256:"+base64.StdEncoding.EncodeToString(sum))
	}
	return strings.Join(all, " ")
}
