package sigv4

import (
	"errors"
	"strings"
)

// ErrEscape is a "%" in a path or query that no two hex digits follow.
var ErrEscape = errors.New("invalid percent escape")

// EncodePath percent-encodes a decoded path by AWS's rules, "/" kept.
func EncodePath(s string) string { return string(appendEncoded(make([]byte, 0, len(s)+16), s, "/")) }

// EncodeQuery percent-encodes a decoded query key or value by AWS's rules.
func EncodeQuery(s string) string { return string(appendEncoded(make([]byte, 0, len(s)+16), s, "")) }

// DecodeQuery reverses the encoding of a query key or value as servers do, "+" being a space: the reading under which
// the query is signed.
func DecodeQuery(s string) (string, error) {
	if !strings.ContainsAny(s, "%+") {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		c, n := next(s, i)
		if n == 0 {
			return "", ErrEscape
		}
		if s[i] == '+' {
			c = ' '
		}
		out, i = append(out, c), i+n
	}
	return string(out), nil
}

// unreserved holds the characters of RFC 3986 section 2.3, which AWS never encodes.
var unreserved = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") {
		t[c] = true
	}
	return t
}()

const upperHex = "0123456789ABCDEF"

func appendByte(dst []byte, c byte, keep string) []byte {
	if unreserved[c] || (keep != "" && c == keep[0]) {
		return append(dst, c)
	}
	return append(dst, '%', upperHex[c>>4], upperHex[c&15])
}

func appendEncoded(dst []byte, s, keep string) []byte {
	for i := range len(s) {
		dst = appendByte(dst, s[i], keep)
	}
	return dst
}

// appendCanonicalPath appends a path as it stood on the wire, decoded once and encoded again. An escaped slash comes
// out as a slash: servers that decode the path see one there.
func appendCanonicalPath(dst []byte, path string) ([]byte, error) {
	if path == "" {
		return append(dst, '/'), nil
	}
	return appendCanonical(dst, path, '+', "/")
}

// appendCanonicalQuery appends a query key or value as it stood on the wire, decoded once and encoded again. "+" is a
// space, as in every parser of queries that a server may use; it is signed as what it will be read as.
func appendCanonicalQuery(dst []byte, s string) ([]byte, error) {
	return appendCanonical(dst, s, ' ', "")
}

// appendCanonical appends s decoded, a "+" as plus, and encoded again but for keep.
func appendCanonical(dst []byte, s string, plus byte, keep string) ([]byte, error) {
	for i := 0; i < len(s); {
		run := i
		for i < len(s) && unreserved[s[i]] {
			i++
		}
		dst = append(dst, s[run:i]...)
		if i == len(s) {
			break
		}
		c, n := next(s, i)
		if n == 0 {
			return dst, ErrEscape
		}
		if s[i] == '+' {
			c = plus
		}
		dst, i = appendByte(dst, c, keep), i+n
	}
	return dst, nil
}

// next decodes the byte at s[i] and says how many bytes of s stand for it; 0 for an invalid escape.
func next(s string, i int) (byte, int) {
	if s[i] != '%' {
		return s[i], 1
	}
	if len(s)-i < 3 {
		return 0, 0
	}
	high, low := unhex(s[i+1]), unhex(s[i+2])
	if high < 0 || low < 0 {
		return 0, 0
	}
	return byte(high<<4 | low), 3
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
