package awschunked

import (
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

// FuzzRoundTrip: whatever the data, its chunks and the way they arrive, decoding gives the data, walking gives the body, and decoding
// what was reframed gives the data.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("hello"), uint16(2), true)
	f.Add([]byte{}, uint16(1), false)
	f.Fuzz(func(t *testing.T, data []byte, chunk uint16, halves bool) {
		cut := func(r io.Reader) io.Reader { return r }
		if halves {
			cut = iotest.HalfReader
		}
		const name = "x-amz-checksum-crc64nvme"
		o := Options{Length: int64(len(data)), Trailer: name}
		body := unsigned(data, int(chunk)+1, sumTrailer(name, data))
		if got, err := io.ReadAll(NewReader(cut(bytes.NewReader(body)), o)); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("Reader: %q, %v", got, err)
		}
		if got, err := io.ReadAll(NewWalker(cut(bytes.NewReader(body)), o)); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("Walker: %q, %v", got, err)
		}
		framed, err := io.ReadAll(Reframe(cut(bytes.NewReader(body)), o))
		if err != nil || int64(len(framed)) != ReframedLength(o.Length, name) {
			t.Fatalf("Reframer: %d bytes, want %d; %v", len(framed), ReframedLength(o.Length, name), err)
		}
		if got, err := io.ReadAll(NewReader(bytes.NewReader(framed), o)); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("Reader of what was reframed: %q, %v", got, err)
		}
	})
}

// FuzzBytes: no bytes make a reader panic, deliver a complete body with an error, or disagree with the others or with how they arrive.
func FuzzBytes(f *testing.F) {
	good := "5\r\nhello\r\n0\r\n" + hello + "\r\n\r\n"
	f.Add([]byte(good), int64(5))
	f.Add([]byte(good[:20]), int64(5))
	f.Add([]byte("5\r\nhello\r\n0\r\n"+hello+"\n\r\n\r\n"), int64(5))
	f.Add([]byte("0\r\n"+hello+"\r\n\r\n"), int64(0))
	f.Add([]byte("ffffffffffffffff\r\n"), int64(1<<62))
	f.Fuzz(func(t *testing.T, body []byte, length int64) {
		o := Options{Length: length, Trailer: "x-amz-checksum-crc32"}
		decoded, decodeErr := io.ReadAll(newDecoder(bytes.NewReader(body), o))
		if decodeErr != nil && length > 0 && int64(len(decoded)) >= length {
			t.Fatalf("complete and wrong: %q, %v", decoded, decodeErr)
		}
		if decodeErr == nil && int64(len(decoded)) != length {
			t.Fatalf("%d bytes, declared %d", len(decoded), length)
		}
		again, againErr := io.ReadAll(newDecoder(iotest.OneByteReader(bytes.NewReader(body)), o))
		if (againErr == nil) != (decodeErr == nil) || decodeErr == nil && !bytes.Equal(again, decoded) {
			t.Fatalf("byte by byte %q, %v; at once %q, %v", again, againErr, decoded, decodeErr)
		}
		walked, walkErr := io.ReadAll(NewWalker(bytes.NewReader(body), o))
		if (walkErr == nil) != (decodeErr == nil) {
			t.Fatalf("Walker %v, Reader %v", walkErr, decodeErr)
		}
		if walkErr == nil && !bytes.Equal(walked, body) || walkErr != nil && len(walked) >= max(len(body), 1) {
			t.Fatalf("Walker: %q, %v", walked, walkErr)
		}
		if _, err := io.ReadAll(NewReader(bytes.NewReader(body), o)); err == nil && decodeErr != nil {
			t.Fatalf("verified what is not well-formed: %v", decodeErr)
		}
	})
}
