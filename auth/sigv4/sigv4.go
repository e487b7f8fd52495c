// Package sigv4 is AWS Signature Version 4 for S3, the algorithm alone: canonical request, keys, header and query
// signing, chunk signatures. It knows no tokens, no HTTP library and no clock.
//
// S3's dialect: the path is percent-decoded once and encoded again by AWS's rules, never normalised, and never encoded
// twice. Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
package sigv4

import "time"

// Header is one header field; Name is lower-case, Value is as it stood on the wire.
type Header struct{ Name, Value string }

// Payload forms that stand in for a body's SHA-256 in x-amz-content-sha256.
const (
	UnsignedPayload          = "UNSIGNED-PAYLOAD"
	StreamingSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// TimeFormat is the form of X-Amz-Date.
const TimeFormat = "20060102T150405Z"

// Request is what a signature covers.
type Request struct {
	Method  string
	Path    string   // as on the wire
	Query   string   // as on the wire, without "?"; X-Amz-Signature is left out of the canonical form
	Headers []Header // those to be signed, host among them, in any order; a name that occurs twice is joined by ","
	Payload string   // hex SHA-256 of the body, or one of the payload forms
}

// Scope is the credential scope of a signature.
type Scope struct{ Date, Region, Service string } // Date as 20060102

// Signer signs requests with one identity. Safe for concurrent use; it keeps the day's key.
type Signer struct {
	AccessKeyID, Secret, SessionToken string
	Region, Service                   string
	// unexported: cache of the derived key by day
}

// SignHeader returns the value of Authorization. r.Headers must hold host, x-amz-date (of now) and x-amz-content-sha256.
func (s *Signer) SignHeader(r *Request, now time.Time) string { panic("not yet") }

// Presign returns the whole query (r.Query, the X-Amz-* parameters and the signature) for a request whose signed headers
// are r.Headers and whose payload is UNSIGNED-PAYLOAD. Same bytes as the AWS SDK's presigner makes for the same input.
func (s *Signer) Presign(r *Request, ttl time.Duration, now time.Time) string { panic("not yet") }

// EncodePath percent-encodes a decoded path by AWS's rules, "/" kept.
func EncodePath(s string) string { panic("not yet") }

// EncodeQuery percent-encodes a decoded query key or value by AWS's rules.
func EncodeQuery(s string) string { panic("not yet") }

// Chunks verifies the chunk signatures of a StreamingSigned body, each of which covers the one before. Not safe for
// concurrent use.
type Chunks struct{ _ int }

// Verify checks the signature of the next chunk, given the SHA-256 of its data; the last chunk is empty.
func (c *Chunks) Verify(sha256 [32]byte, signature string) bool { panic("not yet") }

// VerifyTrailer checks x-amz-trailer-signature over the trailer lines ("name:value\n" each, as S3 signs them).
func (c *Chunks) VerifyTrailer(trailer []byte, signature string) bool { panic("not yet") }
