package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// introduction is a PROXY header of a client that connects to some gateway.
func introduction(t testing.TB, version byte, client string, more ...proxyproto.TLV) string {
	t.Helper()
	server := &net.TCPAddr{IP: net.IPv4(198, 51, 100, 9), Port: 443}
	if strings.HasPrefix(client, "[") {
		server.IP = net.ParseIP("2001:db8::9")
	}
	h := proxyproto.HeaderProxyFromAddrs(version, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(client)), server)
	if err := h.SetTLVs(more); err != nil {
		t.Fatal(err)
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func v2(commandAndFamily string, rest string) string {
	return string(proxyproto.SIGV2) + commandAndFamily + string([]byte{byte(len(rest) >> 8), byte(len(rest))}) + rest
}

const who = "GET /who HTTP/1.1\r\nHost: gw\r\n\r\n"

func TestAProxySaysWhoTheClientIs(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{ProxyProtocol: true, Proxies: loopback}, nil)
	for _, tt := range []struct{ name, header, want string }{
		{"version 1", introduction(t, 1, "192.0.2.7:5000"), "192.0.2.7:5000"},
		{"version 1, IPv6", introduction(t, 1, "[2001:db8::7]:5000"), "[2001:db8::7]:5000"},
		{"version 2", introduction(t, 2, "192.0.2.7:5000"), "192.0.2.7:5000"},
		{"version 2, IPv6", introduction(t, 2, "[2001:db8::7]:5000"), "[2001:db8::7]:5000"},
		{"with more", introduction(t, 2, "192.0.2.7:5000", proxyproto.TLV{Type: proxyproto.PP2_TYPE_ALPN, Value: []byte("GET / HTTP/1.1\r\n\r\n")}), "192.0.2.7:5000"},
		{"for itself", v2("\x20\x00", ""), "127.0.0.1:"},
		{"for itself, version 1", "PROXY UNKNOWN\r\n", "127.0.0.1:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := g.dial()
			c.send("%s", tt.header+who) // in one piece: not a byte of the request is lost to the header
			if got := c.expect(200); !strings.HasPrefix(got, tt.want) || !strings.HasSuffix(got, "spliced true") {
				t.Errorf("the client is %s, want %s", got, tt.want)
			}
			c.send(who)
			if got := c.expect(200); !strings.HasPrefix(got, tt.want) {
				t.Errorf("then it is %s, want %s", got, tt.want)
			}
		})
	}
}

func TestABodyIsRelayedBehindAProxy(t *testing.T) {
	f := newFake(t, nil, well)
	g := newGateway(t, StorageConfig{Address: f.address}, Config{ProxyProtocol: true, Proxies: loopback}, nil)
	c, body := g.dial(), pattern(1<<20)
	c.send("%sPUT /a HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n%s%s", introduction(t, 2, "192.0.2.7:5000"), len(body), body, who)
	c.expect(200)
	if s := f.next(); s.err != nil || string(s.body) != body {
		t.Errorf("storage read %d bytes, %v", len(s.body), s.err)
	}
	if got := c.expect(200); got != "192.0.2.7:5000 spliced true" { // the connection came back to the listener
		t.Errorf("then the client is %s", got)
	}
}

func TestAProxyComesBeforeTLS(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{ProxyProtocol: true, Proxies: loopback, TLS: testCertificate()}, nil)
	conn, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, introduction(t, 2, "192.0.2.7:5000")); err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(conn, g.tls)
	if _, err := io.WriteString(secure, "GET /who HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(secure); !strings.HasSuffix(string(got), "192.0.2.7:5000 spliced false") {
		t.Errorf("answer:\n%s", got)
	}
}

// refusals are the reasons that a listener gives.
func refusals(c *Config) <-chan string {
	reasons := make(chan string, 10)
	c.OnRefused = func(reason string) { reasons <- reason }
	return reasons
}

