package awschunked

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReframe(t *testing.T) {
	for _, size := range []int{0, 1, reframedChunk - 1, reframedChunk, reframedChunk + 1, 3*reframedChunk + 5} {
		data := pattern(size)
		for name := range algorithms {
			trailer := sumTrailer(name, data)
			want := unsigned(data, reframedChunk, trailer)
			for split, cut := range splits {
				if name != "x-amz-checksum-crc32" && split != "whole" {
					continue // how a body arrives is no matter of the algorithm
				}
				f := Reframe(cut(bytes.NewReader(unsigned(data, 10000, trailer))), Options{Length: int64(size), Trailer: name})
				got, err := io.ReadAll(f)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%d bytes, %s, %s: %d bytes, want %d; %v", size, name, split, len(got), len(want), err)
				}
				if name+":"+f.data.value != trailer {
					t.Fatalf("trailer %q, want %s", f.data.value, trailer)
				}
			}
			if n := ReframedLength(int64(size), strings.ToUpper(name)); n != int64(len(want)) {
				t.Errorf("ReframedLength(%d, %s) = %d, want %d", size, name, n, len(want))
			}
		}
	}
}

func TestReframedLengthWithoutTrailer(t *testing.T) {
	if n, want := ReframedLength(5, ""), int64(len("5\r\nhello\r\n0\r\n\r\n")); n != want {
		t.Errorf("%d, want %d", n, want)
	}
	if n := ReframedLength(5, "x-amz-checksum-xxhash64"); n != -1 {
		t.Errorf("%d for an algorithm that is not known, want -1", n)
	}
}

// A Reframer reads into small and odd buffers as it does into large ones.
func TestReframeSmallReads(t *testing.T) {
	data := pattern(reframedChunk + 100)
	trailer := sumTrailer("x-amz-checksum-crc32", data)
	f := Reframe(bytes.NewReader(unsigned(data, 999, trailer)), Options{Length: int64(len(data)), Trailer: "x-amz-checksum-crc32"})
	if err := iotest.TestReader(f, unsigned(data, reframedChunk, trailer)); err != nil {
		t.Error(err)
	}
}

// What is wrong at the source's end keeps the last byte of the data, and so the end of the framing, back.
func TestReframeStopsBeforeTheEnd(t *testing.T) {
	body := "5\r\nhello\r\n0\r\n" + hello + "\r\n\r\n"
	for name, bad := range map[string]string{
		"truncated":        body[:len(body)-1],
		"bytes behind it":  body + "x",
		"other trailer":    strings.Replace(body, "crc32", "crc3x", 1),
		"checksum short":   strings.Replace(body, "NhCmhg==", "NhCmhg=", 1),
		"checksum missing": strings.Replace(body, "NhCmhg==", "", 1),
		"length too large": strings.Replace(body, "5", "6", 1),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := io.ReadAll(Reframe(strings.NewReader(bad), crc32Trailer))
			if err == nil || errors.Is(err, io.EOF) || len(got) > len("5\r\nhell") {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
