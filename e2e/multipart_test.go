package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"partway/e2e/harness"
)

// multipart is one upload by hand, in the words of S3's API.
type multipart struct {
	*harness.Tenant
	client      *s3.Client
	bucket, key *string
	id          *string
}

func newMultipart(t *testing.T, n *harness.Tenant, name string, with ...func(*s3.CreateMultipartUploadInput)) *multipart {
	t.Helper()
	m := &multipart{Tenant: n, client: harness.S3(n.Endpoint, "us-east-1", n.AccessKeyID, n.SecretAccessKey), bucket: aws.String(harness.Bucket), key: aws.String(n.Prefix + name)}
	in := &s3.CreateMultipartUploadInput{Bucket: m.bucket, Key: m.key}
	for _, w := range with {
		w(in)
	}
	made, err := m.client.CreateMultipartUpload(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	m.id = made.UploadId
	return m
}

func (m *multipart) part(t *testing.T, number int32, body []byte) types.CompletedPart {
	t.Helper()
	p, err := m.client.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: m.bucket, Key: m.key, UploadId: m.id, PartNumber: aws.Int32(number), Body: bytes.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return types.CompletedPart{PartNumber: aws.Int32(number), ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32}
}

func (m *multipart) complete(t *testing.T, parts ...types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
	t.Helper()
	return m.client.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: m.bucket, Key: m.key, UploadId: m.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
}

func (m *multipart) abort(t *testing.T) error {
	t.Helper()
	_, err := m.client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: m.bucket, Key: m.key, UploadId: m.id})
	return err
}

func (m *multipart) holds(t *testing.T, want []byte) {
	t.Helper()
	got, err := m.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: m.bucket, Key: m.key})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if body, err := io.ReadAll(got.Body); err != nil || !bytes.Equal(body, want) {
		t.Errorf("the object has %d bytes (%v) that differ from the %d sent", len(body), err, len(want))
	}
}

// wantRefusal demands an error of this code, or of one of several.
func wantRefusal(t *testing.T, what string, err error, code string) {
	t.Helper()
	if e := smithy.APIError(nil); !errors.As(err, &e) || !slices.Contains(strings.Split(code, ", "), e.ErrorCode()) {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// The rules of a multipart upload, on each stack: what is refused leaves the upload as it was, and the right Complete still makes the object.
func TestMultipartToTheLetter(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		_, big := file(t, 5*mib)
		small := []byte("the last part may be small")
		whole := slices.Concat(big, small)

		t.Run("a list that is refused, then the right one, twice", func(t *testing.T) {
			m := newMultipart(t, n, "letter")
			before := m.part(t, 1, append([]byte("overwritten"), big...))
			one, two := m.part(t, 1, big), m.part(t, 2, small)
			_, err := m.complete(t, before, two)
			wantRefusal(t, "the ETag of a part that was overwritten", err, "InvalidPart")
			_, err = m.complete(t, m.part(t, 3, big), one)
			wantRefusal(t, "parts out of order", err, "InvalidPartOrder")
			_, err = m.complete(t, one, types.CompletedPart{PartNumber: aws.Int32(3), ETag: two.ETag})
			wantRefusal(t, "a part that never came", err, "InvalidPart")
			first, err := m.complete(t, one, two)
			if err != nil {
				t.Fatal(err)
			}
			if want := n.Endpoint + "/" + harness.Bucket + "/" + *m.key; aws.ToString(first.Location) != want || aws.ToString(first.Bucket) != harness.Bucket || aws.ToString(first.Key) != *m.key {
				t.Errorf("Location %s, want %s; %s of %s", aws.ToString(first.Location), want, aws.ToString(first.Key), aws.ToString(first.Bucket))
			}
			again, err := m.complete(t, one, two)
			if err != nil || aws.ToString(again.ETag) != aws.ToString(first.ETag) || aws.ToString(again.Location) != aws.ToString(first.Location) {
				t.Errorf("the same Complete again: %+v, %v; first %+v", again, err, first)
			}
			_, err = m.complete(t, one)
			wantRefusal(t, "another list, of an upload that is an object", err, "NoSuchUpload")
			wantRefusal(t, "an Abort, of an upload that is an object", m.abort(t), "NoSuchUpload")
			m.holds(t, whole)
		})
		t.Run("too small", func(t *testing.T) {
			m := newMultipart(t, n, "small")
			one, two := m.part(t, 1, small), m.part(t, 2, small)
			_, err := m.complete(t, one, two)
			wantRefusal(t, "a first part below 5 MiB", err, "EntityTooSmall")
			done, err := m.complete(t, two) // any part may be the last
			if err != nil || aws.ToString(done.ETag) == "" {
				t.Fatalf("a part alone: %v", err)
			}
			m.holds(t, small)
		})
		t.Run("aborted", func(t *testing.T) {
			m := newMultipart(t, n, "aborted")
			one := m.part(t, 1, small)
			if err := m.abort(t); err != nil {
				t.Fatal(err)
			}
			wantRefusal(t, "again", m.abort(t), "NoSuchUpload")
			_, err := m.complete(t, one)
			wantRefusal(t, "Complete", err, "NoSuchUpload")
			_, err = m.client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: m.bucket, Key: m.key, UploadId: m.id})
			wantRefusal(t, "ListParts", err, "NoSuchUpload")
		})
		t.Run("ListParts", func(t *testing.T) {
			m := newMultipart(t, n, "listed parts")
			var numbers []int32
			for _, number := range []int32{7, 1, 10000, 3, 20} {
				m.part(t, number, small)
			}
			var marker *string
			for more, pages := true, 0; more && pages < 9; pages++ {
				page, err := m.client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: m.bucket, Key: m.key, UploadId: m.id, MaxParts: aws.Int32(2), PartNumberMarker: marker})
				if err != nil {
					t.Fatal(err)
				}
				if aws.ToString(page.UploadId) != *m.id || aws.ToString(page.Key) != *m.key || aws.ToString(page.Bucket) != harness.Bucket {
					t.Errorf("a page of %s, %s", aws.ToString(page.UploadId), aws.ToString(page.Key))
				}
				for _, p := range page.Parts {
					numbers = append(numbers, *p.PartNumber)
				}
				marker, more = page.NextPartNumberMarker, aws.ToBool(page.IsTruncated)
			}
			if want := []int32{1, 3, 7, 20, 10000}; !slices.Equal(numbers, want) {
				t.Errorf("parts %d, want %d", numbers, want)
			}
			if err := m.abort(t); err != nil {
				t.Error(err)
			}
		})
		t.Run("UploadPartCopy", func(t *testing.T) { copies(t, n, whole) })
		t.Run("ListMultipartUploads", func(t *testing.T) { listsUploads(t, n) })
	})
}

