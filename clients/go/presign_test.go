package partway

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
)

func client(direct func(*middleware.Stack) error) *s3.Client {
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("https://gw.example.com"), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		HTTPClient:  doer(func(*http.Request) (*http.Response, error) { panic("sent") }),
		APIOptions:  []func(*middleware.Stack) error{direct},
	})
}

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(r *http.Request) (*http.Response, error) { return d(r) }

func TestPresignedURLsStayAsTheyAre(t *testing.T) {
	sign := func(direct func(*middleware.Stack) error) (string, http.Header) {
		r, err := s3.NewPresignClient(client(direct)).PresignPutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String("b"), Key: aws.String("k"), Body: strings.NewReader("hello"), ContentType: aws.String("text/plain")})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(r.URL)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		for _, name := range []string{"X-Amz-Date", "X-Amz-Credential", "X-Amz-Signature"} {
			q.Del(name)
		}
		return q.Encode(), r.SignedHeader
	}
	want, wantHeader := sign(func(*middleware.Stack) error { return nil })
	got, gotHeader := sign(Direct())
	if got != want || len(gotHeader) != len(wantHeader) {
		t.Errorf("with Direct: %s %v\nwithout: %s %v", got, gotHeader, want, wantHeader)
	}
}

func TestAStorageThatIsNoURLIsTheErrorOfEveryCall(t *testing.T) {
	c := client(Direct("s3.example.com"))
	_, put := c.PutObject(context.Background(), &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k")})
	_, list := c.ListBuckets(context.Background(), &s3.ListBucketsInput{})
	for _, err := range []error{put, list} {
		if err == nil || !strings.Contains(err.Error(), `"s3.example.com"`) {
			t.Errorf("%v", err)
		}
	}
}
