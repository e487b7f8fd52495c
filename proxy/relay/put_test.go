package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

func TestPutCarriesTheBody(t *testing.T) {
	large := pattern(3 << 20)
	tests := []struct {
		name, framing, sent, body string
		interim                   bool
	}{
		{"with Expect", "Content-Length: 5\r\nExpect: 100-continue\r\n", "hello", "hello", true},
		{"with Expect in capitals", "Content-Length: 5\r\nExpect: 100-Continue\r\n", "hello", "hello", true},
		{"without Expect", "Content-Length: 5\r\n", "hello", "hello", false},
		{"empty", "Content-Length: 0\r\n", "", "", false},
		{"without a length", "", "", "", false},
		{"large", fmt.Sprintf("Content-Length: %d\r\n", len(large)), large, large, false},
		{"chunked", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n6;ext=\"a\"\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n", "hello world", false},
		{"chunked and empty", "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", "0\r\n\r\n", "", true},
		{"chunked and large", "Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(large), large), large, false},
	}
	legs := []struct {
		name            string
		client, storage *tls.Config
	}{
		{"plain", nil, nil},
		{"TLS to the client", testCertificate(), nil},
		{"TLS to storage", nil, testCertificate()},
		{"TLS on both", testCertificate(), testCertificate()},
	}
	for _, leg := range legs {
		t.Run(leg.name, func(t *testing.T) {
			f := newFake(t, leg.storage, well)
			sc := StorageConfig{Address: f.address}
			if leg.storage != nil {
				sc.TLS = &tls.Config{InsecureSkipVerify: true}
			}
			g := newGateway(t, sc, Config{TLS: leg.client}, nil)
			c := g.dial() // one connection for all: each body must end where the next request starts
			for _, tt := range tests {
				t.Run(tt.name, func(t *testing.T) {
					c.t = t
					c.send("PUT /b/k?partNumber=1 HTTP/1.1\r\nHost: gw\r\n%s\r\n", tt.framing)
					if tt.interim {
						c.expect(100)
					}
					if _, err := io.WriteString(c, tt.sent); err != nil {
						t.Fatal(err)
					}
					c.expect(200)
					s := f.next()
					if s.err != nil || string(s.body) != tt.body {
						t.Errorf("storage read %d bytes, %v, want the %d sent", len(s.body), s.err, len(tt.body))
					}
					if s.head.RequestURI != "/b/k?partNumber=1" || s.head.Host != "storage" {
						t.Errorf("storage read %s of %s", s.head.RequestURI, s.head.Host)
					}
					r := g.result()
					if r.err != nil || r.answer.Sent != int64(len(tt.body)) || r.answer.Early {
						t.Errorf("result %+v, %v", r.answer, r.err)
					}
					c.send("GET /between HTTP/1.1\r\nHost: gw\r\n\r\n")
					if got := c.expect(200); got != "GET /between 0" {
						t.Errorf("GET answered %q", got)
					}
				})
			}
			if n := f.conns.get(); n != 1 {
				t.Errorf("%d connections to storage, want 1 for all", n)
			}
		})
	}
}

func TestExpectOfAnEmptyBodyEndsTheConnection(t *testing.T) {
	f := newFake(t, nil, well)
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	for _, framing := range []string{"Content-Length: 0\r\n", ""} {
		c := g.dial()
		c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nExpect: 100-continue\r\n%s\r\n", framing)
		resp, _ := c.answer()
		if resp.StatusCode != 200 || !resp.Close {
			t.Errorf("%q: status %d, close %t; want 200 and close", framing, resp.StatusCode, resp.Close)
		}
		c.expectEnd()
	}
}

// The second request may lie in fasthttp's reader, or beyond it in the socket.
func TestPipelinedRequestSurvivesThePut(t *testing.T) {
	f := newFake(t, nil, well)
	for _, size := range []int{0, 1, 100, 15 << 10, 16 << 10, 17 << 10, 400 << 10} {
		for _, coding := range []string{"length", "chunked"} {
			t.Run(fmt.Sprintf("%d bytes by %s", size, coding), func(t *testing.T) {
				g := newGateway(t, StorageConfig{Address: f.address}, Config{}, func(g *gateway) { g.hoards = size%2 == 0 })
				c, body := g.dial(), pattern(size)
				put := fmt.Sprintf("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n%s", size, body)
				if coding == "chunked" {
					put = "PUT /a HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n"
					if size > 0 {
						put += fmt.Sprintf("%x\r\n%s\r\n", size, body)
					}
					put += "0\r\n\r\n"
				}
				get := "GET /second HTTP/1.1\r\nHost: gw\r\n\r\n"
				c.send("%s", put+get+put+get)
				for range 2 {
					c.expect(200)
					if s := f.next(); string(s.body) != body {
						t.Errorf("storage read %d bytes, want %d", len(s.body), size)
					}
					if got := c.expect(200); got != "GET /second 0" {
						t.Errorf("GET answered %q", got)
					}
				}
			})
		}
	}
}

func TestHeadAndBodySplitAnywhere(t *testing.T) {
	f := newFake(t, nil, well)
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	for _, request := range []string{
		"PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: 6\r\n\r\nabcdefGET /b HTTP/1.1\r\nHost: gw\r\n\r\n",
		"PUT /a HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n4\r\ncdef\r\n0\r\nT: 1\r\n\r\nGET /b HTTP/1.1\r\nHost: gw\r\n\r\n",
	} {
		for at := 1; at < len(request); at++ {
			c := g.dial()
			_ = c.Conn.(*net.TCPConn).SetNoDelay(true)
			c.send("%s", request[:at])
			c.send("%s", request[at:])
			c.expect(200)
			if s := f.next(); string(s.body) != "abcdef" {
				t.Fatalf("split at %d: storage read %q", at, s.body)
			}
			if got := c.expect(200); got != "GET /b 0" {
				t.Fatalf("split at %d: GET answered %q", at, got)
			}
			_ = c.Close()
		}
	}
}

func TestConnectionHeaderIsObeyed(t *testing.T) {
	f := newFake(t, nil, well)
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	tests := []struct {
		name, version, header, answer string
		kept                          bool
	}{
		{"1.1", "HTTP/1.1", "", "", true},
		{"1.1 close", "HTTP/1.1", "Connection: close\r\n", "close", false},
		{"1.1 close in a list", "HTTP/1.1", "Connection: TE, Close\r\n", "close", false},
		{"1.0", "HTTP/1.0", "", "close", false},
		{"1.0 keep-alive", "HTTP/1.0", "Connection: keep-alive\r\n", "keep-alive", true},
		{"1.0 has no Expect", "HTTP/1.0", "Expect: 100-continue\r\n", "close", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := g.dial()
			c.t = t
			c.send("PUT /a %s\r\nHost: gw\r\nContent-Length: 2\r\n%s\r\nok", tt.version, tt.header)
			resp, _ := c.answer()
			closing := resp.Header.Get("Connection")
			if resp.Close {
				closing = "close" // net/http takes it out of the header
			}
			if resp.StatusCode != 200 || closing != tt.answer || resp.Header.Get("Date") == "" || resp.Header.Get("Etag") != `"2"` {
				t.Errorf("answer %d %v", resp.StatusCode, resp.Header)
			}
			if tt.kept {
				c.send("GET /b HTTP/1.1\r\nHost: gw\r\n\r\n")
				c.expect(200)
			} else {
				c.expectEnd()
			}
		})
	}
}