// copies makes parts of an object: ranges of it, and on conditions.
func copies(t *testing.T, n *harness.Tenant, whole []byte) {
	source := newMultipart(t, n, "source +ü")
	one, two := source.part(t, 1, whole[:5*mib]), source.part(t, 2, whole[5*mib:])
	made, err := source.complete(t, one, two)
	if err != nil {
		t.Fatal(err)
	}
	m := newMultipart(t, n, "copied")
	from := func(number int32, with func(*s3.UploadPartCopyInput)) (types.CompletedPart, error) {
		in := &s3.UploadPartCopyInput{Bucket: m.bucket, Key: m.key, UploadId: m.id, PartNumber: aws.Int32(number),
			CopySource: aws.String(harness.Bucket + "/" + n.Prefix + "source%20%2B%C3%BC")}
		with(in)
		out, err := m.client.UploadPartCopy(t.Context(), in)
		if err != nil {
			return types.CompletedPart{}, err
		}
		return types.CompletedPart{PartNumber: in.PartNumber, ETag: out.CopyPartResult.ETag}, nil
	}
	for _, c := range []struct {
		name string
		with func(*s3.UploadPartCopyInput)
		code string
	}{
		{"another ETag", func(in *s3.UploadPartCopyInput) {
			in.CopySourceIfMatch = aws.String(`"0123456789abcdef0123456789abcdef"`)
		}, "PreconditionFailed"},
		{"this ETag", func(in *s3.UploadPartCopyInput) { in.CopySourceIfNoneMatch = made.ETag }, "PreconditionFailed, NotModified"}, // the latter is versitygw's
		{"changed since then", func(in *s3.UploadPartCopyInput) {
			in.CopySourceIfUnmodifiedSince = aws.Time(time.Now().Add(-time.Hour))
		}, "PreconditionFailed"},
		{"no range", func(in *s3.UploadPartCopyInput) { in.CopySourceRange = aws.String("0-5") }, "InvalidArgument"},
		{"an object that is not there", func(in *s3.UploadPartCopyInput) {
			in.CopySource = aws.String(harness.Bucket + "/" + n.Prefix + "nothing")
		}, "NoSuchKey"},
		{"another tenant's", func(in *s3.UploadPartCopyInput) { in.CopySource = aws.String(harness.Bucket + "/tenant-0/x") }, "AccessDenied"},
	} {
		_, err := from(1, c.with)
		wantRefusal(t, c.name, err, c.code)
	}
	first, err := from(1, func(in *s3.UploadPartCopyInput) { in.CopySourceIfMatch = made.ETag })
	if err != nil {
		t.Fatal(err)
	}
	second, err := from(2, func(in *s3.UploadPartCopyInput) { in.CopySourceRange = aws.String("bytes=7-1048582") })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.complete(t, first, second); err != nil {
		t.Fatal(err)
	}
	m.holds(t, slices.Concat(whole, whole[7:1048583]))
}

