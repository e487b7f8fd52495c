package relay

import (
	"fmt"
	"strconv"
	"strings"

	"partway/auth/sigv4"
)

// Head is a request's head as it stood on the wire, copied out of fasthttp's buffers.
type Head struct {
	Headers []sigv4.Header // names lower-case, values trimmed, in order
	Length  int64          // Content-Length; -1 if there is none
	Chunked bool           // Transfer-Encoding: chunked
	Expect  bool           // Expect: 100-continue, in any case of letters
}

// Get returns the value of the first header of that lower-case name, or "".
func (h *Head) Get(name string) string {
	for i := range h.Headers {
		if h.Headers[i].Name == name {
			return h.Headers[i].Value
		}
	}
	return ""
}

// HasBody reports whether a body follows the head.
func (h *Head) HasBody() bool { return h.Length > 0 || h.Chunked }

// closes reports a Connection header that asks for a close, in any case and in a list; fasthttp knows it alone and in lower case.
func (h *Head) closes() bool {
	for _, f := range h.Headers {
		if f.Name != "connection" {
			continue
		}
		for option := range strings.SplitSeq(f.Value, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "close") {
				return true
			}
		}
	}
	return false
}

// ParseHead parses h.RawHeaders(). ErrFraming for Content-Length with Transfer-Encoding, two of either, a length that is not plain
// digits, two hosts, none, a bare LF, a folded line, a malformed name, a control character in a value, an unknown
// expectation or a transfer coding other than chunked: answer 400 and close. Two parsers that disagree about such a head
// disagree about where the next request starts (RFC 9112, section 11.2).
func ParseHead(raw []byte) (*Head, error) {
	h := &Head{Length: -1}
	rest := string(raw)
	h.Headers = make([]sigv4.Header, 0, strings.Count(rest, "\n"))
	for rest != "" {
		line, after, ended := strings.Cut(rest, "\r\n")
		if !ended {
			return nil, fmt.Errorf("%w: a line that does not end in CRLF", ErrFraming)
		}
		if rest = after; line == "" {
			break
		}
		f, err := parseField(line)
		if err != nil {
			return nil, err
		}
		h.Headers = append(h.Headers, f)
	}
	if rest != "" {
		return nil, fmt.Errorf("%w: bytes after the head", ErrFraming)
	}
	return h, h.frame()
}

func parseField(line string) (sigv4.Header, error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isToken(name) { // a folded line starts with a blank, which is no token either
		return sigv4.Header{}, fmt.Errorf("%w: malformed header name", ErrFraming)
	}
	value = strings.Trim(value, " \t")
	if !isFieldValue(value) {
		return sigv4.Header{}, fmt.Errorf("%w: control character in header %s", ErrFraming, name)
	}
	return sigv4.Header{Name: strings.ToLower(name), Value: value}, nil
}

// frame reads from the headers where the body ends.
func (h *Head) frame() error {
	var lengths, codings, hosts, expects int
	for _, f := range h.Headers {
		switch f.Name {
		case "content-length":
			lengths++
			n, err := strconv.ParseUint(f.Value, 10, 63)
			if err != nil {
				return fmt.Errorf("%w: Content-Length is not a number", ErrFraming)
			}
			h.Length = int64(n)
		case "transfer-encoding":
			codings++
			if !strings.EqualFold(f.Value, "chunked") {
				return fmt.Errorf("%w: transfer coding other than chunked", ErrFraming)
			}
			h.Chunked = true
		case "host":
			hosts++
			if f.Value == "" {
				return fmt.Errorf("%w: empty Host", ErrFraming)
			}
		case "expect":
			expects++
			if !strings.EqualFold(f.Value, "100-continue") {
				return fmt.Errorf("%w: unknown expectation", ErrFraming)
			}
			h.Expect = true
		}
	}
	switch {
	case lengths+codings > 1:
		return fmt.Errorf("%w: more than one of Content-Length and Transfer-Encoding", ErrFraming)
	case hosts != 1:
		return fmt.Errorf("%w: %d Host headers", ErrFraming, hosts)
	case expects > 1:
		return fmt.Errorf("%w: more than one Expect", ErrFraming)
	}
	return nil
}

// ValidHeader reports whether a header can be sent as it is. Names are lower-case.
func ValidHeader(name, value string) bool { return isToken(name) && isFieldValue(value) }

// isToken reports whether s is a header name (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// isFieldValue reports whether s has no control character but tab (RFC 9110, section 5.5).
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
