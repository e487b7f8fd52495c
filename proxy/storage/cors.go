package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// ErrNoCORSRules is of storage that keeps none for buckets. MinIO's community edition has one list of origins for all.
var ErrNoCORSRules = errors.New("this storage keeps no CORS rules of buckets")

// PutCORS replaces the bucket's CORS rules by the one that pages of these origins need to send parts by signed URLs and to read what became of them.
// ErrNoCORSRules, ErrUnavailable.
func (b *Backend) PutCORS(ctx context.Context, bucket string, origins []string) error {
	_, err := b.sdk.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: &bucket, CORSConfiguration: &types.CORSConfiguration{CORSRules: []types.CORSRule{{
		AllowedOrigins: origins,
		AllowedMethods: []string{"PUT", "GET", "HEAD"},
		AllowedHeaders: []string{"*"},
		ExposeHeaders:  []string{"ETag", "x-amz-request-id"},
		MaxAgeSeconds:  aws.Int32(3600),
	}}}})
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.HTTPStatusCode() == http.StatusNotImplemented {
		return ErrNoCORSRules
	}
	if err != nil {
		return fmt.Errorf("put bucket CORS: %w", translate(err))
	}
	return nil
}
