// sdkv1 does everyday work with the Go SDK v1, which many programs still stand on: managed transfers, single calls, a multipart
// upload by hand, presigned URLs, lists and deletes. It leaves PREFIX/managed, PREFIX/small and PREFIX/by-hand for the caller to
// compare.
package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/s3"
	"github.com/aws/aws-sdk-go/service/s3/s3manager"

	"partway/e2e/clients/go/work"
)

func main() {
	job := work.Args()
	// v1 knows no AWS_ENDPOINT_URL_S3.
	s, err := session.NewSession(aws.NewConfig().WithEndpoint(os.Getenv("AWS_ENDPOINT_URL_S3")).WithS3ForcePathStyle(true))
	work.Must(err, "session")
	client := s3.New(s)
	bucket, content := aws.String(job.Bucket), job.Content
	key := func(name string) *string { return aws.String(job.Prefix + name) }
	get := func(name string, want []byte) {
		out, err := client.GetObject(&s3.GetObjectInput{Bucket: bucket, Key: key(name)})
		work.Must(err, "GetObject "+name)
		work.Same(out.Body, want, name)
	}

	file, err := os.Open(job.Path)
	work.Must(err, "open FILE")
	defer file.Close()
	uploader := s3manager.NewUploader(s, func(u *s3manager.Uploader) { u.PartSize = 5 << 20 })
	_, err = uploader.Upload(&s3manager.UploadInput{Bucket: bucket, Key: key("managed"), Body: file, ContentType: aws.String("text/x-test")})
	work.Must(err, "s3manager's Upload")
	back := aws.NewWriteAtBuffer(nil)
	_, err = s3manager.NewDownloader(s).Download(back, &s3.GetObjectInput{Bucket: bucket, Key: key("managed")})
	work.Must(err, "s3manager's Download")
	if !bytes.Equal(back.Bytes(), content) {
		work.Fail("s3manager's Download: other bytes")
	}
	head, err := client.HeadObject(&s3.HeadObjectInput{Bucket: bucket, Key: key("managed")})
	work.Must(err, "HeadObject")
	if aws.StringValue(head.ContentType) != "text/x-test" || head.ContentEncoding != nil {
		work.Fail("HeadObject: %v", head)
	}

	small := content[:1000]
	_, err = client.PutObject(&s3.PutObjectInput{Bucket: bucket, Key: key("small"), Body: bytes.NewReader(small)})
	work.Must(err, "PutObject")
	get("small", small)
	_, err = client.CopyObject(&s3.CopyObjectInput{Bucket: bucket, Key: key("copy"), CopySource: aws.String(job.Bucket + "/" + *key("small"))})
	work.Must(err, "CopyObject")

	create, err := client.CreateMultipartUpload(&s3.CreateMultipartUploadInput{Bucket: bucket, Key: key("by-hand")})
	work.Must(err, "CreateMultipartUpload")
	var parts []*s3.CompletedPart
	for i, body := range [][]byte{content[:5<<20], content[5<<20:]} {
		number := aws.Int64(int64(i + 1))
		part, err := client.UploadPart(&s3.UploadPartInput{Bucket: bucket, Key: key("by-hand"), UploadId: create.UploadId, PartNumber: number, Body: bytes.NewReader(body)})
		work.Must(err, "UploadPart")
		parts = append(parts, &s3.CompletedPart{PartNumber: number, ETag: part.ETag})
	}
	list, err := client.ListParts(&s3.ListPartsInput{Bucket: bucket, Key: key("by-hand"), UploadId: create.UploadId})
	work.Must(err, "ListParts")
	if len(list.Parts) != 2 {
		work.Fail("ListParts: %d parts", len(list.Parts))
	}
	_, err = client.CompleteMultipartUpload(&s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key("by-hand"), UploadId: create.UploadId,
		MultipartUpload: &s3.CompletedMultipartUpload{Parts: parts}})
	work.Must(err, "CompleteMultipartUpload")
	get("by-hand", content)

	request, _ := client.GetObjectRequest(&s3.GetObjectInput{Bucket: bucket, Key: key("small")})
	url, err := request.Presign(time.Minute)
	work.Must(err, "Presign")
	work.Same(work.Presigned(s.Config.HTTPClient, "GET", url, nil, nil), small, "presigned GET")
	request, _ = client.PutObjectRequest(&s3.PutObjectInput{Bucket: bucket, Key: key("presigned")})
	url, err = request.Presign(time.Minute)
	work.Must(err, "Presign")
	work.Same(work.Presigned(s.Config.HTTPClient, "PUT", url, nil, small), nil, "presigned PUT")
	get("presigned", small)

	keys := 0
	err = client.ListObjectsV2Pages(&s3.ListObjectsV2Input{Bucket: bucket, Prefix: key(""), MaxKeys: aws.Int64(2)}, func(page *s3.ListObjectsV2Output, _ bool) bool {
		keys += len(page.Contents)
		return true
	})
	work.Must(err, "ListObjectsV2")
	if keys != 5 {
		work.Fail("ListObjectsV2: %d keys, want 5", keys)
	}
	_, err = client.DeleteObjects(&s3.DeleteObjectsInput{Bucket: bucket, Delete: &s3.Delete{Objects: []*s3.ObjectIdentifier{{Key: key("copy")}, {Key: key("presigned")}}}})
	work.Must(err, "DeleteObjects")
	_, err = client.GetObject(&s3.GetObjectInput{Bucket: bucket, Key: key("copy")})
	if e, ok := err.(awserr.Error); !ok || e.Code() != s3.ErrCodeNoSuchKey {
		work.Fail("GetObject of a deleted object: %v", err)
	}
	fmt.Println(aws.SDKVersion)
}
