package auth

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"partway/auth/sigv4"
)

// maxPresignSeconds is S3's: one week.
const maxPresignSeconds = 604800

// query is what authentication reads of a query. Anything it acts on stands there once.
type query struct {
	sigV4, sigV2, securityToken bool
	params                      map[string]string // X-Amz-* parameters, decoded; nil without any
}

// parseQuery decodes each parameter once. Two of one name would let the part that authorises and the part that acts read
// different ones, so those that either acts on are refused.
func parseQuery(raw string) (*query, error) {
	q := &query{}
	var partNumber, uploadID bool
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		encodedName, encodedValue, _ := strings.Cut(pair, "=")
		name, err := sigv4.DecodeQuery(encodedName)
		if err != nil {
			return nil, fmt.Errorf("%w: query: %w", ErrMalformed, err)
		}
		value, err := sigv4.DecodeQuery(encodedValue)
		if err != nil {
			return nil, fmt.Errorf("%w: query: %w", ErrMalformed, err)
		}
		twice := false
		switch {
		case name == "partNumber":
			twice, partNumber = partNumber, true
		case name == "uploadId":
			twice, uploadID = uploadID, true
		case name == "AWSAccessKeyId":
			q.sigV2 = true
		case len(name) > 6 && strings.EqualFold(name[:6], "X-Amz-"):
			twice = q.addParam(name, value)
		}
		if twice {
			return nil, fmt.Errorf("%w: the query has %s twice", ErrMalformed, name)
		}
	}
	return q, nil
}

// addParam keeps an X-Amz-* parameter under its lower-case name: in whatever case it came, it is one parameter.
func (q *query) addParam(name, value string) (twice bool) {
	if q.params == nil {
		q.params = make(map[string]string, 8)
	}
	lower := strings.ToLower(name)
	_, twice = q.params[lower]
	q.params[lower] = value
	if lower == "x-amz-security-token" {
		q.securityToken = true
	} else {
		q.sigV4 = true
	}
	return twice
}

// parseQueryCredential reads a presigned request: "Authenticating Requests: Using Query Parameters", S3 API Reference.
func (v *Verifier) parseQueryCredential(r *Request, q *query) (*credential, error) {
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
		"X-Amz-SignedHeaders", "X-Amz-Signature"} {
		if q.params[strings.ToLower(name)] == "" {
			return nil, fmt.Errorf("%w: %s is missing in the query", ErrMalformed, name)
		}
	}
	if q.params["x-amz-algorithm"] != sigv4.Algorithm {
		return nil, fmt.Errorf("%w: X-Amz-Algorithm must be %s", ErrMalformed, sigv4.Algorithm)
	}
	seconds, err := strconv.Atoi(q.params["x-amz-expires"])
	if err != nil || seconds < 1 || seconds > maxPresignSeconds {
		return nil, fmt.Errorf("%w: X-Amz-Expires must be 1 to %d seconds", ErrMalformed, maxPresignSeconds)
	}
	s := &signed{expires: time.Duration(seconds) * time.Second, signature: q.params["x-amz-signature"]}
	token, err := v.parseScope(s, q.params["x-amz-credential"])
	if err != nil {
		return nil, err
	}
	if err := s.parseDate(q.params["x-amz-date"]); err != nil {
		return nil, err
	}
	if err := s.parseRest(q.params["x-amz-signedheaders"]); err != nil {
		return nil, err
	}
	payload, err := queryPayload(r, q)
	if err != nil {
		return nil, err
	}
	return &credential{MechanismQuery, token, payload, s}, nil
}

// queryPayload is x-amz-content-sha256 from the headers (which are refused if unsigned) or the query, else
// UNSIGNED-PAYLOAD.
func queryPayload(r *Request, q *query) (string, error) {
	payload, inHeader, err := payloadHeader(r)
	if err != nil {
		return "", err
	}
	param, inQuery := q.params["x-amz-content-sha256"]
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
