// sdkv2 does everyday work with the Go SDK v2: the manager, its successor transfermanager, single calls, a multipart upload by
// hand, presigned URLs, lists and deletes. It leaves PREFIX/managed, PREFIX/small and PREFIX/by-hand for the caller to compare.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"partway/e2e/clients/go/work"
)

func main() {
	job, ctx := work.Args(), context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	work.Must(err, "configuration")
	client := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	bucket, content := aws.String(job.Bucket), job.Content
	key := func(name string) *string { return aws.String(job.Prefix + name) }
	get := func(name string, want []byte) {
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key(name)})
		work.Must(err, "GetObject "+name)
		work.Same(out.Body, want, name)
	}

	file, err := os.Open(job.Path)
	work.Must(err, "open FILE")
	defer file.Close()
	//nolint:staticcheck // deprecated, and what most programs use
	uploader := manager.NewUploader(client, func(u *manager.Uploader) { u.PartSize = 5 << 20 })
	_, err = uploader.Upload(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("managed"), Body: file, Metadata: map[string]string{"made-by": "go"}})
	work.Must(err, "manager's Upload")
	get("managed", content)
	head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key("managed")})
	work.Must(err, "HeadObject")
	if head.Metadata["made-by"] != "go" || head.ContentEncoding != nil {
		work.Fail("HeadObject: metadata %v, content encoding %v", head.Metadata, aws.ToString(head.ContentEncoding))
	}
	transfer := transfermanager.New(client, func(o *transfermanager.Options) { o.PartSizeBytes = 5 << 20 })
	_, err = transfer.UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: bucket, Key: key("transferred"), Body: bytes.NewReader(content)})
	work.Must(err, "transfermanager's UploadObject")
	back := &buffer{}
	_, err = transfer.DownloadObject(ctx, &transfermanager.DownloadObjectInput{Bucket: bucket, Key: key("transferred"), WriterAt: back})
	work.Must(err, "transfermanager's DownloadObject")
	if !bytes.Equal(back.bytes, content) {
		work.Fail("transfermanager's DownloadObject: other bytes")
	}

	small := content[:1000]
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("small"), Body: bytes.NewReader(small)})
	work.Must(err, "PutObject")
	get("small", small)
	_, err = client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: bucket, Key: key("copy"), CopySource: aws.String(job.Bucket + "/" + *key("small"))})
	work.Must(err, "CopyObject")
	get("copy", small)

	create, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key("by-hand"), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c})
	work.Must(err, "CreateMultipartUpload")
	var parts []types.CompletedPart
	for i, body := range [][]byte{content[:5<<20], content[5<<20:]} {
		number := aws.Int32(int32(i + 1))
		part, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key("by-hand"), UploadId: create.UploadId, PartNumber: number,
			Body: bytes.NewReader(body), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32c})
		work.Must(err, "UploadPart")
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: part.ETag, ChecksumCRC32C: part.ChecksumCRC32C})
	}
	list, err := client.ListParts(ctx, &s3.ListPartsInput{Bucket: bucket, Key: key("by-hand"), UploadId: create.UploadId})
	work.Must(err, "ListParts")
	if len(list.Parts) != 2 {
		work.Fail("ListParts: %d parts", len(list.Parts))
	}
	_, err = client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key("by-hand"), UploadId: create.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	work.Must(err, "CompleteMultipartUpload")
	get("by-hand", content)

	presign := s3.NewPresignClient(client)
	getURL, err := presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key("small")})
	work.Must(err, "PresignGetObject")
	work.Same(work.Presigned(http.DefaultClient, getURL.Method, getURL.URL, getURL.SignedHeader, nil), small, "presigned GET")
	putURL, err := presign.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key("presigned")})
	work.Must(err, "PresignPutObject")
	work.Same(work.Presigned(http.DefaultClient, putURL.Method, putURL.URL, putURL.SignedHeader, small), nil, "presigned PUT")
	get("presigned", small)

	keys := 0
	pages := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: key(""), MaxKeys: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		work.Must(err, "ListObjectsV2")
		keys += len(page.Contents)
	}
	if keys != 6 {
		work.Fail("ListObjectsV2: %d keys, want 6", keys)
	}
	_, err = client.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: []types.ObjectIdentifier{
		{Key: key("copy")}, {Key: key("presigned")}, {Key: key("transferred")}}}})
	work.Must(err, "DeleteObjects")
	_, err = client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key("copy")})
	if gone := (*types.NoSuchKey)(nil); !errors.As(err, &gone) {
		work.Fail("GetObject of a deleted object: %v", err)
	}
	fmt.Println(work.Version("github.com/aws/aws-sdk-go-v2/service/s3"))
}

// buffer grows to what is written at its offsets, one after another.
type buffer struct{ bytes []byte }

func (b *buffer) WriteAt(p []byte, at int64) (int, error) {
	if need := int(at) + len(p); need > len(b.bytes) {
		b.bytes = append(b.bytes, make([]byte, need-len(b.bytes))...)
	}
	return copy(b.bytes[at:], p), nil
}
