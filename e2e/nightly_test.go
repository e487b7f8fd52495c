//go:build nightly

package e2e

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"partway/e2e/harness"
)

// 10,000 parts with CRC32 go up and are listed, page by page. Complete reaches storage with all of them: it says that they are too small,
// which it can only say of a list that it has read, and the upload is still open.
func TestTenThousandPartsOfAnUpload(t *testing.T) {
	n := stacks[1].UncheckedTenant(t) // the check reads the trail event by event
	client := harness.S3(n.Endpoint, "us-east-1", n.AccessKeyID, n.SecretAccessKey)
	bucket, key := aws.String(harness.Bucket), aws.String(n.Prefix+"many")
	made, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	if err != nil {
		t.Fatal(err)
	}
	parts := make([]types.CompletedPart, maxParts)
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			for number := int32(w + 1); number <= maxParts; number += 8 {
				body, crc := numbered(number)
				part, err := client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: made.UploadId, PartNumber: aws.Int32(number),
					Body: bytes.NewReader(body), ChecksumCRC32: aws.String(crc)})
				if err != nil {
					t.Errorf("part %d: %v", number, err)
					return
				}
				parts[number-1] = types.CompletedPart{PartNumber: aws.Int32(number), ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32}
			}
		})
	}
	workers.Wait()
	if t.Failed() {
		t.FailNow()
	}
	listAll(t, client, made, bucket, key, parts)
	_, err = client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: made.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	if e := smithy.APIError(nil); !errors.As(err, &e) || e.ErrorCode() != "EntityTooSmall" {
		t.Errorf("Complete: %v", err)
	}
	if _, err := client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: made.UploadId}); err != nil {
		t.Error(err)
	}
}
