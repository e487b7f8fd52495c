package proxy

import (
	"errors"
	"strings"
	"testing"

	"partway/auth"
	"partway/auth/sigv4"
	"partway/proxy/storage"
)

// How each form of body that clients send goes on to storage.
func TestFramingOf(t *testing.T) {
	const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	streamed := []sigv4.Header{header("content-encoding", "aws-chunked,gzip"), header("x-amz-decoded-content-length", "5"), header("x-amz-trailer", "x-amz-checksum-crc32")}
	tests := []struct {
		name          string
		payload       string
		headers       []sigv4.Header
		length        int64 // of the client's body; -1: chunked
		noAWSChunked  bool
		bytes, sent   int64
		sentPayload   string
		sentEncoding  string
		throughReader bool
	}{
		{"plain with its hash", sum, nil, 5, false, 5, 5, sum, "", false},
		{"plain, unsigned", sigv4.UnsignedPayload, []sigv4.Header{header("content-encoding", "gzip")}, 5, false, 5, 5, sigv4.UnsignedPayload, "gzip", false},
		{"unsigned with a trailer", sigv4.StreamingUnsignedTrailer, streamed, 50, false, 5, 50, sigv4.StreamingUnsignedTrailer, "gzip", true},
		{"the same, chunked", sigv4.StreamingUnsignedTrailer, streamed, -1, false, 5, -1, sigv4.StreamingUnsignedTrailer, "gzip", true},
		{"the same, for storage that cannot take it", sigv4.StreamingUnsignedTrailer, streamed, 50, true, 5, 5, sigv4.UnsignedPayload, "gzip", true},
		{"signed chunks", sigv4.StreamingSigned, streamed[:2], 300, false, 5, 5, sigv4.UnsignedPayload, "gzip", true},
		{"signed chunks with a trailer", sigv4.StreamingSignedTrailer, streamed, 300, false, 5, 46, sigv4.StreamingUnsignedTrailer, "gzip", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := requestOf(t, "PUT", "b", "k", "")
			r.Head.Headers, r.Head.Length, r.Head.Chunked = tt.headers, tt.length, tt.length < 0
			r.Proof = &auth.Proof{Mechanism: auth.MechanismHeader, Payload: tt.payload}
			if strings.HasPrefix(tt.payload, "STREAMING-AWS4") {
				r.Proof.Chunks = &sigv4.Chunks{}
			}
			f, err := framingOf(r, !tt.noAWSChunked)
			if err != nil {
				t.Fatal(err)
			}
			c := &storage.Call{}
			for _, h := range tt.headers {
				if forwarded.has(h.Name) {
					c.Headers = append(c.Headers, h)
				}
			}
			f.apply(c)
			encoding := headerOf(c.Headers, "content-encoding")
			if f.bytes != tt.bytes || f.length != tt.sent || c.Payload != tt.sentPayload || encoding != tt.sentEncoding || f.chunked() != tt.throughReader {
				t.Errorf("bytes %d, length %d, payload %s, encoding %q, reader %t", f.bytes, f.length, c.Payload, encoding, f.chunked())
			}
		})
	}
}

func TestFramingOfRefuses(t *testing.T) {
	tests := []struct {
		name    string
		payload string
		headers []sigv4.Header
		length  int64
		chunked bool
		want    *Error
	}{
		{"no length at all", sigv4.UnsignedPayload, nil, -1, false, errMissingLength},
		{"chunked and plain", sigv4.UnsignedPayload, nil, -1, true, errMissingLength},
		{"aws-chunked without saying so", sigv4.UnsignedPayload, []sigv4.Header{header("content-encoding", "aws-chunked")}, 5, false, errInvalidRequest},
		{"streaming without its length", sigv4.StreamingUnsignedTrailer, nil, 5, false, errMissingLength},
		{"streaming with a negative length", sigv4.StreamingUnsignedTrailer, []sigv4.Header{header("x-amz-decoded-content-length", "-1")}, 5, false, errMissingLength},
		{"signed chunks without a signature to chain to", sigv4.StreamingSigned, []sigv4.Header{header("x-amz-decoded-content-length", "5")}, 5, false, errInvalidRequest},
		{"an unknown form", "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", []sigv4.Header{header("x-amz-decoded-content-length", "5")}, 5, false, errInvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := requestOf(t, "PUT", "b", "k", "")
			r.Head.Headers, r.Head.Length, r.Head.Chunked = tt.headers, tt.length, tt.chunked
			r.Proof = &auth.Proof{Mechanism: auth.MechanismHeader, Payload: tt.payload}
			if f, err := framingOf(r, true); !errors.Is(err, tt.want) {
				t.Errorf("%+v, %v; want %s", f, err, tt.want.Code)
			}
		})
	}
}

func TestForcedHeadersAndNoOverwriteGoByTheRelay(t *testing.T) {
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) {
		s.NoOverwrite, s.ForceHeaders = true, map[string]string{"x-amz-storage-class": "COLD"}
	}))
	a := b.ask("PUT", "/uploads/acme/x", "hello", "x-partway-transfer", "redirect", "x-amz-storage-class", "HOT")
	if a.status != 200 || a.header.Get("x-partway-transfer") != "relay;reason=unsignable-header" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	if h := b.s3.last(); h.Get("x-amz-storage-class") != "COLD" || h.Get("if-none-match") != "*" {
		t.Errorf("storage got %v", h)
	}
}

func TestNoOverwriteHoldsAtComplete(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.NoOverwrite = true }))
	b.want(b.complete(key, id, "hello"), 200, "")
	if got := b.s3.last().Get("if-none-match"); got != "*" {
		t.Errorf("storage got If-None-Match %q", got)
	}
}

func TestMaxOpenUploads(t *testing.T) {
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.MaxOpenUploads = 2 }))
	b.create("acme/1")
	id := b.create("acme/2")
	b.want(b.ask("POST", "/uploads/acme/3?uploads", ""), 503, "SlowDown")
	b.want(b.ask("DELETE", "/uploads/acme/2?uploadId="+id, ""), 204, "")
	b.create("acme/3")
}
