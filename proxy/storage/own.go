package storage

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// ownTimeout bounds each request that the gateway itself originates, beside the caller's context.
const ownTimeout = 15 * time.Second

// newSDK builds the options directly: of AWS_* variables and files of the machine only credentials are read, and those only if none are configured.
func (b *Backend) newSDK() *s3.Client {
	return s3.New(s3.Options{
		Region:       b.config.Region,
		BaseEndpoint: aws.String(b.scheme + "://" + b.host),
		UsePathStyle: b.config.PathStyle,
		Credentials:  b.sign.provider(),
		HTTPClient:   sdkHTTP(b.traced()),
		Retryer:      aws.NopRetryer{}, // what may be asked again, Config.again asks
		// Not every server knows the checksums that the SDK would add, and the answers' are verified by nobody.
		RequestChecksumCalculation:  aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation:  aws.ResponseChecksumValidationWhenRequired,
		DisableS3ExpressSessionAuth: aws.Bool(true), // no session call for a bucket that is named like a directory bucket
	})
}

// sdkHTTP follows no redirect: to where would be the server's to say.
func sdkHTTP(t http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     t,
		Timeout:       ownTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Part is one part that storage holds.
type Part struct {
	Number int
	Size   int64
	ETag   string // with its quotes
	SHA256 string // hex; "" if storage lists none
}

// ListParts returns every part, by number. ErrNoSuchUpload, ErrUnavailable.
func (b *Backend) ListParts(ctx context.Context, bucket, key, uploadID string) ([]Part, error) {
	pages := s3.NewListPartsPaginator(b.sdk, &s3.ListPartsInput{Bucket: &bucket, Key: &key, UploadId: &uploadID},
		func(o *s3.ListPartsPaginatorOptions) { o.StopOnDuplicateToken = true })
	var parts []Part
	for pages.HasMorePages() {
		var page *s3.ListPartsOutput
		err := b.config.again(ctx, func() (err error) {
			page, err = pages.NextPage(ctx)
			return translate(err)
		})
		if err != nil {
			return nil, fmt.Errorf("list parts: %w", err)
		}
		for _, p := range page.Parts {
			parts = append(parts, Part{Number: int(aws.ToInt32(p.PartNumber)), Size: aws.ToInt64(p.Size), ETag: aws.ToString(p.ETag), SHA256: sha256Of(p.ChecksumSHA256)})
		}
		if aws.ToBool(page.IsTruncated) && !pages.HasMorePages() { // the paginator would take it for the end
			return nil, fmt.Errorf("list parts: %w: a page is truncated and does not say where the next one starts", ErrUnavailable)
		}
	}
	return parts, nil
}

// sha256Of is a listed checksum in hex.
func sha256Of(listed *string) string {
	sum, err := base64.StdEncoding.DecodeString(aws.ToString(listed))
	if err != nil || len(sum) != sha256.Size {
		return ""
	}
	return hex.EncodeToString(sum)
}

// AbortUpload ends the upload; nil also if it is gone already. ErrUnavailable.
func (b *Backend) AbortUpload(ctx context.Context, bucket, key, uploadID string) error {
	err := b.config.again(ctx, func() error {
		_, err := b.sdk.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: &uploadID})
		return translate(err)
	})
	if err != nil && !errors.Is(err, ErrNoSuchUpload) {
		return fmt.Errorf("abort upload: %w", err)
	}
	return nil
}

// Object is what HeadObject says.
type Object struct {
	Size            int64
	ETag, VersionID string // ETag with its quotes
	LastModified    time.Time
}

// HeadObject reads an object's head; version "" is the latest. ErrNotFound, ErrUnavailable.
func (b *Backend) HeadObject(ctx context.Context, bucket, key, version string) (*Object, error) {
	in := &s3.HeadObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	var head *s3.HeadObjectOutput
	err := b.config.again(ctx, func() (err error) {
		head, err = b.sdk.HeadObject(ctx, in)
		return translate(err)
	})
	if err != nil {
		return nil, fmt.Errorf("head object: %w", err)
	}
	return &Object{
		Size:         aws.ToInt64(head.ContentLength),
		ETag:         aws.ToString(head.ETag),
		VersionID:    aws.ToString(head.VersionId),
		LastModified: aws.ToTime(head.LastModified),
	}, nil
}

// CreateBucket makes a bucket; nil if it is there already and ours. For demo and tests.
func (b *Backend) CreateBucket(ctx context.Context, bucket string) error {
	in := &s3.CreateBucketInput{Bucket: &bucket}
	if b.config.Region != "us-east-1" { // which S3 refuses as a location
		in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(b.config.Region)}
	}
	_, err := b.sdk.CreateBucket(ctx, in)
	var ours *types.BucketAlreadyOwnedByYou
	if errors.As(err, &ours) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create bucket %q: %w", bucket, translate(err))
	}
	return nil
}

// Ping makes one cheap signed request; any answer but a 5xx counts as alive, a refusal too. ErrUnavailable.
func (b *Backend) Ping(ctx context.Context) error {
	resp, err := b.Do(ctx, &Call{Method: http.MethodGet, Query: []Param{{"max-buckets", "1"}}}, nil)
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	defer resp.Body.Close()
	// Read, so that the connection can be used again; a short answer by nature.
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return fmt.Errorf("ping: %w: %w", ErrUnavailable, err)
	}
	if resp.StatusCode >= 500 {
		return fmt.Errorf("ping: %w: status %d", ErrUnavailable, resp.StatusCode)
	}
	return nil
}

// translate puts the SDK's errors into this package's words.
func translate(err error) error {
	if err == nil {
		return nil
	}
	var answer *smithyhttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() == 0 || answer.HTTPStatusCode() >= 500 {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	code := ""
	var api smithy.APIError
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	switch {
	case code == "NoSuchUpload":
		return fmt.Errorf("%w: %w", ErrNoSuchUpload, err)
	case answer.HTTPStatusCode() == http.StatusNotFound:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}
