// minio does everyday work with minio-go: transfers of files and streams, copies, presigned URLs, lists and deletes. It leaves
// PREFIX/managed, PREFIX/streamed and PREFIX/small for the caller to compare.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"partway/e2e/clients/go/work"
)

func main() {
	job, ctx := work.Args(), context.Background()
	endpoint, err := url.Parse(os.Getenv("AWS_ENDPOINT_URL_S3"))
	work.Must(err, "AWS_ENDPOINT_URL_S3")
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewEnvAWS(), Secure: endpoint.Scheme == "https", Region: os.Getenv("AWS_REGION"), BucketLookup: minio.BucketLookupPath,
		TrailingHeaders: true, // or a stream can have no checksum
	})
	work.Must(err, "client")
	bucket, content := job.Bucket, job.Content
	get := func(name string, want []byte) {
		object, err := client.GetObject(ctx, bucket, job.Prefix+name, minio.GetObjectOptions{})
		work.Must(err, "GetObject "+name)
		work.Same(object, want, name)
	}

	there, err := client.BucketExists(ctx, bucket)
	work.Must(err, "BucketExists")
	if !there {
		work.Fail("BucketExists: no")
	}
	_, err = client.FPutObject(ctx, bucket, job.Prefix+"managed", job.Path, minio.PutObjectOptions{PartSize: 5 << 20, UserMetadata: map[string]string{"made-by": "minio"}})
	work.Must(err, "FPutObject")
	work.Must(client.FGetObject(ctx, bucket, job.Prefix+"managed", job.Path+".back", minio.GetObjectOptions{}), "FGetObject")
	back, err := os.Open(job.Path + ".back")
	work.Must(err, "open what came back")
	work.Same(back, content, "FGetObject")
	info, err := client.StatObject(ctx, bucket, job.Prefix+"managed", minio.StatObjectOptions{})
	work.Must(err, "StatObject")
	if info.Size != int64(len(content)) || info.UserMetadata["Made-By"] != "minio" || info.Metadata.Get("Content-Encoding") != "" {
		work.Fail("StatObject: %+v", info)
	}
	// A stream of unknown length goes part by part.
	_, err = client.PutObject(ctx, bucket, job.Prefix+"streamed", bytes.NewBuffer(content), -1, minio.PutObjectOptions{PartSize: 5 << 20, Checksum: minio.ChecksumCRC32C})
	work.Must(err, "PutObject of a stream")
	get("streamed", content)

	small := content[:1000]
	_, err = client.PutObject(ctx, bucket, job.Prefix+"small", bytes.NewReader(small), int64(len(small)), minio.PutObjectOptions{SendContentMd5: true})
	work.Must(err, "PutObject")
	get("small", small)
	source := minio.CopySrcOptions{Bucket: bucket, Object: job.Prefix + "small"}
	_, err = client.CopyObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: job.Prefix + "copy"}, source)
	work.Must(err, "CopyObject")
	managed := minio.CopySrcOptions{Bucket: bucket, Object: job.Prefix + "managed"}
	_, err = client.ComposeObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: job.Prefix + "composed"}, managed, source) // by UploadPartCopy
	work.Must(err, "ComposeObject")
	get("composed", append(bytes.Clone(content), small...))

	transport, err := minio.DefaultTransport(endpoint.Scheme == "https")
	work.Must(err, "transport")
	plain := &http.Client{Transport: transport}
	signed, err := client.PresignedGetObject(ctx, bucket, job.Prefix+"small", time.Minute, nil)
	work.Must(err, "PresignedGetObject")
	work.Same(work.Presigned(plain, "GET", signed.String(), nil, nil), small, "presigned GET")
	signed, err = client.PresignedPutObject(ctx, bucket, job.Prefix+"presigned", time.Minute)
	work.Must(err, "PresignedPutObject")
	work.Same(work.Presigned(plain, "PUT", signed.String(), nil, small), nil, "presigned PUT")
	get("presigned", small)

	keys := 0
	for object := range client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: job.Prefix, Recursive: true, MaxKeys: 2}) {
		work.Must(object.Err, "ListObjects")
		keys++
	}
	if keys != 6 {
		work.Fail("ListObjects: %d keys, want 6", keys)
	}
	work.Must(client.RemoveObject(ctx, bucket, job.Prefix+"composed", minio.RemoveObjectOptions{}), "RemoveObject")
	gone := make(chan minio.ObjectInfo, 2)
	gone <- minio.ObjectInfo{Key: job.Prefix + "copy"}
	gone <- minio.ObjectInfo{Key: job.Prefix + "presigned"}
	close(gone)
	for e := range client.RemoveObjects(ctx, bucket, gone, minio.RemoveObjectsOptions{}) {
		work.Must(e.Err, "RemoveObjects")
	}
	if _, err := client.StatObject(ctx, bucket, job.Prefix+"copy", minio.StatObjectOptions{}); minio.ToErrorResponse(err).Code != "NoSuchKey" {
		work.Fail("StatObject of a deleted object: %v", err)
	}
	fmt.Println(work.Version("github.com/minio/minio-go/v7"))
}
