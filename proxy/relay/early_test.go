package relay

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const fiveGiB = 5 << 30

func TestAnswerBeforeTheBody(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{}, nil)
	for _, expect := range []string{"", "Expect: 100-continue\r\n", "Expect: 100-Continue\r\n"} {
		for _, framing := range []string{"Content-Length: 5368709120\r\n", "Transfer-Encoding: chunked\r\n"} {
			t.Run(expect+framing, func(t *testing.T) {
				c := g.dial()
				c.t = t
				began := time.Now()
				c.send("PUT /redirect HTTP/1.1\r\nHost: gw\r\n%s%s\r\n", framing, expect)
				c.expect(307) // and no 100 before it
				if d := time.Since(began); d > time.Second {
					t.Errorf("the answer took %s", d)
				}
				c.expectEnd()
			})
		}
	}
}

func TestAmbiguousFramingIsRefusedBeforeItsBody(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{}, nil)
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: gw\r\n\r\n"
	for _, method := range []string{"PUT", "POST", "GET", "DELETE"} {
		for _, headers := range []string{
			"Host: gw\r\nContent-Length: 38\r\nTransfer-Encoding: chunked\r\n",
			"Host: gw\r\nContent-Length: 38\nX: y\r\n",
			"Host: gw\r\nContent-Length: 38\r\nX: y\r\n z\r\n",
			"Host: gw\r\nContent-Length: 38\r\nContent-Length: 0\r\n",
			"Host: gw\r\nTransfer-Encoding: identity\r\nExpect: 100-continue\r\n",
			"Host: gw\r\nContent-Length: 38\r\nExpect: soon\r\n",
		} {
			c := g.dial()
			c.send("%s / HTTP/1.1\r\n%s\r\n%s", method, headers, smuggled)
			c.expect(400)
			c.expectEnd()
		}
	}
}

func TestOtherMethodsKeepTheirBodies(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{}, nil)
	c := g.dial()
	c.send("POST /p HTTP/1.1\r\nHost: gw\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	c.expect(100)
	c.send("abc")
	if got := c.expect(200); got != "POST /p 3" {
		t.Errorf("answered %q", got)
	}
}

// refusing answers 403 at once after the given part of the body.
func refusing(after int) func(*fake, net.Conn, *bufio.Reader) {
	return func(_ *fake, c net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		if after > 0 {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
			_, _ = io.CopyN(io.Discard, r, int64(after))
		}
		_, _ = io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ndenied")
		_, _ = io.Copy(io.Discard, c) // stays open: the gateway must close it
	}
}

func TestEarlyRefusalBeforeTheBodyIsRelayed(t *testing.T) {
	f := newFake(t, nil, refusing(0))
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	c := g.dial()
	c.send("PUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", fiveGiB)
	if got := c.expect(403); got != "denied" {
		t.Errorf("answered %q", got)
	}
	c.expectEnd()
	if r := g.result(); r.err != nil || !r.answer.Early || r.answer.Sent != 0 {
		t.Errorf("result %+v, %v", r.answer, r.err)
	}
}

func TestEarlyRefusalDuringTheBodyIsRelayed(t *testing.T) {
	for _, framing := range []string{"spliced", "chunked", "TLS"} {
		t.Run(framing, func(t *testing.T) {
			f := newFake(t, nil, refusing(1<<20))
			conf := Config{}
			if framing == "TLS" {
				conf.TLS = testCertificate()
			}
			g := newGateway(t, StorageConfig{Address: f.address}, conf, nil)
			c := g.dial()
			coding := fmt.Sprintf("Content-Length: %d\r\n", fiveGiB)
			if framing == "chunked" {
				coding = "Transfer-Encoding: chunked\r\n"
			}
			c.send("PUT /a HTTP/1.1\r\nHost: gw\r\n%s\r\n", coding)
			sent := make(chan struct{})
			go func() { // goes on sending whatever is answered
				defer close(sent)
				piece := pattern(1 << 20)
				if framing == "chunked" {
					piece = chunk(piece)
				}
				for range 8 {
					if _, err := io.WriteString(c, piece); err != nil {
						return
					}
				}
			}()
			if got := c.expect(403); got != "denied" {
				t.Errorf("answered %q", got)
			}
			<-sent
			if r := g.result(); r.err != nil || !r.answer.Early || r.answer.Sent < 1<<20 {
				t.Errorf("result %+v, %v", r.answer, r.err)
			}
			_ = c.Close()
		})
	}
}

// A client that knows no Expect sends first and reads later; without a lingering close it loses the answer to a RST.
func TestPlainClientReadsEarlyAnswers(t *testing.T) {
	f := newFake(t, nil, refusing(0))
	g := newGateway(t, StorageConfig{Address: f.address}, Config{}, nil)
	transport := &http.Transport{DisableKeepAlives: true}
	for _, target := range []struct {
		path   string
		status int
	}{{"/redirect", 307}, {"/relayed", 403}} {
		for i := range 10 {
			req, err := http.NewRequest("PUT", "http://"+g.address+target.path, strings.NewReader(pattern(4<<20)))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatalf("%s, try %d: %v", target.path, i, err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != target.status {
				t.Fatalf("%s, try %d: status %d", target.path, i, resp.StatusCode)
			}
		}
	}
}
