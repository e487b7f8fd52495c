// upload uploads one file with the Go SDK v2's manager, so that it can be killed and started again.
//
// Usage: upload BUCKET KEY FILE, with the endpoint and the keys in AWS_*.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/s3/manager"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/clients/go/work"
)

func main() {
	if len(os.Args) != 4 {
		work.Fail("usage: %s BUCKET KEY FILE", os.Args[0])
	}
	cfg, err := config.LoadDefaultConfig(context.Background())
	work.Must(err, "configuration")
	file, err := os.Open(os.Args[3])
	work.Must(err, "open FILE")
	defer file.Close()
	//nolint:staticcheck // deprecated, and what most programs use
	uploader := manager.NewUploader(s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }), func(u *manager.Uploader) { u.Concurrency = 2 })
	_, err = uploader.Upload(context.Background(), &s3.PutObjectInput{Bucket: aws.String(os.Args[1]), Key: aws.String(os.Args[2]), Body: file})
	work.Must(err, "manager's Upload")
}
