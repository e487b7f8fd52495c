package sigv4

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"pgregory.net/rapid"
)

// newSDKSigner is made anew for every input: the SDK's signer keeps keys by access key id and day, and would sign a second
// secret of the same id with the key of the first.
func newSDKSigner() *v4.Signer {
	return v4.NewSigner(func(o *v4.SignerOptions) {
		o.DisableURIPathEscaping = true // S3's dialect
		o.DisableHeaderHoisting = true
	})
}

// input is a request that both signers get.
type input struct {
	method, path, query string
	headers             []Header // without host
	signer              *Signer
	ttl                 time.Duration
	now                 time.Time
}

const inputHost = "storage.example:9000"

func drawInput(t *rapid.T) input {
	text := rapid.String()
	in := input{
		method: rapid.SampledFrom([]string{"GET", "PUT", "POST", "HEAD", "DELETE"}).Draw(t, "method"),
		path:   "/bucket/" + EncodePath(text.Draw(t, "key")),
		ttl:    time.Duration(rapid.IntRange(1, 604800).Draw(t, "ttl")) * time.Second,
		now:    time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "now"), 0),
		signer: &Signer{AccessKeyID: rapid.StringMatching(`[A-Za-z0-9._-]{1,40}`).Draw(t, "access key id"),
			Secret: text.Draw(t, "secret"), Region: "us-east-1", Service: "s3",
			SessionToken: rapid.StringMatching(`([A-Za-z0-9+/=]{8,30})?`).Draw(t, "session token")},
	}
	// One value a name, names as S3 has them: where the SDK's order and AWS's are the same.
	names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z][A-Za-z0-9-]{1,8}`), 0, 4, rapid.ID[string]).Draw(t, "names")
	var pairs []string
	for _, name := range names {
		pairs = append(pairs, name+"="+EncodeQuery(text.Draw(t, "value")))
	}
	in.query = strings.Join(pairs, "&")
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`x-amz-meta-[a-z]{1,4}`), 0, 3, rapid.ID[string]).Draw(t, "headers") {
		in.headers = append(in.headers, Header{name, rapid.StringMatching(`[ -~]{0,20}`).Draw(t, "header")})
	}
	return in
}

func (in input) request() *Request {
	return &Request{Method: in.method, Path: in.path, Query: in.query, Payload: UnsignedPayload,
		Headers: append([]Header{{"host", inputHost}}, in.headers...)}
}

func (in input) sdkRequest(t fataler) *http.Request {
	u, err := url.Parse("http://" + inputHost + in.path + "?" + in.query)
	if err != nil {
		t.Fatalf("parse URL: %v", err)
	}
	// The SDK signs EscapedPath, which net/url keeps as written only where it would decode to the same.
	u.Opaque = "//" + inputHost + in.path
	r := &http.Request{Method: in.method, URL: u, Host: inputHost, Header: http.Header{}}
	for _, h := range in.headers {
		r.Header.Add(h.Name, h.Value)
	}
	return r
}

func (in input) credentials() aws.Credentials {
	return aws.Credentials{AccessKeyID: in.signer.AccessKeyID, SecretAccessKey: in.signer.Secret, SessionToken: in.signer.SessionToken}
}

type fataler interface{ Fatalf(string, ...any) }

func checkPresign(t fataler, in input) {
	r := in.sdkRequest(t)
	q := r.URL.Query()
	q.Set("X-Amz-Expires", strconv.Itoa(int(in.ttl/time.Second)))
	r.URL.RawQuery = q.Encode()
	signed, _, err := newSDKSigner().PresignHTTP(context.Background(), in.credentials(), r, UnsignedPayload, "s3", "us-east-1", in.now)
	if err != nil {
		t.Fatalf("SDK: %v", err)
	}
	_, want, _ := strings.Cut(signed, "?")
	if got := in.signer.Presign(in.request(), in.ttl, in.now); got != want {
		t.Fatalf("query\n%s\nthe SDK's\n%s", got, want)
	}
}

func checkHeader(t fataler, in input) {
	r := in.sdkRequest(t)
	r.Header.Set("X-Amz-Content-Sha256", UnsignedPayload)
	if err := newSDKSigner().SignHTTP(context.Background(), in.credentials(), r, UnsignedPayload, "s3", "us-east-1", in.now); err != nil {
		t.Fatalf("SDK: %v", err)
	}
	own := in.request()
	own.Headers = append(own.Headers, Header{"x-amz-date", r.Header.Get("X-Amz-Date")}, Header{"x-amz-content-sha256", UnsignedPayload})
	if in.signer.SessionToken != "" {
		own.Headers = append(own.Headers, Header{"x-amz-security-token", in.signer.SessionToken})
	}
	if got, want := in.signer.SignHeader(own, in.now), r.Header.Get("Authorization"); got != want {
		t.Fatalf("Authorization\n%s\nthe SDK's\n%s", got, want)
	}
}

func TestPresignEqualsSDK(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkPresign(t, drawInput(t)) })
}

func TestSignHeaderEqualsSDK(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkHeader(t, drawInput(t)) })
}

func FuzzEqualsSDK(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) {
		in := drawInput(t)
		checkPresign(t, in)
		checkHeader(t, in)
	}))
}

// What the SDK's S3 client makes of an UploadPart with its length and checksum signed, we make too.
func TestPresignEqualsPresignClient(t *testing.T) {
	client := s3.New(s3.Options{Region: "us-east-1", UsePathStyle: true, BaseEndpoint: aws.String("http://" + inputHost),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "SECRET"}, nil
		})})
	presigner := s3.NewPresignClient(client, s3.WithPresignExpires(15*time.Minute))
	for _, key := range []string{"plain", "a dir/ké+y", "a//b", "per%cent", "(!*')@:;,$&=~"} {
		t.Run(key, func(t *testing.T) {
			const uploadID = "abc.DEF~1+/="
			made, err := presigner.PresignUploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String("bkt"), Key: aws.String(key),
				PartNumber: aws.Int32(7), UploadId: aws.String(uploadID), ContentLength: aws.Int64(5 << 20), ChecksumCRC32: aws.String("AAAAAA==")})
			if err != nil {
				t.Fatal(err)
			}
			// The presign client has no clock to set: read its own.
			u, err := url.Parse(made.URL)
			if err != nil {
				t.Fatal(err)
			}
			now, err := time.Parse(TimeFormat, u.Query().Get("X-Amz-Date"))
			if err != nil {
				t.Fatal(err)
			}
			r := &Request{Method: "PUT", Path: "/bkt/" + EncodePath(key), Query: "partNumber=7&uploadId=" + EncodeQuery(uploadID) + "&x-id=UploadPart"}
			for name, values := range made.SignedHeader {
				r.Headers = append(r.Headers, Header{strings.ToLower(name), values[0]})
			}
			s := &Signer{AccessKeyID: "AKIDEXAMPLE", Secret: "SECRET", Region: "us-east-1", Service: "s3"}
			if got := "http://" + inputHost + r.Path + "?" + s.Presign(r, 15*time.Minute, now); got != made.URL {
				t.Errorf("URL\n%s\nthe SDK's\n%s", got, made.URL)
			}
		})
	}
}

func benchmarkInput() input {
	return input{method: "PUT", path: "/bkt/a%20dir/k%C3%A9%2By", query: "partNumber=7&uploadId=abc.DEF~1%2B%2F%3D&x-id=UploadPart",
		signer: &Signer{AccessKeyID: "AKIDEXAMPLE", Secret: "SECRET", Region: "us-east-1", Service: "s3"},
		ttl:    5 * time.Minute, now: time.Unix(1700000000, 0)}
}

func BenchmarkPresign(b *testing.B) {
	in := benchmarkInput()
	r := in.request()
	b.ReportAllocs()
	for b.Loop() {
		in.signer.Presign(r, in.ttl, in.now)
	}
}

func BenchmarkPresignSDK(b *testing.B) {
	in, signer := benchmarkInput(), newSDKSigner()
	b.ReportAllocs()
	for b.Loop() {
		r := in.sdkRequest(b)
		if _, _, err := signer.PresignHTTP(b.Context(), in.credentials(), r, UnsignedPayload, "s3", "us-east-1", in.now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignHeader(b *testing.B) {
	in := benchmarkInput()
	r := in.request()
	r.Headers = append(r.Headers, Header{"x-amz-date", "20231114T221320Z"}, Header{"x-amz-content-sha256", UnsignedPayload})
	b.ReportAllocs()
	for b.Loop() {
		in.signer.SignHeader(r, in.now)
	}
}
