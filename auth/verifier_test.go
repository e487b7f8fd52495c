package auth

import (
	"errors"
	"strings"
	"testing"
	"time"

	"partway/auth/sigv4"
)

func TestAccepted(t *testing.T) {
	w := newWorld(t)
	key, token := w.issue(t, ClassKey), w.issue(t, ClassBearer)
	sum := strings.Repeat("0a", 32)
	for _, c := range []struct {
		name      string
		r         *Request
		at        time.Time
		mechanism Mechanism
		payload   string
	}{
		{"header", signHeader(put(), signer(key), emptySHA256, noon), noon, MechanismHeader, emptySHA256},
		{"header, unsigned payload", signHeader(put(), signer(key), sigv4.UnsignedPayload, noon), noon, MechanismHeader, sigv4.UnsignedPayload},
		{"header, unsigned trailer", signHeader(put(), signer(key), sigv4.StreamingUnsignedTrailer, noon), noon, MechanismHeader, sigv4.StreamingUnsignedTrailer},
		{"header, signed chunks", signHeader(put(), signer(key), sigv4.StreamingSigned, noon), noon, MechanismHeader, sigv4.StreamingSigned},
		{"header, 15 minutes ahead", signHeader(put(), signer(key), emptySHA256, noon.Add(15*time.Minute)), noon, MechanismHeader, emptySHA256},
		{"header, 15 minutes behind", signHeader(put(), signer(key), emptySHA256, noon), noon.Add(15 * time.Minute), MechanismHeader, emptySHA256},
		{"query", presign(put(), signer(key), time.Minute, noon), noon, MechanismQuery, sigv4.UnsignedPayload},
		{"query, last second", presign(put(), signer(key), time.Minute, noon), noon.Add(time.Minute), MechanismQuery, sigv4.UnsignedPayload},
		{"query with its own parameter for the payload",
			presignPayload(put(), key, sigv4.StreamingUnsignedTrailer),
			noon, MechanismQuery, sigv4.StreamingUnsignedTrailer},
		{"bearer", bearer(put(), token.Token), noon, MechanismBearer, sigv4.UnsignedPayload},
		{"bearer with a hash", bearer(put(sigv4.Header{Name: "x-amz-content-sha256", Value: sum}), token.Token), noon, MechanismBearer, sum},
		{"bearer in lower case", bearer(put(), token.Token).edit("authorization", "Bearer", "bearer"), noon, MechanismBearer, sigv4.UnsignedPayload},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, run := range []string{"cold", "cached"} {
				id, proof, err := w.verifier.Authenticate(c.r, c.at)
				if err != nil {
					t.Fatalf("%s: %v", run, err)
				}
				if id.Tenant != "acme" || id.Subject != "alice" || !id.ExpiresAt.Equal(noon.Add(time.Hour)) || len(id.Scopes) != 1 {
					t.Errorf("%s: identity %+v", run, id)
				}
				if proof.Mechanism != c.mechanism || proof.Payload != c.payload || (proof.Chunks != nil) != (c.payload == sigv4.StreamingSigned) {
					t.Errorf("%s: proof %+v", run, proof)
				}
			}
		})
	}
}

func TestDateHeaderInPlaceOfAmzDate(t *testing.T) {
	w := newWorld(t)
	s := signer(w.issue(t, ClassKey))
	for _, form := range []string{sigv4.TimeFormat, httpDate} {
		r := put(sigv4.Header{Name: "date", Value: noon.Format(form)}, sigv4.Header{Name: "x-amz-content-sha256", Value: emptySHA256})
		r.with("authorization", s.SignHeader(toSign(r, emptySHA256), noon))
		if _, _, err := w.verifier.Authenticate(r, noon); err != nil {
			t.Errorf("%s: %v", form, err)
		}
	}
}

