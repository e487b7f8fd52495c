package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"partway/e2e/harness"
)

// Keys that something on the way might clean, decode twice or take for a part of the URL, and their one canonical form in a path.
var oddKeys = []struct{ key, raw string }{
	{"plain", "plain"},
	{"a b", "a%20b"},
	{"a+b", "a%2Bb"},
	{"%2F", "%252F"},
	{"%252e%252e/x", "%25252e%25252e/x"},
	{"a//b", "a//b"},
	{"/lead", "/lead"},
	{"//", "//"},
	{"trail/", "trail/"},
	{"a?b=c&uploads", "a%3Fb%3Dc%26uploads"},
	{"a#b", "a%23b"},
	{"ü/日本/e\u0301", "%C3%BC/%E6%97%A5%E6%9C%AC/e%CC%81"},
	{"=&;:@,$!*'()", "%3D%26%3B%3A%40%2C%24%21%2A%27%28%29"},
	{"~-_.", "~-_."},
	{`a\b`, "a%5Cb"},
	{"http://host/x", "http%3A//host/x"},
	{strings.Repeat("é", 512), strings.Repeat("%C3%A9", 512)}, // 1024 bytes
}

// What a client writes under a key is under that key at storage, byte for byte, and comes back; every request is signed over the path that
// is sent.
func TestOddKeysArriveAsTheyAre(t *testing.T) {
	storage := newRecording(t)
	g, keys := storage.gateway(t)
	const bucket = "uploads"
	for _, style := range []struct {
		name string
		path bool
	}{{"path style", true}, {"virtual-host style", false}} {
		t.Run(style.name, func(t *testing.T) {
			client := clientOf(g, keys, "us-east-1", style.path)
			for i, odd := range oddKeys {
				content := []byte{byte(i), 'x'}
				if err := roundTrip(t.Context(), client, storage, bucket, odd.key, content); err != nil {
					t.Errorf("%q: %v", odd.key, err)
					continue
				}
				asked := storage.asked()
				for _, method := range []string{"PUT", "GET", "POST"} {
					if want := method + " /" + bucket + "/" + odd.raw; !slices.Contains(asked, want) {
						t.Errorf("%q: storage was not asked %s", odd.key, want)
					}
				}
			}
		})
	}
	t.Run("redirected", func(t *testing.T) {
		for i, odd := range oddKeys {
			content := []byte{byte(i), 'y'}
			redirectedPut(t, g, keys, "/"+bucket+"/"+odd.raw, content)
			if got := storage.object(bucket + "/" + odd.key); !bytes.Equal(got, content) {
				t.Errorf("%q: storage has %q", odd.key, got)
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		storage.asked()
		client := clientOf(g, keys, "us-east-1", true)
		for _, c := range []struct{ key, code string }{
			{"a/../b", "InvalidArgument"}, {"..", "InvalidArgument"}, {"a/./b", "InvalidArgument"}, {"a\x00b", "InvalidArgument"}, {"a\nb", "InvalidArgument"},
			{"a\xffb", "InvalidArgument"}, {strings.Repeat("é", 512) + "a", "KeyTooLongError"},
		} {
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String(c.key), Body: strings.NewReader("x")})
			if e := smithy.APIError(nil); !errors.As(err, &e) || e.ErrorCode() != c.code {
				t.Errorf("%q: %v, want %s", c.key, err, c.code)
			}
		}
		if asked := storage.asked(); len(asked) > 0 {
			t.Errorf("storage was asked %q", asked)
		}
	})
}

// roundTrip puts, copies, completes and reads back one key.
func roundTrip(ctx context.Context, client *s3.Client, storage *recording, bucket, key string, content []byte) error {
	at := aws.String(key)
	b := aws.String(bucket)
	if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: at, Body: bytes.NewReader(content)}); err != nil {
		return err
	}
	if !bytes.Equal(storage.object(bucket+"/"+key), content) {
		return errors.New("it is not at storage")
	}
	source := bucket + "/" + strings.NewReplacer("%", "%25", "?", "%3F", "#", "%23", "+", "%2B").Replace(key)
	if _, err := client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: b, Key: aws.String("copy"), CopySource: aws.String(source)}); err != nil {
		return err
	}
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: aws.String("copy")})
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if back, err := io.ReadAll(got.Body); err != nil || !bytes.Equal(back, content) {
		return errors.Join(errors.New("the copy is another"), err)
	}
	made, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: at})
	if err != nil {
		return err
	}
	content = append(content, "part"...)
	part, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: at, UploadId: made.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(content)})
	if err != nil {
		return err
	}
	if _, err := client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: b, Key: at, UploadId: made.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{ETag: part.ETag, PartNumber: aws.Int32(1)}}}}); err != nil {
		return err
	}
	whole, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: at})
	if err != nil {
		return err
	}
	defer whole.Body.Close()
	if back, err := io.ReadAll(whole.Body); err != nil || !bytes.Equal(back, content) {
		return errors.Join(errors.New("another object comes back"), err)
	}
	return nil
}

// redirectedPut puts content as a client does that follows a redirect: with the same headers, but for Authorization.
func redirectedPut(t *testing.T, g *harness.Gateway, keys harness.Keys, rawPath string, content []byte) {
	t.Helper()
	endpoint := strings.Replace(g.Endpoint, "127.0.0.1", "localhost", 1) // storage has the address
	r, err := http.NewRequest(http.MethodPut, endpoint+rawPath, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-partway-transfer", "redirect")
	r.Header.Set("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
	err = v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey}, r, "UNSIGNED-PAYLOAD", "s3",
		"us-east-1", time.Now(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Host == r.URL.Host {
		body, _ := io.ReadAll(resp.Body) // for the message
		t.Errorf("PUT %s: %s answers %d %s", rawPath, resp.Request.URL, resp.StatusCode, body)
	}
}

// Who signs for another region is told the right one, which is the gateway's and not storage's.
func TestTheRightRegionIsTold(t *testing.T) {
	storage := newRecording(t)
	g, keys := storage.gateway(t)
	for _, pathStyle := range []bool{true, false} {
		wrong := clientOf(g, keys, recordingRegion, pathStyle)
		_, err := wrong.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("uploads")})
		if e := smithy.APIError(nil); !errors.As(err, &e) || e.ErrorCode() != "AuthorizationHeaderMalformed" || !strings.HasSuffix(e.ErrorMessage(), `expecting "us-east-1"`) {
			t.Errorf("path style %t: %v", pathStyle, err)
		}
		right, err := clientOf(g, keys, "us-east-1", pathStyle).HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("uploads")})
		if err != nil || aws.ToString(right.BucketRegion) != "us-east-1" {
			t.Errorf("path style %t: HeadBucket: %+v, %v", pathStyle, right, err)
		}
	}
}
