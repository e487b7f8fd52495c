package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Upload is one multipart upload that storage holds open.
type Upload struct {
	ID        string
	Initiated time.Time // by storage's clock
}

// ListUploads returns the open uploads of this very key. It asks for those whose key begins so, since some storage does not know prefixes other
// than whole keys, and goes on where the last upload stood if storage does not say where. ErrUnavailable.
func (b *Backend) ListUploads(ctx context.Context, bucket, key string) ([]Upload, error) {
	var uploads []Upload
	in := &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &key}
	for {
		page, err := b.sdk.ListMultipartUploads(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list uploads: %w", translate(err))
		}
		beyond := false
		lastKey, lastID := aws.ToString(page.NextKeyMarker), aws.ToString(page.NextUploadIdMarker)
		for _, u := range page.Uploads {
			if aws.ToString(u.Key) == key {
				uploads = append(uploads, Upload{ID: aws.ToString(u.UploadId), Initiated: aws.ToTime(u.Initiated)})
			} else {
				beyond = true // keys come in order, and this one first among those that begin with it
			}
			if aws.ToString(page.NextKeyMarker) == "" {
				lastKey, lastID = aws.ToString(u.Key), aws.ToString(u.UploadId)
			}
		}
		if !aws.ToBool(page.IsTruncated) || beyond {
			return uploads, nil
		}
		if lastKey == "" || lastKey == aws.ToString(in.KeyMarker) && lastID == aws.ToString(in.UploadIdMarker) {
			return nil, fmt.Errorf("list uploads: %w: a page is truncated and the next one is the same", ErrUnavailable)
		}
		in.KeyMarker, in.UploadIdMarker = &lastKey, &lastID
	}
}