func TestWithoutAProxysWordAConnectionIsClosed(t *testing.T) {
	for _, tt := range []struct{ name, says string }{
		{"nothing", ""},
		{"a request", who},
		{"half a word", "PROX"},
		{"a line without an end", "PROXY TCP4 192.0.2.7"},
		{"no addresses", "PROXY TCP4\r\n" + who},
		{"an endless line", "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n" + who},
		{"half a header", introduction(t, 2, "192.0.2.7:5000")[:20]},
		{"version 3", string(proxyproto.SIGV2) + "\x31\x11\x00\x0c" + strings.Repeat("x", 12) + who},
		{"UDP", v2("\x21\x12", strings.Repeat("x", 12)) + who},
		{"a unix socket", v2("\x21\x31", strings.Repeat("x", 216)) + who},
		{"a client it does not name", v2("\x21\x00", "") + who},
		{"too short for its family", v2("\x21\x21", strings.Repeat("x", 12)) + who},
		{"more than anybody says", v2("\x21\x11", strings.Repeat("x", 60000)) + who},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := Config{ProxyProtocol: true, Proxies: loopback, HeadTimeout: short, IdleTimeout: time.Hour}
			reasons := refusals(&config)
			g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, config, nil)
			c := g.dial()
			_, _ = io.WriteString(c, tt.says) // which the gateway may not read to its end
			if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("answer %q, %v; want a close", b, err)
			}
			if got := within(t, reasons, "word of the refusal"); got != RefusedHeader {
				t.Errorf("refused for %s", got)
			}
		})
	}
}

func TestNobodyButAProxyMaySayWhoTheClientIs(t *testing.T) {
	config := Config{ProxyProtocol: true, Proxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, HeadTimeout: time.Hour}
	reasons := refusals(&config)
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, config, nil)
	c := g.dial()
	_, _ = io.WriteString(c, introduction(t, 2, "192.0.2.7:5000")+who)
	if b, _ := io.ReadAll(c); len(b) > 0 {
		t.Errorf("answer %q, want a close", b)
	}
	if got := within(t, reasons, "word of the refusal"); got != RefusedSender {
		t.Errorf("refused for %s", got)
	}
}

func TestConnectionsAreCountedByTheClientThatAProxyNames(t *testing.T) {
	config := Config{ProxyProtocol: true, Proxies: loopback, MaxPerIP: 1}
	reasons := refusals(&config)
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, config, nil)
	for _, client := range []string{"192.0.2.7:1", "192.0.2.8:1", "[2001:db8::7]:1"} {
		c := g.dial()
		c.send("%s%s", introduction(t, 2, client), who)
		c.expect(200)
	}
	c := g.dial()
	_, _ = io.WriteString(c, introduction(t, 2, "192.0.2.7:2")+who)
	if b, _ := io.ReadAll(c); len(b) > 0 {
		t.Errorf("answer %q to the second connection of a client, want a close", b)
	}
	if got := within(t, reasons, "word of the refusal"); got != RefusedAddress {
		t.Errorf("refused for %s", got)
	}
}

func TestShutdownDoesNotWaitForProxiesToSpeak(t *testing.T) {
	g := newGateway(t, StorageConfig{Address: "127.0.0.1:1"}, Config{ProxyProtocol: true, Proxies: loopback, HeadTimeout: time.Hour}, nil)
	silent, spoke := g.dial(), g.dial()
	spoke.send("%s%s", introduction(t, 2, "192.0.2.7:1"), who) // accepted after silent
	if resp, _ := spoke.answer(); resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	if err := g.listener.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if b, _ := io.ReadAll(silent); len(b) > 0 {
		t.Errorf("answer %q", b)
	}
}

// Whatever a proxy sends: no panic, nothing read past the header, and a client only with an address.
func FuzzIntroduction(f *testing.F) {
	for _, seed := range []string{
		introduction(f, 1, "192.0.2.7:5000") + who, introduction(f, 2, "[2001:db8::7]:5000") + who, v2("\x20\x00", "") + who, who, "PROXY UNKNOWN\r\n",
		v2("\x21\x12", strings.Repeat("x", 12)),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		client, err := readIntroduction(r)
		if err != nil {
			return
		}
		header := b[:len(b)-r.Len()]
		if len(header) > longestHeader {
			t.Errorf("a header of %d bytes", len(header))
		}
		if client != nil && !addressOf(client).IsValid() {
			t.Errorf("client %v", client)
		}
		for n := range len(header) { // it needs every byte that it took
			if _, err := readIntroduction(bytes.NewReader(header[:n])); err == nil {
				t.Errorf("header %q is whole after %d bytes", header, n)
			}
		}
	})
}
