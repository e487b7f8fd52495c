// Package auth answers who is asking and what they may touch.
//
// A request proves itself in one of three ways: Authorization: Bearer <JWT of class bearer>; SigV4 in the Authorization
// header; SigV4 in the query. For SigV4 the access key id is a JWT of class key, and its secret is derived from the
// exact bytes of that JWT under a versioned master key, so nothing is stored per token.
//
// Verifier.Authenticate is the only way in. Its order: pure parse, token (signature, class, issuer, audience, times,
// revocation), SigV4 in constant time. The scopes of the Identity it returns answer what may be touched.
//
// It imports nothing of ours but sigv4.
package auth

import (
	"context"
	"errors"
	"time"

	"partway/auth/sigv4"
)

// Errors of Authenticate and of the scopes. Each is returned wrapped in a sentence that helps the caller.
var (
	ErrNoCredentials  = errors.New("no credentials") // nothing to authenticate with
	ErrTwoMechanisms  = errors.New("more than one authentication mechanism")
	ErrSigV2          = errors.New("Signature Version 2 is not supported")
	ErrMalformed      = errors.New("malformed authorization") // header or query that is not SigV4
	ErrToken          = errors.New("invalid token")           // malformed, unknown key, wrong class, issuer, audience, not yet valid
	ErrExpired        = errors.New("token expired")
	ErrRevoked        = errors.New("token revoked")
	ErrSecurityToken  = errors.New("security tokens are not used here") // X-Amz-Security-Token on a request
	ErrSignature      = errors.New("signature does not match")
	ErrClockSkew      = errors.New("request time too skewed")
	ErrPresignExpired = errors.New("presigned request expired")
	ErrUnsignedHeader = errors.New("header must be signed")      // an x-amz-* or content-md5 header outside SignedHeaders
	ErrStale          = errors.New("revocations cannot be read") // the warm set is older than max staleness
	ErrAccessDenied   = errors.New("access denied")
	ErrSealedID       = errors.New("no such upload")
	ErrTokenTooLong   = errors.New("token too long")
)

// Class of a token. The two are never interchangeable.
type Class string

// The classes.
const (
	ClassKey    Class = "key"
	ClassBearer Class = "bearer"
)

// Scope is one grant: actions, in S3's own names with the "s3:" prefix, on the keys of one bucket under one prefix.
type Scope struct {
	Bucket         string            `json:"bucket"`  // "*" for every bucket: operators only
	Prefix         string            `json:"prefix"`  // whole path segments; "" for the whole bucket
	Actions        []string          `json:"actions"` // "s3:PutObject", ...; "s3:*" for all
	MaxObjectBytes int64             `json:"max_object_bytes,omitempty"`
	MaxOpenUploads int               `json:"max_open_uploads,omitempty"`
	Transfer       []string          `json:"transfer,omitempty"` // roads this scope may take, of redirect, relay, sign; empty: all
	Resume         bool              `json:"resume,omitempty"`
	NoOverwrite    bool              `json:"no_overwrite,omitempty"`
	ForceHeaders   map[string]string `json:"force_headers,omitempty"`
}

// Identity is who a request was proved to come from. Shared between requests: never changed after it is made.
type Identity struct {
	TokenID   string // jti
	Tenant    string
	Subject   string
	Operator  bool
	Class     Class
	Scopes    []Scope
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Authorize returns the first scope that allows the action on bucket and key (decoded; "" for actions on the bucket
// itself), else an error that wraps ErrAccessDenied and names what the token does allow.
func (id *Identity) Authorize(action, bucket, key string) (*Scope, error) { panic("not yet") }

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

// Proof says how a request was signed and what its body must therefore be.
type Proof struct {
	Mechanism Mechanism
	Payload   string        // x-amz-content-sha256 as signed; UNSIGNED-PAYLOAD for bearer and query without one
	Chunks    *sigv4.Chunks // verifies the body's chunks; nil unless Payload is one of the StreamingSigned forms
}

// Verifier authenticates requests. Safe for concurrent use.
type Verifier struct{ _ int }

// Authenticate proves a request or says why not; see the package comment for the order.
func (v *Verifier) Authenticate(r *Request, now time.Time) (*Identity, *Proof, error) {
	panic("not yet")
}

// Grant is what a token is asked for.
type Grant struct {
	Class    Class
	Tenant   string
	Subject  string
	Operator bool
	Scopes   []Scope
	TTL      time.Duration
}

// Issued is a token that was made. Secret is shown once and never stored.
type Issued struct {
	ID, Tenant, Subject string
	Class               Class
	Operator            bool
	Scopes              []Scope
	IssuedAt, ExpiresAt time.Time
	Token               string // the JWT: access key id or bearer
	Secret              string // secret access key; "" for a bearer
}

// Issuer makes tokens.
type Issuer struct{ _ int }

// Issue checks the grant and signs a token. ErrTokenTooLong past 2 KiB for class key.
func (i *Issuer) Issue(g Grant, now time.Time) (*Issued, error) { panic("not yet") }

// RevocationSource is read every few seconds by Verifier.Watch.
type RevocationSource func(ctx context.Context) ([]Revocation, error)

// Revocation ends one token, or every token of a tenant issued before At.
type Revocation struct {
	TokenID, Tenant string
	At              time.Time
}

// UploadRef is what a sealed upload id hides.
type UploadRef struct {
	Backend   string
	StorageID string // storage's own upload id
	Flags     uint8
}

// Sealer turns storage's upload ids into ours and back. Deterministic: the same upload has the same id wherever it shows.
type Sealer struct{ _ int }

// Seal returns base64url(key version ‖ AEAD(ref), bound to bucket NUL key).
func (s *Sealer) Seal(ref UploadRef, bucket, key string) string { panic("not yet") }

// Open reverses Seal. ErrSealedID for anything that Seal did not make for this bucket and key.
func (s *Sealer) Open(id, bucket, key string) (UploadRef, error) { panic("not yet") }
