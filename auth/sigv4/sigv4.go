// Package sigv4 is AWS Signature Version 4 for S3, the algorithm alone: canonical request, keys, header and query
// signing, chunk signatures. It knows no tokens, no HTTP library and no clock.
//
// S3's dialect: the path is percent-decoded once and encoded again by AWS's rules, never normalised, and never encoded
// twice. Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.
//
// A signature is one straight line: Request -> canonical request (canonical.go) -> string to sign -> HMAC under a Key
// (key.go). Signer makes signatures, Signature recomputes the one that a request should carry, and Chunks follows those
// inside a body.
package sigv4

// Header is one header field; Name is lower-case, Value is as it stood on the wire.
type Header struct{ Name, Value string }

// Payload forms that stand in for a body's SHA-256 in x-amz-content-sha256.
const (
	UnsignedPayload          = "UNSIGNED-PAYLOAD"
	StreamingSigned          = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingSignedTrailer   = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingUnsignedTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// Algorithm is the first word of Authorization and the value of X-Amz-Algorithm.
const Algorithm = "AWS4-HMAC-SHA256"

// TimeFormat is the form of X-Amz-Date.
const TimeFormat = "20060102T150405Z"

// Terminator is the last element of every credential scope.
const Terminator = "aws4_request"

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

// String is the scope as the string to sign has it: date/region/service/aws4_request.
func (s Scope) String() string { return string(s.append(nil)) }

func (s Scope) append(dst []byte) []byte {
	dst = append(append(dst, s.Date...), '/')
	dst = append(append(dst, s.Region...), '/')
	dst = append(append(dst, s.Service...), '/')
	return append(dst, Terminator...)
}
