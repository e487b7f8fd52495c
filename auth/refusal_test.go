package auth

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"partway/auth/sigv4"
)

// TestRefusalInS3sWords holds the sentences that depend on the request to S3's own, which tools and people search for.
func TestRefusalInS3sWords(t *testing.T) {
	w := newWorld(t)
	key, token := w.issue(t, ClassKey), w.issue(t, ClassBearer)
	header := func() *Request { return signHeader(put(), signer(key), emptySHA256, noon) }
	query := func() *Request { return presign(put(), signer(key), time.Minute, noon) }
	authorization := func(value string) *Request { return put(sigv4.Header{Name: "authorization", Value: value}) }
	for _, c := range []struct {
		name    string
		r       *Request
		want    error
		message string
		element Element
	}{
		{"region", header().edit("authorization", "/us-east-1/", "/us-west-1/"), ErrMalformed,
			`The authorization header is malformed; the region "us-west-1" is wrong; expecting "us-east-1"`, Element{"Region", "us-east-1"}},
		{"date of the scope", header().edit("authorization", "/20261122/", "/3223423234/"), ErrMalformed,
			`The authorization header is malformed; incorrect date format "3223423234". This date in the credential must be in the format "yyyyMMdd".`, Element{}},
		{"two components", authorization("AWS4-HMAC-SHA256 Credential=a/20261122/us-east-1/s3/aws4_request, Signature=00"), ErrMalformed,
			"The authorization header is malformed; the authorization header requires three components: Credential, SignedHeaders, and Signature.", Element{}},
		{"a component without =", authorization("AWS4-HMAC-SHA256 Credential=a, SignedHeaders-host, Signature=00"), ErrMalformed,
			`The authorization header is malformed; the authorization component "SignedHeaders-host" is malformed.`, Element{}},
		{"a component of another name", authorization("AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Sign=00"), ErrMalformed,
			"The authorization header is malformed; missing Signature.", Element{}},
		{"no scheme", authorization("secret"), ErrInvalidArgument,
			"Authorization header is invalid -- one and only one ' ' (space) required.", Element{"ArgumentValue", "secret"}},
		{"a bearer without its scheme", authorization(token.Token), ErrInvalidArgument,
			"Authorization header is invalid -- one and only one ' ' (space) required.", Element{"ArgumentValue", ""}},
		{"region of a query", presign(put(), func() *sigv4.Signer { s := signer(key); s.Region = "eu-west-1"; return s }(), time.Minute, noon), ErrMalformedQuery,
			`Error parsing the X-Amz-Credential parameter; the region "eu-west-1" is wrong; expecting "us-east-1"`, Element{"Region", "us-east-1"}},
		{"expiry that is no number", query().param("X-Amz-Expires", "soon"), ErrMalformedQuery, "X-Amz-Expires should be a number", Element{}},
		{"access key id of another kind", header().edit("authorization", key.Token, "AKIDEXAMPLE"), ErrToken, "", Element{"AWSAccessKeyId", "AKIDEXAMPLE"}},
		{"long access key id of another kind", header().edit("authorization", key.Token, "an_access_key_id_of_forty_characters_and_more"), ErrToken, "",
			Element{"AWSAccessKeyId", "an_access_key_id_of_forty_characters_and_more"}},
		{"secret as access key id", header().edit("authorization", key.Token, key.Secret), ErrToken, "", Element{"AWSAccessKeyId", ""}},
		{"signature as access key id", header().edit("authorization", key.Token, emptySHA256), ErrToken, "", Element{"AWSAccessKeyId", ""}},
		{"bearer as access key id", header().edit("authorization", key.Token, token.Token), ErrToken, "", Element{"AWSAccessKeyId", ""}},
		{"unsigned headers", header().with("x-amz-copy-source", "a/b").with("x-amz-tagging", "a=b"), ErrUnsignedHeader, "",
			Element{"HeadersNotSigned", "x-amz-copy-source, x-amz-tagging"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := w.verifier.Authenticate(c.r, noon)
			var refusal *Refusal
			if !errors.Is(err, c.want) || !errors.As(err, &refusal) {
				t.Fatalf("%v, want a refusal that is %v", err, c.want)
			}
			if refusal.Message != c.message {
				t.Errorf("says %q\nwant %q", refusal.Message, c.message)
			}
			if c.element.Name != "" && !slices.Contains(refusal.Elements, c.element) {
				t.Errorf("elements %v lack %v", refusal.Elements, c.element)
			}
			if strings.Contains(err.Error(), token.Token) {
				t.Errorf("shows a bearer: %v", err)
			}
		})
	}
}
