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
	algorithm, fields, found := strings.Cut(authorization, " ")
	switch {
	case !found:
		return nil, invalidArgument("Authorization", authorization, "Authorization header is invalid -- one and only one ' ' (space) required.")
	case algorithm != sigv4.Algorithm:
		return nil, invalidArgument("Authorization", algorithm, "Unsupported Authorization Type")
	}
	value, err := components(fields)
	if err != nil {
		return nil, err
	}
	s := &signed{place: headerPlace, signature: value["Signature"]}
	token, err := v.parseScope(s, value["Credential"], service)
	if err != nil {
		return nil, err
	}
	if err := s.parseHeaderDate(r); err != nil {
		return nil, err
	}
	if err := s.parseRest(value["SignedHeaders"]); err != nil {
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

// components cuts the three fields of Authorization.
func components(fields string) (map[string]string, error) {
	value := map[string]string{}
	list := strings.Split(fields, ",")
	if len(list) != 3 {
		return nil, headerPlace.malformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
	}
	for _, field := range list {
		field = strings.Trim(field, " \t")
		name, text, found := strings.Cut(field, "=")
		if !found {
			return nil, headerPlace.malformed("the authorization component %q is malformed.", shown(field))
		}
		value[name] = text
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if value[name] == "" {
			return nil, headerPlace.malformed("missing %s.", name)
		}
	}
	return value, nil
}

// scopeDate is the form of the date in a credential.
const scopeDate = "20060102"

// parseScope cuts AKID/date/region/service/aws4_request; a JWT holds no slash.
func (v *Verifier) parseScope(s *signed, text, service string) (accessKeyID string, err error) {
	parts := strings.Split(text, "/")
	if len(parts) != 5 || parts[0] == "" {
		return "", s.place.malformed(`the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	}
	s.scope = sigv4.Scope{Date: parts[1], Region: parts[2], Service: parts[3]}
	switch {
	case parts[4] != sigv4.Terminator:
		return "", s.place.malformed("incorrect terminal %q. This endpoint uses %q.", shown(parts[4]), sigv4.Terminator)
	case s.scope.Service != service:
		return "", s.place.malformed("incorrect service %q. This endpoint belongs to %q.", shown(s.scope.Service), service)
	case s.scope.Region != v.region:
		refusal := s.place.malformed("the region %q is wrong; expecting %q", shown(s.scope.Region), v.region)
		refusal.Elements = []Element{{"Region", v.region}}
		return "", refusal
	}
	if _, err := time.Parse(scopeDate, s.scope.Date); err != nil {
		return "", s.place.malformed(`incorrect date format %q. This date in the credential must be in the format "yyyyMMdd".`, shown(s.scope.Date))
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
	if !has || s.parseTime(text) != nil {
		return ErrNoDate
	}
	if s.scope.Date != text[:len(scopeDate)] {
		return headerPlace.malformed("Invalid credential date. Date is not the same as X-Amz-Date.")
	}
	return nil
}

func (s *signed) parseTime(text string) error {
	t, err := time.Parse(sigv4.TimeFormat, text)
	// time.Parse takes a fraction of a second, which no signature has.
	if err != nil || len(text) != len(sigv4.TimeFormat) {
		return ErrNoDate
	}
	s.time, s.amzDate = t, text
	return nil
}

// parseRest reads SignedHeaders and checks the form of the signature.
func (s *signed) parseRest(signedHeaders string) error {
	s.headers = strings.Split(signedHeaders, ";")
	for i, name := range s.headers {
		if name == "" || name != strings.ToLower(name) || i > 0 && name <= s.headers[i-1] {
			return fmt.Errorf("%w: SignedHeaders must be lower-case, sorted and each once", s.place.err)
		}
	}
	if !slices.Contains(s.headers, "host") {
		return unsignedHeaders([]string{"host"})
	}
	if raw, err := hex.DecodeString(s.signature); err != nil || len(raw) != 32 {
		return fmt.Errorf("%w: the signature must be 64 hex digits", s.place.err)
	}
	return nil
}
