package e2e

import (
	"bytes"
	"io"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

func TestBoto3UploadsAndDownloads(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		path, content := file(t, 20*mib)
		back := filepath.Join(t.TempDir(), "back")
		n.Python(t, `
import sys, boto3
s3 = boto3.client("s3")
bucket, key, path, back = sys.argv[1:]
s3.upload_file(path, bucket, key, ExtraArgs={"Metadata": {"made-by": "boto3"}, "ContentType": "text/x-test"})
s3.download_file(bucket, key, back)
head = s3.head_object(Bucket=bucket, Key=key)
assert head["Metadata"] == {"made-by": "boto3"}, head
assert head["ContentType"] == "text/x-test", head
assert "ContentEncoding" not in head, head
assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]] == [key]
s3.put_object(Bucket=bucket, Key=key + ".small", Body=b"small")
assert s3.get_object(Bucket=bucket, Key=key + ".small")["Body"].read() == b"small"
s3.head_bucket(Bucket=bucket)
s3.get_bucket_location(Bucket=bucket)
assert bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]]
s3.delete_object(Bucket=bucket, Key=key)
try:
    s3.get_object(Bucket=bucket, Key=key)
    raise SystemExit("read a deleted object")
except s3.exceptions.NoSuchKey:
    pass
`, harness.Bucket, n.Prefix+"boto3", path, back)
		sameFile(t, back, content)
	})
}

func TestGoSDKTransferManagerUploadsAndDownloads(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		_, content := file(t, 20*mib)
		client := harness.S3(n.Endpoint, "us-east-1", n.AccessKeyID, n.SecretAccessKey)
		manager := transfermanager.New(client, func(o *transfermanager.Options) { o.PartSizeBytes, o.Concurrency = 6*mib, 3 })
		bucket, key := aws.String(harness.Bucket), aws.String(n.Prefix+"gosdk")
		if _, err := manager.UploadObject(t.Context(), &transfermanager.UploadObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(content)}); err != nil {
			t.Fatalf("upload: %v\n%s", err, n.Gateway.Tail())
		}
		got, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		back, err := io.ReadAll(got.Body)
		if err != nil || !bytes.Equal(back, content) {
			t.Errorf("%d bytes back (%v), not the %d sent", len(back), err, len(content))
		}
		if parts := events(t, n, "UploadPart"); len(parts) != 4 {
			t.Errorf("%d UploadPart events, want 4", len(parts))
		}
	})
}
