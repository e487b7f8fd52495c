package harness

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

func TestFormNamesHowABodyTravels(t *testing.T) {
	hash := "x-amz-content-sha256: " + strings.Repeat("a", 64)
	for _, c := range []struct{ head, want string }{
		{"content-length: 0\r\n" + hash, ""},
		{"content-length: 3\r\n" + hash, "sha256"},
		{"content-length: 3\r\nx-amz-checksum-crc32: x\r\nx-amz-sdk-checksum-algorithm: CRC32\r\n" + hash, "sha256, header crc32"},
		{"content-length: 3\r\ncontent-md5: x\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD", "UNSIGNED-PAYLOAD, header md5"},
		{"transfer-encoding: chunked\r\nx-amz-trailer: x-amz-checksum-crc32\r\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER",
			"STREAMING-UNSIGNED-PAYLOAD-TRAILER, Transfer-Encoding: chunked, trailer crc32"},
		{"content-length: 3", "presigned"},
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("PUT / HTTP/1.1\r\nhost: h\r\n" + c.head + "\r\n\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		if got := form(r); got != c.want {
			t.Errorf("%q: %q, want %q", c.head, got, c.want)
		}
	}
}
