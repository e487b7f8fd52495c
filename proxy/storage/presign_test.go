package storage

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/auth/sigv4"
)

// fixedClock is the SDK's presigner at noon.
type fixedClock struct{ *v4.Signer }

func (f fixedClock) PresignHTTP(ctx context.Context, id aws.Credentials, r *http.Request, payload, service, region string, _ time.Time, opts ...func(*v4.SignerOptions)) (string, http.Header, error) {
	return f.Signer.PresignHTTP(ctx, id, r, payload, service, region, noon, opts...)
}

// sdk is the SDK's presign client of the same backend, with an identity of its own.
func sdk(b *Backend, id Credentials, ttl time.Duration) *s3.PresignClient {
	o := b.sdk.Options()
	o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id.AccessKeyID, SecretAccessKey: id.SecretAccessKey}, nil
	})
	return s3.NewPresignClient(s3.New(o), func(o *s3.PresignOptions) {
		o.Expires = ttl
		o.Presigner = fixedClock{v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })}
	})
}

// The same URL, byte for byte, as the SDK makes for the same input.
func TestPresignedAsSDK(t *testing.T) {
	for _, endpoint := range []string{"http://127.0.0.1:9000", "https://s3.example"} {
		for style, change := range map[string]func(*Config){"path style": nil, "virtual-host style": virtualHost} {
			b := newBackend(t, endpoint, change)
			for _, key := range oddKeys {
				if !utf8.ValidString(key) {
					continue // not a string that the SDK can be given
				}
				ctx, bucket, uploadID := t.Context(), "bucket", "an+id/with=odd~chars"
				for name, c := range map[string]struct {
					call Call
					id   Credentials
					want func(*s3.PresignClient) (*v4.PresignedHTTPRequest, error)
				}{
					"UploadPart": {
						Call{Method: "PUT", ContentLength: 8 << 20, Query: []Param{{"uploadId", uploadID}, {"partNumber", "12"}}}, put,
						func(p *s3.PresignClient) (*v4.PresignedHTTPRequest, error) {
							return p.PresignUploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: &uploadID, PartNumber: aws.Int32(12), ContentLength: aws.Int64(8 << 20)})
						},
					},
					"UploadPart with checksum and MD5": {
						Call{Method: "PUT", ContentLength: 5, Query: []Param{{"uploadId", uploadID}, {"partNumber", "1"}},
							Headers: []sigv4.Header{{Name: "x-amz-checksum-crc32", Value: "NhCmhg=="}, {Name: "content-md5", Value: "XUFAKrxLKna5cZ2REBfFkg=="}}}, put,
						func(p *s3.PresignClient) (*v4.PresignedHTTPRequest, error) {
							return p.PresignUploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: &uploadID, PartNumber: aws.Int32(1), ContentLength: aws.Int64(5),
								ChecksumCRC32: aws.String("NhCmhg=="), ContentMD5: aws.String("XUFAKrxLKna5cZ2REBfFkg==")})
						},
					},
					"UploadPart of unknown length": {
						Call{Method: "PUT", ContentLength: -1, Query: []Param{{"partNumber", "10000"}, {"uploadId", uploadID}}}, put,
						func(p *s3.PresignClient) (*v4.PresignedHTTPRequest, error) {
							return p.PresignUploadPart(ctx, &s3.UploadPartInput{Bucket: &bucket, Key: &key, UploadId: &uploadID, PartNumber: aws.Int32(10000)})
						},
					},
					"PutObject": {
						Call{Method: "PUT", ContentLength: 1, Headers: []sigv4.Header{{Name: "content-type", Value: "text/plain"}, {Name: "x-amz-meta-a", Value: "1"}}}, put,
						func(p *s3.PresignClient) (*v4.PresignedHTTPRequest, error) {
							return p.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: &key, ContentLength: aws.Int64(1), ContentType: aws.String("text/plain"), Metadata: map[string]string{"a": "1"}})
						},
					},
					"GetObject": {
						Call{Method: "GET", Query: []Param{{"response-content-type", "a/b"}, {"versionId", "v"}}}, get,
						func(p *s3.PresignClient) (*v4.PresignedHTTPRequest, error) {
							return p.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key, ResponseContentType: aws.String("a/b"), VersionId: aws.String("v")})
						},
					},
				} {
					c.call.Bucket, c.call.Key = bucket, key
					want, err := c.want(sdk(b, c.id, 5*time.Minute))
					if err != nil {
						t.Fatalf("%s of %q: %v", name, key, err)
					}
					got, _, err := b.Presigned(t.Context(), &c.call, acme, 5*time.Minute, noon)
					if err != nil || got != want.URL {
						t.Errorf("%s, %s of %q: %v\n got %s\nwant %s", style, name, key, err, got, want.URL)
					}
				}
			}
		}
	}
}

