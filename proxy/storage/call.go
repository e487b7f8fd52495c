package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"partway/auth/sigv4"
	"partway/proxy/relay"
)

// Param is one decoded query parameter. A sub-resource without a value ("uploads") has Value "".
type Param struct{ Name, Value string }

// Call is a request to storage before it is signed.
type Call struct {
	Method, Bucket, Key string         // Bucket "" for the service, Key "" for the bucket; decoded
	Query               []Param        // decoded, any order
	Headers             []sigv4.Header // to be signed and sent, without host, x-amz-date, authorization, content-length
	Payload             string         // x-amz-content-sha256, which is left out of Headers; "" means the SHA-256 of an empty body, for Do of body
	ContentLength       int64          // of the body; -1: unknown (chunked). Signed only by Presigned of a PUT, when >= 0
}

// Target is the request target that storage gets: encoded path (with the bucket when path style) and "?query".
func (b *Backend) Target(c *Call) string {
	path, query := b.path(c), c.query()
	if query == "" {
		return path
	}
	return path + "?" + query
}

func (b *Backend) path(c *Call) string {
	switch {
	case c.Bucket == "":
		return "/"
	case b.virtualHost(c.Bucket):
		return "/" + sigv4.EncodePath(c.Key)
	case c.Key == "":
		return "/" + sigv4.EncodePath(c.Bucket)
	default:
		return "/" + sigv4.EncodePath(c.Bucket) + "/" + sigv4.EncodePath(c.Key)
	}
}

func (c *Call) query() string {
	var q strings.Builder
	for _, p := range c.Query {
		if q.Len() > 0 {
			q.WriteByte('&')
		}
		q.WriteString(sigv4.EncodeQuery(p.Name))
		q.WriteByte('=')
		q.WriteString(sigv4.EncodeQuery(p.Value))
	}
	return q.String()
}

// hostOf is the Host header of a request about bucket.
func (b *Backend) hostOf(bucket string) string {
	if b.virtualHost(bucket) {
		return bucket + "." + b.host
	}
	return b.host
}

// virtualHost reports whether bucket goes into the host. Like the SDKs it leaves buckets in the path that are no host labels, or that
// a wildcard certificate does not cover.
func (b *Backend) virtualHost(bucket string) bool {
	if b.config.PathStyle || bucket == "" || strings.HasPrefix(bucket, ".") {
		return false
	}
	for _, c := range []byte(bucket) {
		if !isHostByte(c) || c == '.' && b.scheme == "https" {
			return false
		}
	}
	return true
}

func isHostByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.'
}

// Relayed signs c into its header and returns what relay.Exchange.Put sends. ErrUnavailable, wrapped, if there are no credentials before ctx ends.
func (b *Backend) Relayed(ctx context.Context, c *Call, now time.Time) (*relay.Request, error) {
	ctx, cancel := context.WithTimeout(ctx, ownTimeout)
	defer cancel()
	signer, _, err := b.sign.signer(ctx, now)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %w", c.Method, b.host, ErrUnavailable, err)
	}
	return &relay.Request{
		Method:  c.Method,
		Target:  b.Target(c),
		Headers: b.signedHeaders(signer, c, nil, now),
		Length:  c.ContentLength,
	}, nil
}

// signedHeaders are all headers of c, signed by signer, and the signature.
func (b *Backend) signedHeaders(signer *sigv4.Signer, c *Call, body []byte, now time.Time) []sigv4.Header {
	payload := c.Payload
	if payload == "" {
		payload = sha256Hex(body)
	}
	headers := make([]sigv4.Header, 0, len(c.Headers)+5)
	headers = append(headers,
		sigv4.Header{Name: "host", Value: b.hostOf(c.Bucket)},
		sigv4.Header{Name: "x-amz-content-sha256", Value: payload},
		sigv4.Header{Name: "x-amz-date", Value: now.UTC().Format(sigv4.TimeFormat)})
	if signer.SessionToken != "" {
		headers = append(headers, sigv4.Header{Name: "x-amz-security-token", Value: signer.SessionToken})
	}
	headers = append(headers, c.Headers...)
	authorization := signer.SignHeader(&sigv4.Request{
		Method: c.Method, Path: b.path(c), Query: c.query(), Headers: headers, Payload: payload,
	}, now)
	return append(headers, sigv4.Header{Name: "authorization", Value: authorization})
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
