package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

const maxParts = 10000

// numbered is what part n consists of, and its CRC32 as S3 writes it.
func numbered(n int32) (body []byte, crc string) {
	body = strconv.AppendInt(nil, int64(n), 10)
	sum := crc32.NewIEEE()
	_, _ = sum.Write(body) // a hash takes everything
	return body, base64.StdEncoding.EncodeToString(sum.Sum(nil))
}

// Storage that takes parts of any size is sent a list of 10,000, with every checksum, as its client wrote it, and one more is refused before.
func TestACompleteOfTenThousandParts(t *testing.T) {
	storage := newRecording(t)
	g, keys := storage.gateway(t)
	client := clientOf(g, keys, "us-east-1", true)
	bucket, key := aws.String("uploads"), aws.String("many")
	made, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	if err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	held := []string{} // as if they had come, by the road past the gateway
	for number := int32(1); number <= maxParts+1; number++ {
		_, crc := numbered(number)
		etag := fmt.Sprintf(`"%032x"`, number)
		parts = append(parts, types.CompletedPart{PartNumber: aws.Int32(number), ETag: aws.String(etag), ChecksumCRC32: aws.String(crc)})
		held = append(held, fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><ChecksumCRC32>%s</ChecksumCRC32><Size>5242880</Size></Part>", number, etag, crc))
	}
	storage.mu.Lock()
	storage.parts["uploads/many"] = held[:maxParts]
	storage.mu.Unlock()
	listAll(t, client, made, bucket, key, parts[:maxParts])
	storage.asked()
	complete := func(parts []types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
		return client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: made.UploadId,
			MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	}
	_, err = complete(parts)
	if e := smithy.APIError(nil); !errors.As(err, &e) || e.ErrorCode() != "InvalidArgument" {
		t.Errorf("10,001 parts: %v", err)
	}
	if asked := storage.asked(); slices.Contains(asked, "POST /uploads/many") {
		t.Errorf("10,001 parts went to storage: %q", asked)
	}
	done, err := complete(parts[:maxParts])
	if err != nil || aws.ToString(done.ETag) == "" {
		t.Fatalf("%+v, %v", done, err)
	}
	list := storage.completed(t)
	if len(list.Part) != maxParts {
		t.Fatalf("storage got %d parts", len(list.Part))
	}
	for i, p := range list.Part {
		if want := parts[i]; p.PartNumber != strconv.Itoa(i+1) || p.ETag != *want.ETag || p.ChecksumCRC32 != *want.ChecksumCRC32 {
			t.Fatalf("storage got %+v in the place of part %d", p, i+1)
		}
	}
}

// listAll demands that ListParts tells these parts, with their checksums, a thousand a page, under the id that Create gave out.
func listAll(t *testing.T, client *s3.Client, of *s3.CreateMultipartUploadOutput, bucket, key *string, parts []types.CompletedPart) {
	t.Helper()
	next, marker, pages := int32(1), (*string)(nil), 0
	for more := true; more; pages++ {
		page, err := client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: bucket, Key: key, UploadId: of.UploadId, PartNumberMarker: marker})
		if err != nil {
			t.Fatal(err)
		}
		if got := aws.ToString(page.UploadId); got != aws.ToString(of.UploadId) {
			t.Fatalf("page %d is of %s", pages, got)
		}
		for _, p := range page.Parts {
			want := parts[next-1]
			if aws.ToInt32(p.PartNumber) != next || aws.ToString(p.ETag) != aws.ToString(want.ETag) || aws.ToString(p.ChecksumCRC32) != aws.ToString(want.ChecksumCRC32) {
				t.Fatalf("part %d: %+v, want %+v", next, p, want)
			}
			next++
		}
		marker, more = page.NextPartNumberMarker, aws.ToBool(page.IsTruncated)
	}
	if next != maxParts+1 || pages != 10 {
		t.Errorf("%d parts on %d pages", next-1, pages)
	}
}
