package relay

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"partway/auth/sigv4"
)

func TestParseHead(t *testing.T) {
	const host = "Host: gw\r\n"
	tests := []struct {
		name, raw string
		want      *Head // nil: ErrFraming
	}{
		{"length", host + "Content-Length: 42\r\n\r\n", &Head{Length: 42}},
		{"without the empty line", host + "Content-Length: 42\r\n", &Head{Length: 42}},
		{"no body", host + "\r\n", &Head{Length: -1}},
		{"chunked", host + "Transfer-Encoding: Chunked\r\n\r\n", &Head{Length: -1, Chunked: true}},
		{"expect", host + "Content-Length: 1\r\nEXPECT: 100-Continue\r\n\r\n", &Head{Length: 1, Expect: true}},
		{"largest length", host + "Content-Length: 9223372036854775807\r\n\r\n", &Head{Length: 1<<63 - 1}},
		{"length beyond", host + "Content-Length: 9223372036854775808\r\n\r\n", nil},
		{"negative length", host + "Content-Length: -1\r\n\r\n", nil},
		{"signed length", host + "Content-Length: +5\r\n\r\n", nil},
		{"hex length", host + "Content-Length: 0x5\r\n\r\n", nil},
		{"no digits", host + "Content-Length:\r\n\r\n", nil},
		{"list of lengths", host + "Content-Length: 5, 5\r\n\r\n", nil},
		{"two equal lengths", host + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", nil},
		{"length and coding", host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", nil},
		{"two codings", host + "Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n", nil},
		{"list of codings", host + "Transfer-Encoding: gzip, chunked\r\n\r\n", nil},
		{"identity", host + "Transfer-Encoding: identity\r\n\r\n", nil},
		{"no host", "Content-Length: 5\r\n\r\n", nil},
		{"nothing", "", nil},
		{"empty host", "Host: \r\n\r\n", nil},
		{"two hosts", host + host + "\r\n", nil},
		{"bare LF", "Host: gw\nContent-Length: 5\r\n\r\n", nil},
		{"bare LF at the end", host + "\n", nil},
		{"bare CR", "Host: g\rw\r\n\r\n", nil},
		{"folded", host + "X-A: b\r\n c\r\n\r\n", nil},
		{"blank before the colon", host + "Content-Length : 5\r\n\r\n", nil},
		{"blank in a name", host + "Content Length: 5\r\n\r\n", nil},
		{"control character in a name", host + "X\x01: 5\r\n\r\n", nil},
		{"no name", host + ": 5\r\n\r\n", nil},
		{"no colon", host + "X-A\r\n\r\n", nil},
		{"NUL in a value", host + "X-A: a\x00b\r\n\r\n", nil},
		{"DEL in a value", host + "X-A: a\x7fb\r\n\r\n", nil},
		{"unknown expectation", host + "Expect: 200-ok\r\n\r\n", nil},
		{"two expectations", host + "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n", nil},
		{"bytes after the head", host + "\r\nX", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := ParseHead([]byte(tt.raw))
			if tt.want == nil {
				if !errors.Is(err, ErrFraming) {
					t.Fatalf("ParseHead = %+v, %v, want ErrFraming", h, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			h.Headers = nil
			if !reflect.DeepEqual(h, tt.want) {
				t.Errorf("ParseHead = %+v, want %+v", h, tt.want)
			}
		})
	}
}

func TestParseHeadKeepsHeaders(t *testing.T) {
	raw := []byte("Host: gw\r\nX-Amz-Meta-A: \t one  two \r\nx-amz-meta-a: \xc3\xa9\r\nX-Empty:\r\n\r\n")
	h, err := ParseHead(raw)
	if err != nil {
		t.Fatal(err)
	}
	copy(raw, strings.Repeat("#", len(raw))) // fasthttp reuses its buffer
	want := []sigv4.Header{{Name: "host", Value: "gw"}, {Name: "x-amz-meta-a", Value: "one  two"}, {Name: "x-amz-meta-a", Value: "\xc3\xa9"}, {Name: "x-empty"}}
	if !reflect.DeepEqual(h.Headers, want) {
		t.Errorf("headers %q, want %q", h.Headers, want)
	}
	if got := h.Get("x-amz-meta-a"); got != "one  two" {
		t.Errorf("Get = %q, want the first", got)
	}
}

// FuzzParseHead holds what ParseHead accepts to the reading of net/http.
func FuzzParseHead(f *testing.F) {
	for _, s := range []string{
		"Host: a\r\n\r\n", "Host: a\r\nContent-Length: 5\r\n\r\n", "Host: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
		"Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "Host: a\nX: y\r\n z\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := ParseHead(raw)
		if err != nil {
			if !errors.Is(err, ErrFraming) {
				t.Fatalf("error %v is not ErrFraming", err)
			}
			return
		}
		whole := append([]byte("PUT / HTTP/1.1\r\n"), raw...)
		if !bytes.HasSuffix(raw, []byte("\r\n\r\n")) {
			whole = append(whole, "\r\n"...)
		}
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(whole)))
		if err != nil {
			return // it knows rules of other headers, Host's syntax for one
		}
		length := max(h.Length, 0)
		if h.Chunked {
			length = -1
		}
		if req.ContentLength != length || h.Chunked != (len(req.TransferEncoding) == 1) {
			t.Fatalf("length %d, chunked %v; net/http reads %d, %q", h.Length, h.Chunked, req.ContentLength, req.TransferEncoding)
		}
		for _, x := range h.Headers {
			if x.Name == "host" || x.Name == "content-length" || x.Name == "transfer-encoding" || x.Name == "trailer" || x.Name == "pragma" || x.Name == "cache-control" {
				continue
			}
			if got := req.Header[http.CanonicalHeaderKey(x.Name)]; !contains(got, x.Value) {
				t.Fatalf("%s: %q; net/http reads %q", x.Name, x.Value, got)
			}
		}
	})
}

func contains(values []string, v string) bool {
	for _, w := range values {
		if w == v {
			return true
		}
	}
	return false
}
