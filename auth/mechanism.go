package auth

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"partway/auth/sigv4"
)

// credential is a request's proof, parsed and not yet believed.
type credential struct {
	mechanism Mechanism
	token     string // the JWT: a bearer, or the access key id
	payload   string // what the body must be
	signed    *signed
}

// signed is what a SigV4 credential adds.
type signed struct {
	place     place
	amzDate   string // in sigv4.TimeFormat
	time      time.Time
	expires   time.Duration // of a presigned request; 0 in the header
	scope     sigv4.Scope
	headers   []string // SignedHeaders: lower-case, sorted, each once
	signature string
}

// The services of a credential. One that is signed for the one proves nothing at the other.
const (
	serviceS3  = "s3"
	serviceSTS = "sts"
)

// parse reads how r wants to prove itself: exactly one mechanism, and no fallback from one to another.
func (v *Verifier) parse(r *Request, service string) (*credential, error) {
	q, err := parseQuery(r.Query)
	if err != nil {
		return nil, err
	}
	authorization, inHeader, err := single(r.Headers, "authorization")
	if err != nil {
		return nil, fmt.Errorf("%w: two Authorization headers", ErrTwoMechanisms)
	}
	switch {
	case inHeader && (q.sigV4 || q.sigV2), q.sigV4 && q.sigV2:
		return nil, fmt.Errorf("%w: use the Authorization header or the query, not both", ErrTwoMechanisms)
	case q.sigV2, inHeader && strings.HasPrefix(authorization, "AWS "):
		return nil, &Refusal{Err: ErrSigV2, Elements: []Element{hint("With aws-cli v1, run `aws configure set default.s3.signature_version s3v4`.")}}
	}
	// Redirect followers replay this header to storage, so nothing of ours ever travels in it.
	if _, has, err := single(r.Headers, "x-amz-security-token"); has || err != nil || q.has[paramSecurityToken] {
		return nil, &Refusal{Err: ErrSecurityToken, Elements: []Element{hint("Remove the session token (AWS_SESSION_TOKEN) and keep the access key.")}}
	}
	switch {
	case q.sigV4:
		return v.parseQueryCredential(r, q, service)
	case !inHeader:
		return nil, fmt.Errorf("%w: sign the request, or send Authorization: Bearer", ErrNoCredentials)
	}
	if scheme, token, _ := strings.Cut(authorization, " "); strings.EqualFold(scheme, "Bearer") {
		return parseBearer(r, strings.TrimSpace(token))
	}
	return v.parseHeaderCredential(r, authorization, service)
}

func parseBearer(r *Request, token string) (*credential, error) {
	payload, has, err := payloadHeader(r)
	if err != nil {
		return nil, err
	}
	if !has {
		payload = sigv4.UnsignedPayload
	}
	if chunkSigned(payload) {
		return nil, fmt.Errorf("%w: a bearer has no key for the chunk signatures of %s", ErrMalformed, payload)
	}
	return &credential{mechanism: MechanismBearer, token: token, payload: payload}, nil
}

// single returns the value of a header that may stand in a request once.
func single(headers []sigv4.Header, name string) (value string, has bool, err error) {
	for _, h := range headers {
		if h.Name != name {
			continue
		}
		if has {
			return "", true, fmt.Errorf("%w: more than one %s header", ErrMalformed, name)
		}
		value, has = strings.Trim(h.Value, " \t"), true
	}
	return value, has, nil
}

func payloadHeader(r *Request) (payload string, has bool, err error) {
	payload, has, err = single(r.Headers, "x-amz-content-sha256")
	if err != nil || !has {
		return "", false, err
	}
	return payload, true, checkPayload(payload)
}

func checkPayload(payload string) error {
	switch payload {
	case sigv4.UnsignedPayload, sigv4.StreamingSigned, sigv4.StreamingSignedTrailer, sigv4.StreamingUnsignedTrailer:
		return nil
	}
	if raw, err := hex.DecodeString(payload); err == nil && len(raw) == 32 && payload == strings.ToLower(payload) {
		return nil
	}
	return invalidArgument("x-amz-content-sha256", payload, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "+
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, "+
		"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.")
}

func chunkSigned(payload string) bool {
	return payload == sigv4.StreamingSigned || payload == sigv4.StreamingSignedTrailer
}
