package sigv4

import (
	"errors"
	"net/url"
	"testing"

	"pgregory.net/rapid"
)

var testScope = Scope{"20261122", "us-east-1", "s3"}

func sign(t *testing.T, r Request) string {
	t.Helper()
	signature, err := Signature(DeriveKey("secret", testScope), &r, "20261122T000000Z", testScope)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func TestSameMeaningSameSignature(t *testing.T) {
	host := []Header{{"host", "h"}}
	for _, c := range []struct {
		name string
		a, b Request
		same bool
	}{
		{"escaped and plain path", Request{Path: "/b/%6Bey"}, Request{Path: "/b/key"}, true},
		{"escaped slash", Request{Path: "/b/a%2Fb"}, Request{Path: "/b/a/b"}, true},
		{"decoded once", Request{Path: "/b/%256B"}, Request{Path: "/b/%6B"}, false},
		{"no normalisation", Request{Path: "/b/x/../y"}, Request{Path: "/b/y"}, false},
		{"double slash", Request{Path: "/b//y"}, Request{Path: "/b/y"}, false},
		{"plus in a path is a plus", Request{Path: "/b/a+b"}, Request{Path: "/b/a%20b"}, false},
		{"plus in a query is a space", Request{Query: "prefix=a+b"}, Request{Query: "prefix=a%20b"}, true},
		{"escaped plus in a query", Request{Query: "prefix=a%2Bb"}, Request{Query: "prefix=a%20b"}, false},
		{"order of parameters", Request{Query: "b=1&a=2"}, Request{Query: "a=2&b=1"}, true},
		{"parameter without value", Request{Query: "uploads"}, Request{Query: "uploads="}, true},
		{"the signature itself", Request{Query: "a=1&X-Amz-Signature=00"}, Request{Query: "a=1"}, true},
		{"the signature, escaped", Request{Query: "a=1&X%2DAmz-Signature=00"}, Request{Query: "a=1"}, true},
		{"inner spaces of a header", Request{Headers: []Header{{"x", " a  b "}}}, Request{Headers: []Header{{"x", "a b"}}}, true},
		{"a header twice", Request{Headers: []Header{{"x", "a"}, {"x", "b"}}}, Request{Headers: []Header{{"x", "a,b"}}}, true},
		{"order of one name's values", Request{Headers: []Header{{"x", "a"}, {"x", "b"}}}, Request{Headers: []Header{{"x", "b"}, {"x", "a"}}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.a.Headers, c.b.Headers = append(c.a.Headers, host...), append(c.b.Headers, host...)
			if same := sign(t, c.a) == sign(t, c.b); same != c.same {
				t.Errorf("same signature: %v, want %v", same, c.same)
			}
		})
	}
}

func TestInvalidEscapeIsRefused(t *testing.T) {
	for _, r := range []Request{
		{Path: "/%"}, {Path: "/%4"}, {Path: "/%zz"}, {Path: "/%4g"},
		{Path: "/", Query: "%"}, {Path: "/", Query: "a=%4"}, {Path: "/", Query: "X-Amz-Signature=%"},
	} {
		if _, err := Signature(Key{}, &r, "", Scope{}); !errors.Is(err, ErrEscape) {
			t.Errorf("%+v: %v, want ErrEscape", r, err)
		}
		if got := new(Signer).SignHeader(&r, exampleTime) + new(Signer).Presign(&r, 1, exampleTime); got != "" {
			t.Errorf("%+v was signed: %s", r, got)
		}
	}
}

func TestEncodingRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if got, err := DecodeQuery(EncodeQuery(s)); err != nil || got != s {
			t.Fatalf("query: %q, %v", got, err)
		}
		if got, err := url.PathUnescape(EncodePath(s)); err != nil || got != s {
			t.Fatalf("path: %q, %v", got, err)
		}
	})
}

func TestKeyCacheFollowsTheDay(t *testing.T) {
	var c KeyCache
	for _, date := range []string{"20261122", "20261123", "20261122"} {
		for range 2 {
			s := Scope{date, "us-east-1", "s3"}
			if c.Key("secret", s) != DeriveKey("secret", s) {
				t.Errorf("%s: not the derived key", date)
			}
		}
	}
}