func TestRefused(t *testing.T) {
	w := newWorld(t)
	key, token := w.issue(t, ClassKey), w.issue(t, ClassBearer)
	header := func(h ...sigv4.Header) *Request { return signHeader(put(h...), signer(key), emptySHA256, noon) }
	query := func(h ...sigv4.Header) *Request { return presign(put(h...), signer(key), time.Minute, noon) }
	other := func(change func(*sigv4.Signer)) *sigv4.Signer {
		s := signer(key)
		change(s)
		return s
	}
	for _, c := range []struct {
		name  string
		r     *Request
		at    time.Time
		want  error
		words string // that help the caller
	}{
		{"nothing", put(), noon, ErrNoCredentials, ""},
		{"header and query", query().with("authorization", "Bearer x"), noon, ErrTwoMechanisms, ""},
		{"header and one parameter of the query", header().param("X-Amz-Date", "x"), noon, ErrTwoMechanisms, ""},
		{"header and a SigV2 query", header().param("AWSAccessKeyId", "x"), noon, ErrTwoMechanisms, ""},
		{"two Authorization headers", bearer(header(), token.Token), noon, ErrTwoMechanisms, ""},
		{"SigV2 header", put(sigv4.Header{Name: "authorization", Value: "AWS AKID:c2ln"}), noon, ErrSigV2, "aws configure set default.s3.signature_version s3v4"},
		{"SigV2 query", put().param("AWSAccessKeyId", "AKID").param("Signature", "x"), noon, ErrSigV2, "signature_version s3v4"},
		{"security token header", header(sigv4.Header{Name: "x-amz-security-token", Value: "t"}), noon, ErrSecurityToken, ""},
		{"security token query", presign(put(), other(func(s *sigv4.Signer) { s.SessionToken = "t" }), time.Minute, noon), noon, ErrSecurityToken, ""},
		{"other scheme", put(sigv4.Header{Name: "authorization", Value: "Basic eA=="}), noon, ErrInvalidArgument, ""},
		{"other algorithm", header().edit("authorization", "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), noon, ErrMalformed, ""},
		{"field missing", header().edit("authorization", "SignedHeaders=", "Signed="), noon, ErrMalformed, ""},
		{"field twice", header().edit("authorization", " SignedHeaders=", " Signature=00, SignedHeaders="), noon, ErrMalformed, ""},
		{"region", signHeader(put(), other(func(s *sigv4.Signer) { s.Region = "eu-west-1" }), emptySHA256, noon), noon, ErrMalformed, `expecting "us-east-1"`},
		{"service", signHeader(put(), other(func(s *sigv4.Signer) { s.Service = "sts" }), emptySHA256, noon), noon, ErrMalformed, ""},
		{"terminator", header().edit("authorization", "/aws4_request", "/aws5_request"), noon, ErrMalformed, ""},
		{"date of the scope", header().edit("authorization", "/20261122/", "/20261121/"), noon, ErrMalformed, ""},
		{"no date", header().without("x-amz-date"), noon, ErrNoDate, ""},
		{"date with a fraction", header().with("x-amz-date", "20261122T120000.5Z"), noon, ErrNoDate, ""},
		{"two dates", header(sigv4.Header{Name: "x-amz-date", Value: noon.Format(sigv4.TimeFormat)}), noon, ErrMalformed, ""},
		{"no payload hash", header().without("x-amz-content-sha256"), noon, ErrMalformed, "x-amz-content-sha256"},
		{"payload hash in upper case", signHeader(put(), signer(key), strings.ToUpper(emptySHA256), noon), noon, ErrMalformed, ""},
		{"unknown payload form", signHeader(put(), signer(key), "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", noon), noon, ErrInvalidArgument, ""},
		{"signed chunks in the query", presignPayload(put(), key, sigv4.StreamingSigned), noon, ErrMalformed, ""},
		{"signed chunks with a bearer", bearer(put(sigv4.Header{Name: "x-amz-content-sha256", Value: sigv4.StreamingSigned}), token.Token), noon, ErrMalformed, ""},
		{"payload differs between header and query", presign(put(sigv4.Header{Name: "x-amz-content-sha256", Value: emptySHA256}).
			param("X-Amz-Content-Sha256", sigv4.UnsignedPayload), signer(key), time.Minute, noon), noon, ErrMalformed, "differs"},
		{"host not signed", signHeader(put().without("host"), signer(key), emptySHA256, noon).with("host", testHost), noon, ErrUnsignedHeader, "host"},
		{"unsigned x-amz header", header().with("x-amz-copy-source", "uploads/other/x"), noon, ErrUnsignedHeader, "x-amz-copy-source"},
		{"unsigned content-md5", header().with("content-md5", "x"), noon, ErrUnsignedHeader, "content-md5"},
		{"unsigned x-amz header of a query", query().with("x-amz-copy-source", "uploads/other/x"), noon, ErrUnsignedHeader, "x-amz-copy-source"},
		{"unsigned payload header of a query", query().with("x-amz-content-sha256", emptySHA256), noon, ErrUnsignedHeader, ""},
		{"unsigned content-md5 of a query", query().with("content-md5", "x"), noon, ErrUnsignedHeader, ""},
		{"signed header missing", header(sigv4.Header{Name: "x-amz-meta-a", Value: "b"}).without("x-amz-meta-a"), noon, ErrSignature, "x-amz-meta-a"},
		{"signed headers in disorder", header().edit("authorization", "host;x-amz-content-sha256", "x-amz-content-sha256;host"), noon, ErrMalformed, ""},
		{"short signature", header().edit("authorization", "Signature=", "Signature=00"), noon, ErrMalformed, ""},
		{"other secret", signHeader(put(), other(func(s *sigv4.Signer) { s.Secret = "guess" }), emptySHA256, noon), noon, ErrSignature, ""},
		{"clock behind", header(), noon.Add(15*time.Minute + time.Second), ErrClockSkew, "differ by 15m1s"},
		{"clock ahead", signHeader(put(), signer(key), emptySHA256, noon.Add(15*time.Minute+time.Second)), noon, ErrClockSkew, ""},
		{"presigned for later", presign(put(), signer(key), time.Hour, noon.Add(15*time.Minute+time.Second)), noon, ErrClockSkew, ""},
		{"presigned and expired", query(), noon.Add(61 * time.Second), ErrPresignExpired, "2026-11-22T12:01:00Z"},
		{"presigned for nothing", presign(put(), signer(key), 0, noon), noon, ErrMalformedQuery, "X-Amz-Expires"},
		{"presigned for over a week", presign(put(), signer(key), 604801*time.Second, noon), noon, ErrMalformed, "604800"},
		{"presigned without expiry", query().param("X-Amz-Expires", ""), noon, ErrMalformed, "X-Amz-Expires"},
		{"presigned without algorithm", query().param("X-Amz-Algorithm", ""), noon, ErrMalformed, "X-Amz-Algorithm"},
		{"presigned by another algorithm", query().param("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"), noon, ErrMalformed, "X-Amz-Algorithm"},
		{"bad escape in the path", func() *Request { r := header(); r.Path = "/uploads/acme/%zz"; return r }(), noon, ErrMalformed, "path"},
		{"bad escape in the query", func() *Request { r := header(); r.Query = "a=%zz"; return r }(), noon, ErrMalformed, "query"},
		{"key token as bearer", bearer(put(), key.Token), noon, ErrToken, "class"},
		{"bearer token as access key id", signHeader(put(), other(func(s *sigv4.Signer) { s.AccessKeyID = token.Token }), emptySHA256, noon), noon, ErrToken, "class"},
		{"access key id of another kind", signHeader(put(), other(func(s *sigv4.Signer) { s.AccessKeyID = "AKIDEXAMPLE" }), emptySHA256, noon), noon, ErrToken, ""},
		{"empty bearer", bearer(put(), ""), noon, ErrToken, ""},
		{"expired bearer", bearer(put(), token.Token), noon.Add(time.Hour), ErrExpired, "2026-11-22T13:00:00Z"},
		{"expired key", signHeader(put(), signer(key), emptySHA256, noon.Add(time.Hour)), noon.Add(time.Hour), ErrExpired, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.now = c.at
			if err := w.verifier.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			id, proof, err := w.verifier.Authenticate(c.r, c.at)
			if !errors.Is(err, c.want) || id != nil || proof != nil {
				t.Fatalf("%v, %v, %v; want %v", id, proof, err, c.want)
			}
			if !strings.Contains(err.Error(), c.words) {
				t.Errorf("%q does not say %q", err, c.words)
			}
			if strings.Contains(err.Error(), key.Secret) || strings.Contains(err.Error(), token.Token) {
				t.Errorf("%q tells a secret", err)
			}
		})
	}
}

func TestDuplicateParametersAreRefused(t *testing.T) {
	w := newWorld(t)
	key := w.issue(t, ClassKey)
	for _, name := range []string{"partNumber", "uploadId", "part%4Eumber", "X-Amz-Date", "x-amz-date", "X%2DAmz-Signature", "X-Amz-Credential",
		"X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Algorithm", "X-Amz-Foo=1&X-Amz-Foo"} {
		t.Run(name, func(t *testing.T) {
			r := presign(put(), signer(key), time.Minute, noon)
			r.Query += "&" + name + "=2"
			if _, _, err := w.verifier.Authenticate(r, noon); !errors.Is(err, ErrMalformed) {
				t.Errorf("%v, want ErrMalformed", err)
			}
		})
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	w := newWorld(b)
	key, token := w.issue(b, ClassKey), w.issue(b, ClassBearer)
	for name, r := range map[string]*Request{
		"header": signHeader(put(), signer(key), emptySHA256, noon),
		"query":  presign(put(), signer(key), time.Minute, noon),
		"bearer": bearer(put(), token.Token),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := w.verifier.Authenticate(r, noon); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("uncached token", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.verifier.verifyToken(token.Token, noon); err != nil {
				b.Fatal(err)
			}
		}
	})
}
