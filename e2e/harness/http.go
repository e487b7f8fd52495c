package harness

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Answer is what a request got.
type Answer struct {
	*http.Response
	Code string // S3's error code, from XML or JSON; "" if the body has none
	ID   string // x-amz-request-id
	Text string // the body
}

// client follows nothing and keeps no connection, so that every answer is the gateway's own.
func (g *Gateway) client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true, TLSClientConfig: g.tls},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Do sends a request.
func (n *Tenant) Do(t testing.TB, req *http.Request) Answer {
	t.Helper()
	resp, err := n.Gateway.client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", req.Method, req.URL, err, n.Gateway.Tail())
	}
	return read(t, resp)
}

// Raw sends bytes as they are and reads one answer. Nothing more is sent, and the connection stays open until the answer is
// there.
func (n *Tenant) Raw(t testing.TB, request string) Answer {
	t.Helper()
	conn, err := net.Dial("tcp", n.Tap.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer: %v\n%s", err, n.Gateway.Tail())
	}
	return read(t, resp)
}

var code = regexp.MustCompile(`<Code>([^<]+)</Code>|"code": ?"([^"]+)"`)

func read(t testing.TB, resp *http.Response) Answer {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer %s: %v", resp.Status, err)
	}
	a := Answer{Response: resp, Text: string(body), ID: resp.Header.Get("X-Amz-Request-Id")}
	// Errors are short; to search all of an object takes a second per MiB under the race detector.
	if m := code.FindStringSubmatch(a.Text[:min(len(a.Text), 4096)]); m != nil {
		a.Code = m[1] + m[2]
	}
	return a
}

// Sign signs with SigV4 in the header, payload unsigned, in place of what proved the request so far.
func Sign(t testing.TB, req *http.Request, keys Keys, at time.Time) {
	t.Helper()
	const payload = "UNSIGNED-PAYLOAD"
	req.Header.Del("Authorization")
	req.Header.Set("X-Amz-Content-Sha256", payload)
	err := v4.NewSigner().SignHTTP(context.Background(),
		aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey},
		req, payload, "s3", "us-east-1", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		t.Fatal(err)
	}
}
