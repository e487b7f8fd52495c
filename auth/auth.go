// Package auth answers who is asking and what they may touch.
//
// A request proves itself in one of three ways: Authorization: Bearer <JWT of class bearer>; SigV4 in the Authorization
// header; SigV4 in the query. For SigV4 the access key id is a JWT of class key, and its secret is derived from the
// exact bytes of that JWT under a versioned master key, so nothing is stored per token.
//
// Verifier.Authenticate is the way in. Its order: pure parse (mechanism.go, parse_header.go, parse_query.go), token
// (token.go: signature, class, issuer, audience, times; revocation.go), SigV4 in constant time (verifier.go). The scopes
// of the Identity it returns answer what may be touched (scope.go), by the rules of object keys (objectkey.go).
//
// Tokens of other issuers are let in by roles: Foreign (foreign.go, foreigntoken.go, role.go) holds them to the keys that
// their issuers publish (keyset.go, jwk.go). They come as bearers, or to the two operations of AWS's Security Token
// Service (sts.go), which gives a key in exchange, narrowed by an inline policy (policy.go, narrow.go).
//
// Issuer makes tokens, Sealer hides storage's upload ids; both stand on the keys of keys.go.
//
// It imports nothing of ours but sigv4.
package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"partway/auth/sigv4"
)

// Errors of Authenticate and of the scopes. Each is returned wrapped in a sentence that helps the caller, or in a Refusal.
var (
	ErrNoCredentials  = errors.New("no credentials") // nothing to authenticate with
	ErrTwoMechanisms  = errors.New("more than one authentication mechanism")
	ErrSigV2          = errors.New("signatures of version 2 are not supported")
	ErrMalformed      = errors.New("malformed authorization") // header or query that is not SigV4
	ErrToken          = errors.New("invalid token")           // malformed, unknown key, wrong class, issuer, audience, not yet valid
	ErrExpired        = errors.New("token expired")
	ErrRevoked        = errors.New("token revoked")
	ErrFrozen         = errors.New("tenant frozen")                     // its tokens are refused until it is thawed
	ErrSecurityToken  = errors.New("security tokens are not used here") // X-Amz-Security-Token on a request
	ErrSignature      = errors.New("signature does not match")
	ErrClockSkew      = errors.New("request time too skewed")
	ErrPresignExpired = errors.New("presigned request expired")
	ErrUnsignedHeader = errors.New("header must be signed")      // an x-amz-* or content-md5 header outside SignedHeaders
	ErrStale          = errors.New("revocations cannot be read") // the warm set is older than max staleness
	ErrAccessDenied   = errors.New("access denied")
	ErrBadKey         = errors.New("invalid object key")  // see ValidKey
	ErrKeyTooLong     = errors.New("object key too long") // over MaxKeyBytes
	ErrSealedID       = errors.New("no such upload")
	ErrGrant          = errors.New("invalid grant") // asked of Issue
	ErrTokenTooLong   = errors.New("token too long")

	ErrIssuerUnreachable = errors.New("issuer cannot be reached") // and its keys are unknown, or too old
	ErrSTSRequest        = errors.New("invalid request")          // a parameter of an STS operation is missing, malformed or unknown
	ErrNoRole            = errors.New("no such role")
	ErrPolicy            = errors.New("policy not understood") // an inline policy outside the subset that ParsePolicy names
	ErrPolicyTooLarge    = errors.New("policy too large")
)

// Malformed authorization that S3 has codes of its own for: errors.Is finds ErrMalformed in them too.
var (
	ErrMalformedQuery  = fmt.Errorf("%w: query", ErrMalformed)
	ErrInvalidArgument = fmt.Errorf("%w: argument", ErrMalformed)
	ErrNoDate          = fmt.Errorf("%w: no valid date", ErrMalformed)
)

// Class of a token. The two are never interchangeable.
type Class string

// The classes.
const (
	ClassKey    Class = "key"
	ClassBearer Class = "bearer"
)

// Identity is who a request was proved to come from. Shared between requests: never changed after it is made.
type Identity struct {
	TokenID   string // jti
	Tenant    string
	Subject   string
	Operator  bool
	Class     Class
	Scopes    []Scope
	Addresses []netip.Prefix // see CheckAddress; none: from anywhere
	KID       string         // of our key that signed the token; "" for a foreign issuer's
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Request is what authentication reads of an HTTP request. Strings are as on the wire.
type Request struct {
	Method, Path, Query string
	Headers             []sigv4.Header // all of them, names lower-case, in order
}

// Mechanism is how a request proved itself.
type Mechanism string

// The mechanisms.
const (
	MechanismBearer Mechanism = "bearer"
	MechanismHeader Mechanism = "header"
	MechanismQuery  Mechanism = "query"
)

// Proof says how a request was signed and what its body must therefore be. It shares no memory with the Request.
type Proof struct {
	Mechanism Mechanism
	Payload   string        // x-amz-content-sha256 as signed; UNSIGNED-PAYLOAD for bearer and query without one
	Chunks    *sigv4.Chunks // verifies the body's chunks; nil unless Payload is one of the StreamingSigned forms
}
