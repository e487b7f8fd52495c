// shim uploads with the Go SDK v2 and Partway's shim, and says what came of each. The usage is that of clients/shims/shim.py.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"partway/clients/go"
)

var about = struct {
	ContentType, CacheControl *string
	Metadata                  map[string]string
}{aws.String("text/x-test"), aws.String("max-age=7"), map[string]string{"made-by": "shim"}}

func main() {
	work, bucket, keys, path := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		fail(err)
	}
	var storage []string
	if s := os.Getenv("SHIM_STORAGE"); s != "" {
		storage = strings.Split(s, ",")
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = true
		o.APIOptions = append(o.APIOptions, partway.Direct(storage...))
		if s, err := strconv.Atoi(os.Getenv("SHIM_TIMEOUT")); err == nil {
			t := http.DefaultTransport.(*http.Transport).Clone()
			t.ResponseHeaderTimeout = time.Duration(s) * time.Second
			o.HTTPClient = &http.Client{Transport: t}
		}
	})
	for key := range strings.SplitSeq(keys, ",") {
		result := map[string]string{"key": key}
		etag, err := upload(context.Background(), client, work, &bucket, &key, path)
		if err != nil {
			result["error"] = err.Error()
		} else {
			result["etag"] = *etag
		}
		if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
			fail(err)
		}
	}
}

func upload(ctx context.Context, client *s3.Client, work string, bucket, key *string, path string) (*string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	put := &s3.PutObjectInput{Bucket: bucket, Key: key, Body: f, ContentType: about.ContentType, CacheControl: about.CacheControl, Metadata: about.Metadata}
	switch work {
	case "managed":
		//nolint:staticcheck // deprecated, and what most programs use
		_, err := manager.NewUploader(client, func(u *manager.Uploader) { u.PartSize = 8 << 20 }).Upload(ctx, put)
		if err != nil {
			return nil, err
		}
		head, err := client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			return nil, err
		}
		return head.ETag, nil
	case "put", "pipe":
		if work == "put" {
			if _, err := f.Seek(1000, io.SeekStart); err != nil {
				return nil, err
			}
		} else {
			i, err := f.Stat()
			if err != nil {
				return nil, err
			}
			put.Body, put.ContentLength = struct{ io.Reader }{f}, aws.Int64(i.Size())
		}
		out, err := client.PutObject(ctx, put)
		if err != nil {
			return nil, err
		}
		return out.ETag, nil
	case "parts":
		return parts(ctx, client, bucket, key, f)
	}
	return nil, fmt.Errorf("unknown work %q", work)
}

// parts sends the second part while the file stands in its midst.
func parts(ctx context.Context, client *s3.Client, bucket, key *string, f *os.File) (*string, error) {
	i, err := f.Stat()
	if err != nil {
		return nil, err
	}
	created, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: bucket, Key: key, ContentType: about.ContentType, CacheControl: about.CacheControl, Metadata: about.Metadata})
	if err != nil {
		return nil, err
	}
	first := make([]byte, i.Size()/2)
	if _, err := io.ReadFull(f, first); err != nil {
		return nil, err
	}
	var done []types.CompletedPart
	for n, body := range []io.Reader{bytes.NewReader(first), f} {
		number := aws.Int32(int32(n + 1))
		out, err := client.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: created.UploadId, PartNumber: number, Body: body})
		if err != nil {
			return nil, err
		}
		done = append(done, types.CompletedPart{PartNumber: number, ETag: out.ETag})
	}
	out, err := client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: bucket, Key: key, UploadId: created.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done}})
	if err != nil {
		return nil, err
	}
	return out.ETag, nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
