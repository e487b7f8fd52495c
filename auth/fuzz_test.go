package auth

import (
	"encoding/base64"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"partway/auth/sigv4"
)

// Nothing that was not issued and signed gets in, whatever it looks like; and nothing panics.

func FuzzAuthorizationHeader(f *testing.F) {
	w := newWorld(f)
	r := signHeader(put(), signer(w.issue(f, ClassKey)), emptySHA256, noon)
	genuine, _, err := single(r.Headers, "authorization")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(genuine)
	token := "Bearer " + w.issue(f, ClassBearer).Token
	f.Add(token)
	f.Add("AWS AKID:sig")
	f.Add("AWS4-HMAC-SHA256 Credential=a/20261122/us-east-1/s3/aws4_request,SignedHeaders=host,Signature=00")
	f.Fuzz(func(t *testing.T, authorization string) {
		c := r.clone().with("authorization", authorization)
		id, _, err := w.verifier.Authenticate(c, noon)
		if (id == nil) != (err != nil) {
			t.Fatalf("%+v, %v", id, err)
		}
		// Only the genuine one passes: its whitespace and the order of its fields may differ, its words not.
		if err == nil && words(authorization) != words(genuine) && words(authorization) != words(token) {
			t.Fatalf("accepted %q", authorization)
		}
	})
}

func words(authorization string) string {
	fields := strings.FieldsFunc(authorization, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' })
	slices.Sort(fields[min(1, len(fields)):])
	return strings.ToLower(strings.Join(fields, " "))
}

func FuzzQuery(f *testing.F) {
	w := newWorld(f)
	r := presign(put(), signer(w.issue(f, ClassKey)), time.Minute, noon)
	genuine := canonicalQuery(f, r.Query)
	f.Add(r.Query)
	f.Add("AWSAccessKeyId=a&Signature=b&Expires=1")
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2F20261122%2Fus-east-1%2Fs3%2Faws4_request")
	f.Add("partNumber=1&part%4Eumber=2&%zz")
	f.Fuzz(func(t *testing.T, query string) {
		c := r.clone()
		c.Query = query
		if _, _, err := w.verifier.Authenticate(c, noon); err == nil && canonicalQuery(t, query) != genuine {
			t.Fatalf("accepted %q", query)
		}
	})
}

// canonicalQuery is what a query means, order and spelling aside: the one that Presign signs, made comparable.
func canonicalQuery(t testing.TB, query string) string {
	scope := sigv4.Scope{Date: "d", Region: "r", Service: "s"}
	signature, err := sigv4.Signature(sigv4.Key{}, &sigv4.Request{Path: "/", Query: query}, "", scope)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

func FuzzToken(f *testing.F) {
	w := newWorld(f)
	genuine := w.issue(f, ClassBearer).Token
	f.Add(genuine)
	f.Add("a.b.c")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + ".e30.")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"`+w.signing.KID+`"}`)) + ".e30.AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := w.verifier.token(text, ClassBearer, noon); err == nil && text != genuine {
			t.Fatalf("accepted %q", text)
		}
	})
}

func FuzzOpen(f *testing.F) {
	s := newSealer(f, master(1, true))
	genuine := s.Seal(UploadRef{Backend: "main", StorageID: "x"}, "uploads", "acme/x")
	f.Add(genuine, "uploads", "acme/x")
	f.Add("AQ", "uploads", "")
	f.Fuzz(func(t *testing.T, id, bucket, key string) {
		if _, err := s.Open(id, bucket, key); err == nil && (id != genuine || bucket+"\x00"+key != "uploads\x00acme/x") {
			t.Fatalf("opened %q for %q %q", id, bucket, key)
		}
	})
}

func FuzzValidKey(f *testing.F) {
	for _, key := range []string{"a/b", "../a", "a/./b", "a\x00", "\xff", "/", "a//b"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if ValidKey(key) != nil {
			return
		}
		if !utf8.ValidString(key) || len(key) > MaxKeyBytes || strings.ContainsAny(key, "\x00\r\n") {
			t.Fatalf("accepted %q", key)
		}
		// Cleaning may join slashes and must not resolve anything.
		if cleaned, joined := path.Clean("/"+key), "/"+strings.Join(strings.FieldsFunc(key, func(r rune) bool { return r == '/' }), "/"); cleaned != joined {
			t.Fatalf("%q is stored as %q", key, cleaned)
		}
	})
}
