package awschunked

import (
	"bytes"
	"io"
	"testing"
)

// MiB of body per second, and the allocations of one body of 8 MiB.
func BenchmarkReaders(b *testing.B) {
	data := pattern(8 << 20)
	for _, name := range []string{"x-amz-checksum-crc32", "x-amz-checksum-crc64nvme", "x-amz-checksum-sha256"} {
		body := unsigned(data, 64<<10, sumTrailer(name, data))
		o := Options{Length: int64(len(data)), Trailer: name}
		run(b, "Reader/"+name, len(data), func() io.Reader { return NewReader(bytes.NewReader(body), o) })
	}
	const name = "x-amz-checksum-crc32"
	body := unsigned(data, 64<<10, sumTrailer(name, data))
	run(b, "Walker", len(data), func() io.Reader {
		return NewWalker(bytes.NewReader(body), Options{Length: int64(len(data)), Trailer: name})
	})
	signed := newChain().signed(data, 64<<10, sumTrailer(name, data))
	run(b, "Reframer, signed", len(data), func() io.Reader {
		return Reframe(bytes.NewReader(signed), Options{Length: int64(len(data)), Trailer: name, Chunks: chunksAfter(seed)})
	})
}

func run(b *testing.B, name string, size int, open func() io.Reader) {
	b.Run(name, func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		buf := make([]byte, 256<<10)
		for b.Loop() {
			if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, open(), buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