// listsUploads makes uploads and lists them, by prefix, delimiter, page and encoding.
func listsUploads(t *testing.T, n *harness.Tenant) {
	ids := map[string]string{} // to their keys
	var last *multipart
	for _, name := range []string{"list/a+ b", "list/d/1", "list/d/2", "list/e", "list/e", "list/ü"} {
		last = newMultipart(t, n, name)
		ids[*last.id] = name
	}
	list := func(with func(*s3.ListMultipartUploadsInput)) *s3.ListMultipartUploadsOutput {
		in := &s3.ListMultipartUploadsInput{Bucket: last.bucket, Prefix: aws.String(n.Prefix + "list/")}
		with(in)
		out, err := last.client.ListMultipartUploads(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	names := func(out *s3.ListMultipartUploadsOutput) string {
		var all []string
		for _, u := range out.Uploads {
			name := strings.TrimPrefix(aws.ToString(u.Key), n.Prefix)
			if ids[aws.ToString(u.UploadId)] != name && out.EncodingType == "" {
				t.Errorf("%s has an id that Create did not give it", name)
			}
			all = append(all, name)
		}
		for _, p := range out.CommonPrefixes {
			all = append(all, strings.TrimPrefix(aws.ToString(p.Prefix), n.Prefix)+"*")
		}
		return strings.Join(all, " | ")
	}
	for _, c := range []struct {
		name string
		with func(*s3.ListMultipartUploadsInput)
		want string
	}{
		{"all", func(*s3.ListMultipartUploadsInput) {}, "list/a+ b | list/d/1 | list/d/2 | list/e | list/e | list/ü"},
		{"a delimiter", func(in *s3.ListMultipartUploadsInput) { in.Delimiter = aws.String("/") }, "list/a+ b | list/e | list/e | list/ü | list/d/*"},
		{"a prefix", func(in *s3.ListMultipartUploadsInput) { in.Prefix = aws.String(n.Prefix + "list/d") }, "list/d/1 | list/d/2"},
		{"a marker", func(in *s3.ListMultipartUploadsInput) { in.KeyMarker = aws.String(n.Prefix + "list/d/2") }, "list/e | list/e | list/ü"},
		{"encoded", func(in *s3.ListMultipartUploadsInput) { in.EncodingType = types.EncodingTypeUrl }, "list/a%2B+b | list/d/1 | list/d/2 | list/e | list/e | list/%C3%BC"},
	} {
		if got := names(list(c.with)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	var paged []string
	var key, id *string
	for more := true; more && len(paged) < 9; {
		page := list(func(in *s3.ListMultipartUploadsInput) {
			in.MaxUploads, in.KeyMarker, in.UploadIdMarker = aws.Int32(1), key, id
		})
		paged = append(paged, names(page))
		key, id, more = page.NextKeyMarker, page.NextUploadIdMarker, aws.ToBool(page.IsTruncated)
	}
	if got := strings.Join(paged, " | "); got != "list/a+ b | list/d/1 | list/d/2 | list/e | list/e | list/ü" {
		t.Errorf("one a page: %s", got)
	}
	for uploadID, name := range ids {
		m := &multipart{Tenant: n, client: last.client, bucket: last.bucket, key: aws.String(n.Prefix + name), id: aws.String(uploadID)}
		if err := m.abort(t); err != nil {
			t.Error(fmt.Errorf("%s: %w", name, err))
		}
	}
}
