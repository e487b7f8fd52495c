package e2e

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"partway/e2e/harness"
)

// checksum is one of S3's algorithms: how it is computed, and where the SDK has its value.
type checksum struct {
	algorithm types.ChecksumAlgorithm
	types     []types.ChecksumType
	hash      func() hash.Hash
	ofPart    func(*s3.UploadPartOutput) *string
	inList    func(*types.CompletedPart) **string
	inPart    func(*s3.UploadPartInput) **string
	ofObject  func(*s3.HeadObjectOutput) *string
}

func checksums() []checksum {
	full, composite := types.ChecksumTypeFullObject, types.ChecksumTypeComposite
	return []checksum{
		{types.ChecksumAlgorithmCrc32, []types.ChecksumType{full, composite}, func() hash.Hash { return crc32.NewIEEE() },
			func(o *s3.UploadPartOutput) *string { return o.ChecksumCRC32 }, func(p *types.CompletedPart) **string { return &p.ChecksumCRC32 },
			func(i *s3.UploadPartInput) **string { return &i.ChecksumCRC32 }, func(o *s3.HeadObjectOutput) *string { return o.ChecksumCRC32 }},
		{types.ChecksumAlgorithmCrc32c, []types.ChecksumType{full, composite}, func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) },
			func(o *s3.UploadPartOutput) *string { return o.ChecksumCRC32C }, func(p *types.CompletedPart) **string { return &p.ChecksumCRC32C },
			func(i *s3.UploadPartInput) **string { return &i.ChecksumCRC32C }, func(o *s3.HeadObjectOutput) *string { return o.ChecksumCRC32C }},
		{types.ChecksumAlgorithmCrc64nvme, []types.ChecksumType{full}, func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) },
			func(o *s3.UploadPartOutput) *string { return o.ChecksumCRC64NVME }, func(p *types.CompletedPart) **string { return &p.ChecksumCRC64NVME },
			func(i *s3.UploadPartInput) **string { return &i.ChecksumCRC64NVME }, func(o *s3.HeadObjectOutput) *string { return o.ChecksumCRC64NVME }},
		{types.ChecksumAlgorithmSha1, []types.ChecksumType{composite}, sha1.New,
			func(o *s3.UploadPartOutput) *string { return o.ChecksumSHA1 }, func(p *types.CompletedPart) **string { return &p.ChecksumSHA1 },
			func(i *s3.UploadPartInput) **string { return &i.ChecksumSHA1 }, func(o *s3.HeadObjectOutput) *string { return o.ChecksumSHA1 }},
		{types.ChecksumAlgorithmSha256, []types.ChecksumType{composite}, sha256.New,
			func(o *s3.UploadPartOutput) *string { return o.ChecksumSHA256 }, func(p *types.CompletedPart) **string { return &p.ChecksumSHA256 },
			func(i *s3.UploadPartInput) **string { return &i.ChecksumSHA256 }, func(o *s3.HeadObjectOutput) *string { return o.ChecksumSHA256 }},
	}
}

func (c checksum) of(parts ...[]byte) []byte {
	h := c.hash()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// Every algorithm and type: in a header over http and in a trailer over https, which is how the SDK sends it, the value of each part is verified
// by storage, and the object has the value that its bytes have.
func TestChecksumsOfEveryAlgorithm(t *testing.T) {
	certificates, err := harness.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	secure := ownStack(t, harness.Setup{Config: []string{"server:", "  tls: {cert_file: " + certificates.Cert + ", key_file: " + certificates.Key + "}"}})
	if err := secure.Gateway.Trust(certificates.CA); err != nil {
		t.Fatal(err)
	}
	for _, over := range []struct {
		name, form string
		stack      *harness.Stack
		wired      *harness.Certificates
	}{
		{"http", "sha256, header", stacks[1], nil},
		{"https", "STREAMING-UNSIGNED-PAYLOAD-TRAILER, trailer", secure, certificates},
	} {
		for _, c := range checksums() {
			for _, kind := range c.types {
				t.Run(fmt.Sprint(over.name, " ", c.algorithm, " ", kind), func(t *testing.T) {
					n := over.stack.NewTenant(t)
					wire, err := harness.NewWire(n.Tap.Addr(), over.wired)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(wire.Close)
					n.Endpoint = wire.Endpoint
					c.upload(t, n, kind)
					forms := 0
					for _, r := range wire.Requests() {
						if r.Method == "PUT" && r.Form == over.form+" "+strings.ToLower(string(c.algorithm)) {
							forms++
						}
					}
					if forms < 2 {
						t.Errorf("%d parts came as %s", forms, over.form)
					}
				})
			}
		}
	}
}

func (c checksum) upload(t *testing.T, n *harness.Tenant, kind types.ChecksumType) {
	_, big := file(t, 5*mib)
	bodies := [][]byte{big, []byte("the last part")}
	client, err := n.SDK()
	if err != nil {
		t.Fatal(err)
	}
	bucket, key := aws.String(harness.Bucket), aws.String(n.Prefix+"summed")
	made, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ChecksumAlgorithm: c.algorithm, ChecksumType: kind})
	if err != nil {
		t.Fatal(err)
	}
	if made.ChecksumAlgorithm != c.algorithm || made.ChecksumType != kind {
		t.Errorf("Create is answered with %s %s", made.ChecksumAlgorithm, made.ChecksumType)
	}
	var list []types.CompletedPart
	for i, body := range bodies {
		in := &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: made.UploadId, PartNumber: aws.Int32(int32(i + 1)), Body: bytes.NewReader(body), ChecksumAlgorithm: c.algorithm}
		wrong := *in
		wrong.Body, wrong.ChecksumAlgorithm = bytes.NewReader(body), ""
		*c.inPart(&wrong) = aws.String(base64.StdEncoding.EncodeToString(c.of([]byte("something else"))))
		_, err := client.UploadPart(t.Context(), &wrong)
		wantRefusal(t, "a part that has another checksum", err, "BadDigest, XAmzContentChecksumMismatch") // the latter is MinIO's
		out, err := client.UploadPart(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		want := base64.StdEncoding.EncodeToString(c.of(body))
		if got := aws.ToString(c.ofPart(out)); got != want {
			t.Errorf("part %d is answered with %q, want %q", i+1, got, want)
		}
		part := types.CompletedPart{PartNumber: in.PartNumber, ETag: out.ETag}
		*c.inList(&part) = aws.String(want)
		list = append(list, part)
	}
	if _, err := client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: made.UploadId, ChecksumType: kind,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: list}}); err != nil {
		t.Fatal(err)
	}
	head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	want := base64.StdEncoding.EncodeToString(c.of(bodies...))
	if kind == types.ChecksumTypeComposite {
		want = base64.StdEncoding.EncodeToString(c.of(c.of(bodies[0]), c.of(bodies[1]))) + "-2"
	}
	if got := aws.ToString(c.ofObject(head)); got != want || head.ChecksumType != kind {
		t.Errorf("the object has %q %s, want %q %s", got, head.ChecksumType, want, kind)
	}
}
