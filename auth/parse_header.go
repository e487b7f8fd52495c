package auth

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"partway/auth/sigv4"
)

// httpDate is the form of the Date header: IMF-fixdate, RFC 9110 section 5.6.7.
const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// parseHeaderCredential reads
//
//	AWS4-HMAC-SHA256 Credential=AKID/date/region/service/aws4_request, SignedHeaders=a;b, Signature=hex
//
// whose three fields stand in any order, each once.
func (v *Verifier) parseHeaderCredential(r *Request, authorization, service string) (*credential, error) {
	algorithm, fields, _ := strings.Cut(authorization, " ")
	if algorithm != sigv4.Algorithm {
		return nil, fmt.Errorf("%w: the algorithm must be %s or Bearer", ErrMalformed, sigv4.Algorithm)
	}
	var value struct{ credential, headers, signature string }
	for field := range strings.SplitSeq(fields, ",") {
		name, text, _ := strings.Cut(strings.Trim(field, " \t"), "=")
		var to *string
		switch name {
		case "Credential":
			to = &value.credential
		case "SignedHeaders":
			to = &value.headers
		case "Signature":
			to = &value.signature
		}
		if to == nil || *to != "" || text == "" {
			return nil, fmt.Errorf("%w: Authorization must hold Credential, SignedHeaders and Signature, each once", ErrMalformed)
		}
		*to = text
	}
	s := &signed{signature: value.signature}
	token, err := v.parseScope(s, value.credential, service)
	if err != nil {
		return nil, err
	}
	if err := s.parseHeaderDate(r); err != nil {
		return nil, err
	}
	if err := s.parseRest(value.headers); err != nil {
		return nil, err
	}
	payload, has, err := payloadHeader(r)
	if err != nil {
		return nil, err
	}
	if !has && service == serviceS3 { // the one service whose clients must say what they signed
		return nil, fmt.Errorf("%w: x-amz-content-sha256 is missing", ErrMalformed)
	}
	return &credential{MechanismHeader, token, payload, s}, nil
}

// parseScope cuts AKID/date/region/service/aws4_request; a JWT holds no slash.
func (v *Verifier) parseScope(s *signed, text, service string) (accessKeyID string, err error) {
	parts := strings.Split(text, "/")
	if len(parts) != 5 || parts[0] == "" {
		return "", fmt.Errorf("%w: the credential must be ACCESS-KEY-ID/date/region/%s/aws4_request", ErrMalformed, service)
	}
	s.scope = sigv4.Scope{Date: parts[1], Region: parts[2], Service: parts[3]}
	switch {
	case s.scope.Region != v.region:
		return "", fmt.Errorf("%w: the region %q is wrong; expecting %q", ErrMalformed, s.scope.Region, v.region)
	case s.scope.Service != service:
		return "", fmt.Errorf("%w: the service %q is wrong; expecting %q", ErrMalformed, s.scope.Service, service)
	case parts[4] != sigv4.Terminator:
		return "", fmt.Errorf("%w: the credential must end in %s", ErrMalformed, sigv4.Terminator)
	}
	return parts[0], nil
}

// parseHeaderDate takes X-Amz-Date, or Date where there is none; Date may also be an HTTP date.
func (s *signed) parseHeaderDate(r *Request) error {
	text, has, err := single(r.Headers, "x-amz-date")
	if err == nil && !has {
		text, has, err = single(r.Headers, "date")
		if t, notHTTP := time.Parse(httpDate, text); has && notHTTP == nil {
			text = t.UTC().Format(sigv4.TimeFormat)
		}
	}
	if err != nil {
		return err
	}
	if !has {
		return fmt.Errorf("%w: x-amz-date is missing", ErrMalformed)
	}
	return s.parseDate(text)
}

func (s *signed) parseDate(text string) error {
	t, err := time.Parse(sigv4.TimeFormat, text)
	// time.Parse takes a fraction of a second, which no signature has.
	if err != nil || len(text) != len(sigv4.TimeFormat) {
		return fmt.Errorf("%w: the date must look like %s", ErrMalformed, sigv4.TimeFormat)
	}
	if s.scope.Date != text[:8] {
		return fmt.Errorf("%w: the credential's date is not that of the request", ErrMalformed)
	}
	s.time, s.amzDate = t, text
	return nil
}

// parseRest reads SignedHeaders and checks the form of the signature.
func (s *signed) parseRest(signedHeaders string) error {
	s.headers = strings.Split(signedHeaders, ";")
	for i, name := range s.headers {
		if name == "" || name != strings.ToLower(name) || i > 0 && name <= s.headers[i-1] {
			return fmt.Errorf("%w: SignedHeaders must be lower-case, sorted and each once", ErrMalformed)
		}
	}
	if !slices.Contains(s.headers, "host") {
		return fmt.Errorf("%w: host", ErrUnsignedHeader)
	}
	if raw, err := hex.DecodeString(s.signature); err != nil || len(raw) != 32 {
		return fmt.Errorf("%w: the signature must be 64 hex digits", ErrMalformed)
	}
	return nil
}
