package auth

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"partway/auth/sigv4"
)

// maxPresignSeconds is S3's: one week.
const maxPresignSeconds = 604800

// The parameters that authentication reads. In whatever case it comes, each is one parameter.
const (
	paramAlgorithm = iota
	paramCredential
	paramDate
	paramExpires
	paramSignedHeaders
	paramSignature
	paramPayload
	paramSecurityToken
	paramCount
)

var paramNames = [paramCount]string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
	"X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Content-Sha256", "X-Amz-Security-Token"}

// query is what authentication reads of a query.
type query struct {
	sigV4, sigV2 bool
	has          [paramCount]bool
	value        [paramCount]string // decoded
	once         []string           // other names that may stand there once: X-Amz-*, partNumber, uploadId
}

// parseQuery decodes each parameter once. Two of one name would let the part that authorises and the part that acts read
// different ones, so those that either acts on are refused.
func parseQuery(raw string) (*query, error) {
	q := &query{}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		name, err := sigv4.DecodeQuery(name)
		if err != nil {
			return nil, fmt.Errorf("%w: query: %w", ErrMalformed, err)
		}
		if value, err = sigv4.DecodeQuery(value); err != nil {
			return nil, fmt.Errorf("%w: query: %w", ErrMalformed, err)
		}
		if err := q.add(name, value); err != nil {
			return nil, err
		}
	}
	return q, nil
}

func (q *query) add(name, value string) error {
	const prefix = "X-Amz-"
	switch {
	case len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix):
		for i, known := range paramNames {
			if strings.EqualFold(name, known) {
				return q.set(i, name, value)
			}
		}
		q.sigV4 = true
	case name == "AWSAccessKeyId":
		q.sigV2 = true
		return nil
	case name != "partNumber" && name != "uploadId":
		return nil
	}
	if slices.ContainsFunc(q.once, func(other string) bool { return strings.EqualFold(name, other) }) {
		return fmt.Errorf("%w: the query has %s twice", ErrMalformed, name)
	}
	q.once = append(q.once, name)
	return nil
}

func (q *query) set(i int, name, value string) error {
	if q.has[i] {
		return fmt.Errorf("%w: the query has %s twice", ErrMalformed, name)
	}
	q.has[i], q.value[i] = true, value
	q.sigV4 = q.sigV4 || i != paramSecurityToken
	return nil
}

// parseQueryCredential reads a presigned request: "Authenticating Requests: Using Query Parameters", S3 API Reference.
func (v *Verifier) parseQueryCredential(r *Request, q *query, service string) (*credential, error) {
	for i := paramAlgorithm; i <= paramSignature; i++ {
		if q.value[i] == "" {
			return nil, invalidQuery("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, " +
				"X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
	}
	switch q.value[paramAlgorithm] {
	case sigv4.Algorithm:
	case "AWS4-ECDSA-P256-SHA256": // SigV4A, for which there is no key here
		return nil, invalidQuery("X-Amz-Algorithm only supports %q", sigv4.Algorithm)
	default:
		return nil, invalidQuery(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"`)
	}
	expires, err := parseExpires(q.value[paramExpires])
	if err != nil {
		return nil, err
	}
	s := &signed{place: queryPlace, expires: expires, signature: q.value[paramSignature]}
	token, err := v.parseScope(s, q.value[paramCredential], service)
	if err != nil {
		return nil, err
	}
	if s.parseTime(q.value[paramDate]) != nil {
		return nil, invalidQuery(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`)
	}
	if day := s.amzDate[:len(scopeDate)]; s.scope.Date != day {
		return nil, invalidQuery("Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", shown(s.scope.Date), day)
	}
	if err := s.parseRest(q.value[paramSignedHeaders]); err != nil {
		return nil, err
	}
	payload, err := queryPayload(r, q)
	if err != nil {
		return nil, err
	}
	return &credential{MechanismQuery, token, payload, s}, nil
}

func parseExpires(text string) (time.Duration, error) {
	seconds, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return 0, invalidQuery("X-Amz-Expires should be a number")
	case seconds < 0:
		return 0, invalidQuery("X-Amz-Expires must be non-negative")
	case seconds == 0:
		return 0, invalidQuery("X-Amz-Expires must be at least 1 second")
	case seconds > maxPresignSeconds:
		return 0, invalidQuery("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than %d seconds", maxPresignSeconds)
	}
	return time.Duration(seconds) * time.Second, nil
}

// queryPayload is x-amz-content-sha256 from the headers (which are refused if unsigned) or the query, else
// UNSIGNED-PAYLOAD.
func queryPayload(r *Request, q *query) (string, error) {
	payload, inHeader, err := payloadHeader(r)
	if err != nil {
		return "", err
	}
	param, inQuery := q.value[paramPayload], q.has[paramPayload]
	switch {
	case inQuery && inHeader && param != payload:
		return "", fmt.Errorf("%w: x-amz-content-sha256 differs between header and query", ErrMalformed)
	case inQuery:
		payload = param
		if err := checkPayload(payload); err != nil {
			return "", err
		}
	case !inHeader:
		payload = sigv4.UnsignedPayload
	}
	if chunkSigned(payload) {
		return "", fmt.Errorf("%w: %s must be signed in the Authorization header", ErrMalformed, payload)
	}
	return payload, nil
}
