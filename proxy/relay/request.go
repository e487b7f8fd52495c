package relay

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"partway/auth/sigv4"
)

// Request is what storage is sent. Put adds Content-Length or Transfer-Encoding, and Expect; everything else, host among it, is in
// Headers. It must be idempotent, as every PUT is.
type Request struct {
	Method, Target string // "PUT", "/bucket/key?partNumber=1&uploadId=..."
	Headers        []sigv4.Header
	Length         int64 // of the body that storage is sent; -1: chunked
	// Body, if set, stands between the two ends: it gets the client's body (transfer coding removed) and returns what storage
	// is sent; it reads the one only within Read of the other. An error from its Read ends the transfer before storage has the
	// whole body, and so do more or fewer bytes than Length and an EOF before the end of the client's body. nil: the bytes as
	// they come, spliced where possible.
	Body func(io.Reader) io.Reader
}

// check refuses what storage could read as something else than what was signed.
func (r *Request) check(h *Head) error {
	if !isToken(r.Method) || !strings.HasPrefix(r.Target, "/") || strings.ContainsAny(r.Target, " \t\r\n\x00") {
		return fmt.Errorf("request line %q %q cannot be sent", r.Method, r.Target)
	}
	for _, f := range r.Headers {
		if !isToken(f.Name) || !isFieldValue(f.Value) {
			return fmt.Errorf("header %q cannot be sent", f.Name)
		}
	}
	if r.Body == nil && !h.Chunked && r.Length != max(h.Length, 0) {
		return errors.New("length of the request to storage differs from that of the client's body")
	}
	return nil
}

// head is the request's head in bytes.
func (r *Request) head() []byte {
	b := fmt.Appendf(make([]byte, 0, 2<<10), "%s %s HTTP/1.1\r\n", r.Method, r.Target)
	for _, f := range r.Headers {
		switch f.Name {
		case "content-length", "transfer-encoding", "expect", "connection":
		default:
			b = fmt.Appendf(b, "%s: %s\r\n", f.Name, f.Value)
		}
	}
	switch {
	case r.Length < 0:
		b = append(b, "transfer-encoding: chunked\r\nexpect: 100-continue\r\n"...)
	case r.Length == 0:
		b = append(b, "content-length: 0\r\n"...)
	default:
		b = fmt.Appendf(b, "content-length: %d\r\nexpect: 100-continue\r\n", r.Length)
	}
	return append(b, "\r\n"...)
}
