package awschunked

import (
	"io"
	"strconv"
	"strings"
)

// reframedChunk is the size of the chunks that a Reframer writes. S3 wants at least 8 KiB; its SDKs write 64 KiB.
const reframedChunk = 64 << 10

// Reframer turns a signed body with a trailer into STREAMING-UNSIGNED-PAYLOAD-TRAILER with the same trailer.
type Reframer struct {
	data    *Reader
	framing []byte // to be delivered before anything else
	left    int64  // bytes of the current chunk's data to be delivered
	rest    int64  // bytes of data behind the current chunk
	err     error  // of every further Read, once framing is delivered
}

// Reframe verifies r as o says and frames its data anew. Of the trailing checksum only the form is verified, on whose length
// ReframedLength relies: the trailer's signature says that it is the client's, and storage verifies it.
func Reframe(r io.Reader, o Options) *Reframer {
	f := &Reframer{data: newDecoder(r, o), rest: o.Length}
	f.startChunk()
	return f
}

// ReframedLength is the number of bytes that a Reframer delivers for a body of that decoded length and trailer name; -1
// if the length of the trailer's value is not known beforehand, because its algorithm is not.
func ReframedLength(length int64, trailer string) int64 {
	n := length/reframedChunk*framedChunkLength(reframedChunk) + int64(len("0\r\n\r\n"))
	if last := length % reframedChunk; last > 0 {
		n += framedChunkLength(last)
	}
	if trailer == "" {
		return n
	}
	value := checksumLength(strings.ToLower(trailer))
	if value < 0 {
		return -1
	}
	return n + int64(len(trailer)+len(":\r\n")+value)
}

func framedChunkLength(size int64) int64 {
	return int64(len(strconv.FormatInt(size, 16))) + size + int64(len("\r\n\r\n"))
}

func (f *Reframer) Read(b []byte) (int, error) {
	for f.err == nil && len(f.framing) == 0 && len(b) > 0 {
		n, err := f.data.Read(b[:min(int64(len(b)), max(f.left, 1))])
		f.left -= int64(n)
		switch {
		case err == io.EOF: //nolint:errorlint // an error that wraps io.EOF is an error
			name := f.data.o.Trailer
			if f.err = checkValue(name, f.data.value); f.err != nil {
				return 0, f.err
			}
			f.end(n > 0)
		case err != nil:
			f.err = err
		case f.left == 0:
			f.framing = append(f.framing, "\r\n"...)
			f.startChunk()
		}
		if n > 0 {
			return n, nil
		}
	}
	n := copy(b, f.framing)
	f.framing = f.framing[n:]
	if len(f.framing) > 0 {
		return n, nil
	}
	return n, f.err
}

// startChunk writes the next chunk's size, if there is data for another chunk.
func (f *Reframer) startChunk() {
	if f.left = min(f.rest, reframedChunk); f.left > 0 {
		f.rest -= f.left
		f.framing = append(strconv.AppendInt(f.framing, f.left, 16), "\r\n"...)
	}
}

// end closes the last chunk, if there is one, and the body.
func (f *Reframer) end(closeChunk bool) {
	if closeChunk {
		f.framing = append(f.framing, "\r\n"...)
	}
	f.framing = append(f.framing, "0\r\n"...)
	if name := f.data.o.Trailer; name != "" {
		f.framing = append(append(append(append(f.framing, name...), ':'), f.data.value...), "\r\n"...)
	}
	f.framing = append(f.framing, "\r\n"...)
	f.err = io.EOF
}