// upper stands between the two ends as a decoder would.
func upper(r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		n, err := r.Read(p)
		copy(p, bytes.ToUpper(p[:n]))
		return n, err
	})
}

func TestBodyHook(t *testing.T) {
	halt := fmt.Errorf("bad signature")
	failing := func(r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, 5), readerFunc(func([]byte) (int, error) { return 0, halt }))
	}
	tests := []struct {
		name    string
		hook    func(io.Reader) io.Reader
		length  int64 // declared to storage
		body    string
		failure string // of Put; "": none
	}{
		{"same length", upper, 6, "abcdef", ""},
		{"chunked", upper, -1, "abcdef", ""},
		{"becomes empty", func(r io.Reader) io.Reader { return discarding{r} }, 0, "abcdef", ""},
		{"fails", failing, 6, "abcdef", "bad signature"},
		{"fails at the end", failing, 5, "abcde", "bad signature"},
		{"fails, chunked", failing, -1, "abcdef", "bad signature"},
		{"fails when empty", func(r io.Reader) io.Reader { return readerFunc(func([]byte) (int, error) { return 0, halt }) }, 0, "abcdef", "bad signature"},
		{"too short", upper, 7, "abcdef", "ended after 6 of 7"},
		{"too long", upper, 5, "abcdef", "longer than the 5"},
		{"not empty", upper, 0, "abcdef", "longer than the 0"},
		{"stops before the client's end", func(r io.Reader) io.Reader { return io.LimitReader(r, 3) }, 3, "abcdef", "bytes after the end"},
		{"stops before the client's end, chunked", func(r io.Reader) io.Reader { return io.LimitReader(r, 3) }, -1, "abcdef", "bytes after the end"},
	}
	for _, tt := range tests {
		for _, framing := range []string{"length", "chunked"} {
			t.Run(tt.name+" from "+framing, func(t *testing.T) {
				f := newFake(t, nil, well)
				g := newGateway(t, StorageConfig{Address: f.address}, Config{}, func(g *gateway) {
					g.request = func(_ *Head, target string) *Request {
						return &Request{Method: "PUT", Target: target, Length: tt.length, Body: tt.hook}
					}
				})
				c := g.dial()
				if framing == "length" {
					c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n%s", len(tt.body), tt.body)
				} else {
					c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n", chunk(tt.body))
				}
				if tt.failure == "" {
					c.expect(200)
					want := strings.ToUpper(tt.body)
					if tt.length == 0 {
						want = ""
					}
					if s := f.next(); s.err != nil || string(s.body) != want {
						t.Errorf("storage read %q, %v", s.body, s.err)
					}
					c.send("GET /b HTTP/1.1\r\nHost: gw\r\n\r\n")
					c.expect(200)
					return
				}
				c.expect(400)
				r := g.result()
				if r.err == nil || !strings.Contains(r.err.Error(), tt.failure) || !errors.Is(r.err, ErrClient) {
					t.Errorf("Put failed with %v, want ErrClient and %q", r.err, tt.failure)
				}
				if tt.length == 0 {
					_ = g.listener.Close()
					if len(f.requests) > 0 {
						t.Error("storage was sent an empty object")
					}
					return
				}
				if s := f.next(); s.err == nil {
					t.Errorf("storage read a complete body %q", s.body)
				}
			})
		}
	}
}

func chunk(s string) string {
	if s == "" {
		return ""
	}
	return fmt.Sprintf("%x\r\n%s\r\n", len(s), s)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// discarding reads all and gives nothing.
type discarding struct{ r io.Reader }

func (d discarding) Read([]byte) (int, error) {
	if _, err := io.Copy(io.Discard, d.r); err != nil {
		return 0, err
	}
	return 0, io.EOF
}

func TestBytesAreTold(t *testing.T) {
	f := newFake(t, nil, well)
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	c := g.dial()
	head, body := "PUT /a HTTP/1.1\r\nHost: gw\r\nConnection: close\r\nContent-Length: 3145728\r\n\r\n", pattern(3<<20)
	c.send("%s%s", head, body)
	answer, err := io.ReadAll(c.r)
	if err != nil {
		t.Fatal(err)
	}
	g.result()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.listener.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if in, out := g.in.get(), g.out.get(); in != int64(len(head)+len(body)) || out != int64(len(answer)) {
		t.Errorf("told %d in, %d out; the wire saw %d and %d", in, out, len(head)+len(body), len(answer))
	}
}