// Headers that the SDK would move into the query stay headers: the client replays them.
func TestPresignedHoistsNothing(t *testing.T) {
	b := newBackend(t, "http://127.0.0.1:9000", nil)
	got, _, err := b.Presigned(t.Context(), &Call{
		Method: "PUT", Bucket: "bucket", Key: "key", ContentLength: 5,
		Headers: []sigv4.Header{{Name: "x-amz-sdk-checksum-algorithm", Value: "CRC32"}, {Name: "x-amz-expected-bucket-owner", Value: "1"}},
	}, acme, time.Minute, noon)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(got)
	if err != nil {
		t.Fatal(err)
	}
	if want := "content-length;host;x-amz-expected-bucket-owner;x-amz-sdk-checksum-algorithm"; u.Query().Get("X-Amz-SignedHeaders") != want {
		t.Errorf("signed %s, want %s", u.Query().Get("X-Amz-SignedHeaders"), want)
	}
	// The SDK's signer as the judge: with hoisting off it signs the same.
	r, err := http.NewRequest(http.MethodPut, "http://127.0.0.1:9000/bucket/key?x-id=PutObject&X-Amz-Expires=60", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 5
	r.Header.Set("X-Amz-Sdk-Checksum-Algorithm", "CRC32")
	r.Header.Set("X-Amz-Expected-Bucket-Owner", "1")
	want, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: put.AccessKeyID, SecretAccessKey: put.SecretAccessKey}, r,
		sigv4.UnsignedPayload, "s3", "eu-central-1", noon, func(o *v4.SignerOptions) { o.DisableURIPathEscaping, o.DisableHeaderHoisting = true, true })
	if err != nil || got != want {
		t.Errorf("%v\n got %s\nwant %s", err, got, want)
	}
}

// The length of an empty body is signed as well, or anything could be sent in its place. (The SDK leaves it out.)
func TestPresignedEmptyBody(t *testing.T) {
	got, _, err := newBackend(t, "http://h:1", nil).Presigned(t.Context(), &Call{Method: "PUT", Bucket: "bucket", Key: "key"}, acme, time.Minute, noon)
	if err != nil || !strings.Contains(got, "X-Amz-SignedHeaders=content-length%3Bhost&") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestPresignedIdentities(t *testing.T) {
	call := func(method string) *Call {
		return &Call{Method: method, Bucket: "bucket", Key: "key", ContentLength: -1}
	}
	keyOf := func(t *testing.T, b *Backend, method string) string {
		t.Helper()
		s, _, err := b.Presigned(t.Context(), call(method), acme, time.Minute, noon)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		id, _, _ := strings.Cut(u.Query().Get("X-Amz-Credential"), "/")
		return id
	}
	all := newBackend(t, "http://h:1", nil)
	if p, g := keyOf(t, all, "PUT"), keyOf(t, all, "GET"); p != put.AccessKeyID || g != get.AccessKeyID {
		t.Errorf("PUT by %s, GET by %s", p, g)
	}
	one := newBackend(t, "http://h:1", func(c *Config) { c.PresignPut, c.PresignGet = nil, nil })
	if p := keyOf(t, one, "PUT"); p != root.AccessKeyID {
		t.Errorf("PUT by %s", p)
	}
	if s, _, err := one.Presigned(t.Context(), call("GET"), acme, time.Minute, noon); err == nil {
		t.Errorf("GET without presign_get: %s", s)
	}
}

// What is refused whatever the caller does: a URL is used by whoever holds it.
func TestPresignedRefuses(t *testing.T) {
	b := newBackend(t, "http://h:1", nil)
	for name, c := range map[string]Call{
		"copy source":           {Method: "PUT", Bucket: "b", Key: "k", Headers: []sigv4.Header{{Name: "x-amz-copy-source", Value: "/b/other"}}},
		"copy source, any case": {Method: "PUT", Bucket: "b", Key: "k", Headers: []sigv4.Header{{Name: "X-Amz-Copy-Source", Value: "/b/other"}}},
		"copy source range":     {Method: "PUT", Bucket: "b", Key: "k", Headers: []sigv4.Header{{Name: "x-amz-copy-source-range", Value: "bytes=0-1"}}},
		"POST":                  {Method: "POST", Bucket: "b", Key: "k", Query: []Param{{"uploads", ""}}},
		"DELETE":                {Method: "DELETE", Bucket: "b", Key: "k"},
		"HEAD":                  {Method: "HEAD", Bucket: "b", Key: "k"},
		"bucket":                {Method: "PUT", Bucket: "b"},
		"list":                  {Method: "GET", Bucket: "b", Query: []Param{{"list-type", "2"}}},
		"service":               {Method: "GET"},
		"PUT acl":               {Method: "PUT", Bucket: "b", Key: "k", Query: []Param{{"acl", ""}}},
		"PUT tagging":           {Method: "PUT", Bucket: "b", Key: "k", Query: []Param{{"tagging", ""}, {"uploadId", "u"}}},
		"part without number":   {Method: "PUT", Bucket: "b", Key: "k", Query: []Param{{"uploadId", "u"}}},
		"GET acl":               {Method: "GET", Bucket: "b", Key: "k", Query: []Param{{"acl", ""}}},
		"GET parts":             {Method: "GET", Bucket: "b", Key: "k", Query: []Param{{"uploadId", "u"}}},
	} {
		t.Run(name, func(t *testing.T) {
			if u, _, err := b.Presigned(t.Context(), &c, acme, time.Minute, noon); err == nil || u != "" {
				t.Errorf("presigned %s", u)
			}
		})
	}
}

func BenchmarkPresigned(b *testing.B) {
	s, err := New(Config{Name: "main", Endpoint: "http://127.0.0.1:9000", Region: "us-east-1", PathStyle: true, Credentials: root})
	if err != nil {
		b.Fatal(err)
	}
	c := &Call{Method: "PUT", Bucket: "uploads", Key: "acme/big.bin", ContentLength: 64 << 20, Query: []Param{{"partNumber", "7"}, {"uploadId", "0123456789abcdef0123456789abcdef"}},
		Headers: []sigv4.Header{{Name: "x-amz-checksum-crc32", Value: "NhCmhg=="}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Presigned(b.Context(), c, acme, 5*time.Minute, noon); err != nil {
			b.Fatal(err)
		}
	}
}
