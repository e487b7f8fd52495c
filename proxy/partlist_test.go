package proxy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParsePartList(t *testing.T) {
	parts, err := parsePartList([]byte(`<?xml version="1.0" encoding="UTF-8"?>
<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
 <Part><ETag>"a"</ETag><PartNumber>1</PartNumber><ChecksumCRC32>AAAA</ChecksumCRC32></Part>
 <Part><PartNumber>10000</PartNumber><ETag>&quot;b&quot;</ETag></Part>
</CompleteMultipartUpload>`))
	if err != nil || len(parts) != 2 || parts[0] != (listedPart{1, `"a"`}) || parts[1] != (listedPart{10000, `"b"`}) {
		t.Errorf("%v, %v", parts, err)
	}
}

func TestParsePartListRefuses(t *testing.T) {
	part := func(n int) string { return fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>e</ETag></Part>", n) }
	tests := []struct {
		name, body string
		want       *Error
	}{
		{"nothing", "", errMalformedXML},
		{"no part", "<CompleteMultipartUpload></CompleteMultipartUpload>", errMalformedXML},
		{"no XML", "part 1", errMalformedXML},
		{"another root", "<Delete>" + part(1) + "</Delete>", errMalformedXML},
		{"cut off", "<CompleteMultipartUpload>" + part(1), errMalformedXML},
		{"another element", "<CompleteMultipartUpload><Bart/></CompleteMultipartUpload>", errMalformedXML},
		{"a DTD", `<!DOCTYPE x [<!ENTITY a "b">]><CompleteMultipartUpload>` + part(1) + "</CompleteMultipartUpload>", errMalformedXML},
		{"an entity", "<CompleteMultipartUpload><Part><ETag>&a;</ETag></Part></CompleteMultipartUpload>", errMalformedXML},
		{"part 0", "<CompleteMultipartUpload>" + part(0) + "</CompleteMultipartUpload>", errInvalidArgument},
		{"part 10001", "<CompleteMultipartUpload>" + part(10001) + "</CompleteMultipartUpload>", errInvalidArgument},
		{"no number", "<CompleteMultipartUpload><Part><ETag>e</ETag></Part></CompleteMultipartUpload>", errMalformedXML},
		{"10001 parts", "<CompleteMultipartUpload>" + strings.Repeat(part(1), 10001) + "</CompleteMultipartUpload>", errMalformedXML},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if parts, err := parsePartList([]byte(tt.body)); !errors.Is(err, tt.want) {
				t.Errorf("%d parts, %v; want %s", len(parts), err, tt.want.Code)
			}
		})
	}
}

func FuzzParsePartList(f *testing.F) {
	f.Add([]byte("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>"))
	f.Add([]byte("<!DOCTYPE a>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		parts, err := parsePartList(body)
		if err == nil && (len(parts) == 0 || len(parts) > maxParts) {
			t.Errorf("%d parts without an error", len(parts))
		}
	})
}

// The published form of S3's multipart ETag: MD5 of the parts' MD5s, and their number.
func TestMultipartETag(t *testing.T) {
	one := listedPart{1, `"d41d8cd98f00b204e9800998ecf8427e"`}
	if got := multipartETag([]listedPart{one}); got != `"59adb24ef3cdbe0297f05b395827453f-1"` {
		t.Error(got)
	}
	if got := multipartETag([]listedPart{one, {2, `"not-an-md5"`}}); got != "" {
		t.Error(got)
	}
}

func TestReplaceText(t *testing.T) {
	got := string(replaceText([]byte("<R><Key>a</Key><UploadId>old</UploadId></R>"), "UploadId", "a&b"))
	if got != "<R><Key>a</Key><UploadId>a&amp;b</UploadId></R>" {
		t.Error(got)
	}
	if got := string(replaceText([]byte("<R/>"), "UploadId", "x")); got != "<R/>" {
		t.Error(got)
	}
}
