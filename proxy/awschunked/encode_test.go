package awschunked

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// unsigned frames data in chunks of size bytes as an SDK does. trailer is "name:value" or "".
func unsigned(data []byte, size int, trailer string) []byte {
	var b bytes.Buffer
	for len(data) > 0 {
		n := min(size, len(data))
		fmt.Fprintf(&b, "%x\r\n%s\r\n", n, data[:n])
		data = data[n:]
	}
	b.WriteString("0\r\n")
	if trailer != "" {
		b.WriteString(trailer + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// sumTrailer is the trailer line of data without its line end.
func sumTrailer(name string, data []byte) string {
	h := algorithms[name]()
	h.Write(data)
	return name + ":" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// chain signs chunks as S3's documentation says, apart from the code under test.
type chain struct {
	key             []byte
	date, scope     string
	previous        string
	trailerLineEnds string // "\r\n", or "\n\r\n" as minio-go writes
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// newChain is that of the documentation's example.
func newChain() *chain {
	k := mac([]byte("AWS4wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "20130524")
	k = mac(mac(mac(k, "us-east-1"), "s3"), "aws4_request")
	return &chain{key: k, date: "20130524T000000Z", scope: "20130524/us-east-1/s3/aws4_request", previous: seed, trailerLineEnds: "\r\n"}
}

func (c *chain) chunk(data []byte) string {
	c.previous = hex.EncodeToString(mac(c.key, strings.Join([]string{"AWS4-HMAC-SHA256-PAYLOAD", c.date, c.scope, c.previous, hexSum(nil), hexSum(data)}, "\n")))
	return c.previous
}

func (c *chain) trailer(line string) string {
	return hex.EncodeToString(mac(c.key, strings.Join([]string{"AWS4-HMAC-SHA256-TRAILER", c.date, c.scope, c.previous, hexSum([]byte(line + "\n"))}, "\n")))
}

// signed frames data in signed chunks of size bytes.
func (c *chain) signed(data []byte, size int, trailer string) []byte {
	var b bytes.Buffer
	for len(data) > 0 {
		n := min(size, len(data))
		fmt.Fprintf(&b, "%x;chunk-signature=%s\r\n%s\r\n", n, c.chunk(data[:n]), data[:n])
		data = data[n:]
	}
	fmt.Fprintf(&b, "0;chunk-signature=%s\r\n", c.chunk(nil))
	if trailer != "" {
		fmt.Fprintf(&b, "%s%sx-amz-trailer-signature:%s\r\n", trailer, c.trailerLineEnds, c.trailer(trailer))
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// The documentation's example of 65 KiB of "a" in chunks of 64 KiB, without and with a trailer.
const (
	seed        = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
	trailerSeed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
)
