package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"partway/auth/sigv4"
	"partway/proxy/awschunked"
)

// maxHeld is the largest body that is kept in memory to know its sums beforehand; larger ones are kept in files. keptInMemory and keptOnDisk bound all
// of them together: what a machine that sends files can spare, and the largest body that there can be.
const (
	maxHeld      = 16 << 20
	keptInMemory = 8 * maxHeld
	keptOnDisk   = maxBody
)

// content is a child's body, decoded: the object's bytes, and what was declared of them.
type content struct {
	io.Reader
	length  int64
	trailer string            // the name of a checksum that comes behind the bytes
	declare map[string]string // headers for storage to verify and keep
	sha256  string            // hex, if it was declared

	framing awschunked.Options // as the body came, if it came framed
}

var errNoLength = &Refusal{Status: 411, Code: "MissingContentLength", Message: "You must provide the Content-Length HTTP header."}

// kept are the headers of a PUT that speak of the object; a part has none of them.
var kept = []string{"Cache-Control", "Content-Disposition", "Content-Language", "Content-Type", "Expires", "If-Match", "If-None-Match"}

// consumed are the x-amz-* headers that say how the child signed and framed the request.
var consumed = map[string]bool{
	"x-amz-content-sha256": true, "x-amz-date": true, "x-amz-decoded-content-length": true, "x-amz-trailer": true, "x-amz-user-agent": true,
	"x-amz-security-token": true, "x-amz-sdk-checksum-algorithm": true,
}

// contentOf reads from the head how a body comes. Chunk signatures are verified as the body is read, and a hash that storage will not be told
// is too: then the last byte is held back until it is, so that storage never has a whole body that is not the right one.
func contentOf(r *http.Request, chunks *sigv4.Chunks, part bool) (*content, error) {
	c := &content{Reader: r.Body, length: r.ContentLength, declare: declared(r, part)}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if strings.HasPrefix(payload, "STREAMING-") {
		return c.chunked(r, payload, chunks)
	}
	if c.length < 0 {
		return nil, errNoLength
	}
	if payload == sigv4.UnsignedPayload {
		return c, nil
	}
	if sum, err := hex.DecodeString(payload); err != nil || len(sum) != sha256.Size {
		return nil, &Refusal{Status: 400, Code: "InvalidArgument", Message: "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-... or a valid sha256 value."}
	}
	c.sha256 = payload
	if !verifiable(c.declare) {
		c.Reader = &verifyingReader{r: r.Body, left: c.length, hash: sha256.New(), want: payload}
	}
	return c, nil
}

// declared are the headers that storage is to be sent.
func declared(r *http.Request, part bool) map[string]string {
	out := map[string]string{}
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !consumed[lower] || lower == "content-md5" {
			out[lower] = strings.Join(values, ",")
		}
	}
	if part {
		return out
	}
	for _, name := range kept {
		if v := r.Header.Get(name); v != "" {
			out[strings.ToLower(name)] = v
		}
	}
	if e := withoutChunked(r.Header.Get("Content-Encoding")); e != "" {
		out["content-encoding"] = e
	}
	return out
}

// verifiable reports whether storage will verify the bytes itself.
func verifiable(headers map[string]string) bool {
	for name := range headers {
		if name == "content-md5" || isChecksum(name) {
			return true
		}
	}
	return false
}

func isChecksum(name string) bool {
	return strings.HasPrefix(name, "x-amz-checksum-") && name != "x-amz-checksum-algorithm" && name != "x-amz-checksum-type"
}

func (c *content) chunked(r *http.Request, payload string, chunks *sigv4.Chunks) (*content, error) {
	length, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil || length < 0 {
		return nil, errNoLength
	}
	o := awschunked.Options{Length: length, Trailer: r.Header.Get("X-Amz-Trailer")}
	switch payload {
	case sigv4.StreamingUnsignedTrailer:
	case sigv4.StreamingSigned, sigv4.StreamingSignedTrailer:
		o.Chunks = chunks
	default:
		return nil, &Refusal{Status: 400, Code: "InvalidRequest", Message: "The value of x-amz-content-sha256 header is invalid."}
	}
	c.length, c.trailer, c.framing = length, strings.ToLower(o.Trailer), o
	c.Reader = awschunked.NewReader(r.Body, o)
	return c, nil
}

func errTrailer(name string) *Refusal {
	return &Refusal{Status: 400, Code: "InvalidRequest", Message: "The trailing header " + name + " is not supported."}
}

// errHash is what a body that is not the one that was hashed ends with.
var errHash = &Refusal{Status: 400, Code: "XAmzContentSHA256Mismatch", Message: "The provided 'x-amz-content-sha256' header does not match what was computed."}

// verifyingReader keeps the last byte back until all of them have the hash.
type verifyingReader struct {
	r    io.Reader
	left int64
	hash hash.Hash
	want string
	err  error
}

func (v *verifyingReader) Read(p []byte) (int, error) {
	if v.err != nil || len(p) == 0 {
		return 0, v.err
	}
	if v.left > 1 {
		p = p[:min(int64(len(p)), v.left-1)]
	} else {
		return v.last(p)
	}
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.left -= int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	v.err = err
	return n, err
}

func (v *verifyingReader) last(p []byte) (n int, err error) {
	if v.left == 1 {
		if n, err = io.ReadFull(v.r, p[:1]); err != nil {
			v.err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
			return 0, v.err
		}
		v.hash.Write(p[:1])
		v.left = 0
	}
	v.err = io.EOF
	if hex.EncodeToString(v.hash.Sum(nil)) != v.want {
		n, v.err = 0, errHash
	}
	return n, v.err
}

func withoutChunked(list string) string {
	var kept []string
	for token := range strings.SplitSeq(list, ",") {
		if token = strings.TrimSpace(token); token != "" && !strings.EqualFold(token, "aws-chunked") {
			kept = append(kept, token)
		}
	}
	return strings.Join(kept, ",")
}
