package relay

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// FuzzChunkedBody holds what is accepted as a chunked body, and where it ends, to the reading of net/http.
func FuzzChunkedBody(f *testing.F) {
	for _, s := range []string{
		"0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\n", "5;a=b\r\nhello\r\n0\r\nT: 1\r\n\r\n", "5\nhello\n0\n\n", "-1\r\n", "ffffffffffffffff1\r\n",
		"0\r\n" + strings.Repeat("T: 1\r\n", 9) + "\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := &Conn{pre: raw, phase: phaseBody, detached: true} // it ends where raw ends
		got, err := io.ReadAll(newBody(c, &Head{Length: -1, Chunked: true}))
		if err != nil {
			return
		}
		r := bufio.NewReader(io.MultiReader(strings.NewReader("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(raw)))
		req, err := http.ReadRequest(r)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(req.Body)
		if err != nil {
			return // it reads the fields of the trailer, which are dropped here
		}
		rest, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) || !bytes.Equal(c.pre, rest) {
			t.Fatalf("body %q and then %q; net/http reads %q and then %q", got, c.pre, want, rest)
		}
	})
}

func TestTrailerIsBounded(t *testing.T) {
	for name, trailer := range map[string]string{
		"many lines":  strings.Repeat("Trailer: field\r\n", 2000),
		"a long line": "Trailer: " + strings.Repeat("x", 2*chunkLineBuffer) + "\r\n",
		"a bare LF":   "Trailer: field\n",
		"cut off":     "Trailer: field",
	} {
		end := "\r\n"
		if name == "cut off" {
			end = ""
		}
		c := &Conn{pre: []byte("0\r\n" + trailer + end), phase: phaseBody, detached: true}
		if _, err := io.ReadAll(newBody(c, &Head{Length: -1, Chunked: true})); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
