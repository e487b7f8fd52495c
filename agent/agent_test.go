package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"partway/auth/sigv4"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a server between a child, which the test plays, and a gateway and a storage that do what the test tells them.
type bench struct {
	t       *testing.T
	client  *Client
	server  *Server
	url     string
	storage *httptest.Server
	clock   func() time.Time // of the child

	mu        sync.Mutex
	bearer    string                                                   // that the gateway takes
	onRefusal func()                                                   // of the bearer
	onSign    func(n int) *Refusal                                     // of the n-th call, from 1
	onPut     func(n int, w http.ResponseWriter, r *http.Request) bool // true: it has answered
	signs     []signCall
	landed    []Landed
	stored    [][]byte                                          // whole bodies that storage has
	broken    int                                               // bodies that broke off at storage
	puts      []http.Header                                     // heads at storage
	onPass    func(w http.ResponseWriter, r *http.Request) bool // true: it has answered
	passed    []*http.Request
	passedOn  [][]byte
}

func newBench(t *testing.T, token Token) *bench {
	b := &bench{t: t, bearer: "the bearer", clock: time.Now}
	b.storage = httptest.NewServer(http.HandlerFunc(b.serveStorage))
	gateway := httptest.NewServer(http.HandlerFunc(b.serveGateway))
	client, err := NewClient(Config{Endpoint: gateway.URL, Token: token, Patience: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.client, b.url = client, "http://"+l.Addr().String()
	b.server = NewServer(client, Credentials{"THEKEY", "the secret"}, slog.New(slog.DiscardHandler))
	served := make(chan error, 1)
	go func() { served <- b.server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		b.server.Shutdown(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
		client.Close(ctx)
		gateway.Close()
		b.storage.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return b
}

func (b *bench) serveGateway(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	refuse := func(e *Refusal) {
		if e.reason != "" {
			w.Header().Set("X-Partway-Transfer", "none;reason="+e.reason)
		}
		w.WriteHeader(e.Status)
		if strings.HasPrefix(r.URL.Path, "/_partway/") {
			fmt.Fprintf(w, `{"code":%q,"message":"no"}`, e.Code)
		} else {
			fmt.Fprintf(w, "<Error><Code>%s</Code></Error>", e.Code)
		}
	}
	if r.Header.Get("Authorization") != "Bearer "+b.bearer {
		if b.onRefusal != nil {
			b.onRefusal()
			b.onRefusal = nil
		}
		refuse(&Refusal{Status: 400, Code: "ExpiredToken"})
		return
	}
	switch r.URL.Path {
	case "/_partway/sign":
		var call signCall
		if err := json.Unmarshal(body, &call); err != nil {
			b.t.Error(err)
		}
		b.signs = append(b.signs, call)
		if b.onSign != nil {
			if e := b.onSign(len(b.signs)); e != nil {
				refuse(e)
				return
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"requests": []Signed{{PartNumber: call.Parts[0].PartNumber, Method: "PUT",
			URL: b.storage.URL + "/" + call.Bucket + "/" + call.Key + "?sig", Headers: call.Parts[0].Headers, ExpiresAt: time.Now().Add(time.Minute)}}})
	case "/_partway/landed":
		var told struct{ Parts []Landed }
		if err := json.Unmarshal(body, &told); err != nil {
			b.t.Error(err)
		}
		b.landed = append(b.landed, told.Parts...)
		_, _ = io.WriteString(w, "{}")
	default:
		b.passed, b.passedOn = append(b.passed, r), append(b.passedOn, body)
		w.Header().Set("X-Amz-Request-Id", "from the gateway")
		if b.onPass != nil && b.onPass(w, r) {
			return
		}
		_, _ = io.WriteString(w, "passed")
	}
}

func (b *bench) serveStorage(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	b.puts = append(b.puts, r.Header)
	n, onPut := len(b.puts), b.onPut
	b.mu.Unlock()
	if onPut != nil && onPut(n, w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.broken++
		return
	}
	b.stored = append(b.stored, body)
	w.Header().Set("ETag", `"tag"`)
	w.Header().Set("X-Amz-Checksum-Crc32", "from storage")
}

type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request of the child; change may spoil it once it is signed.
func (b *bench) ask(method, path, query string, body []byte, payload string, change func(*http.Request), headers ...string) answer {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path+"?"+query, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	b.sign(req, payload)
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func (b *bench) sign(req *http.Request, payload string) (signature, date string) {
	now := b.clock()
	date = now.UTC().Format(sigv4.TimeFormat)
	req.Header.Set("X-Amz-Date", date)
	req.Header.Set("X-Amz-Content-Sha256", payload)
	signed := &sigv4.Request{Method: req.Method, Path: req.URL.EscapedPath(), Query: req.URL.RawQuery, Payload: payload,
		Headers: []sigv4.Header{{Name: "host", Value: req.URL.Host}}}
	for name, values := range req.Header {
		signed.Headers = append(signed.Headers, sigv4.Header{Name: strings.ToLower(name), Value: values[0]})
	}
	signer := &sigv4.Signer{AccessKeyID: "THEKEY", Secret: "the secret", Region: "us-east-1", Service: "s3"}
	authorization := signer.SignHeader(signed, now)
	req.Header.Set("Authorization", authorization)
	_, signature, _ = strings.Cut(authorization, "Signature=")
	return signature, date
}

func hashOf(body string) string { s := sha256.Sum256([]byte(body)); return hex.EncodeToString(s[:]) }

const onPart = "partNumber=3&uploadId=U"

func (b *bench) part(body, payload string, headers ...string) answer {
	b.t.Helper()
	return b.ask("PUT", "/bucket/a%20key", onPart, []byte(body), payload, nil, headers...)
}

func (a answer) want(t *testing.T, status int, code string) {
	t.Helper()
	if a.status != status || code != "" && !strings.Contains(a.body, "<Code>"+code+"</Code>") {
		t.Errorf("got %d %s, want %d %s", a.status, a.body, status, code)
	}
}

func TestAPartGoesToStorageAndItsProofsStayApart(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	a := b.part("hello", hashOf("hello"), "X-Amz-Checksum-Crc32", "NhCmhg==", "Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==")
	a.want(t, 200, "")
	if a.header.Get("Etag") != `"tag"` || a.header.Get("X-Amz-Checksum-Crc32") != "from storage" || a.header.Get("X-Partway-Transfer") != "sign" {
		t.Errorf("%v", a.header)
	}
	b.client.Close(t.Context()) // reports what waits
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stored) != 1 || string(b.stored[0]) != "hello" || len(b.passed) != 0 {
		t.Fatalf("stored %q, passed %d", b.stored, len(b.passed))
	}
	call := b.signs[0]
	if call.Bucket != "bucket" || call.Key != "a key" || call.UploadID != "U" || call.Parts[0].PartNumber != 3 || *call.Parts[0].ContentLength != 5 ||
		fmt.Sprint(call.Parts[0].Headers) != "map[content-md5:XUFAKrxLKna5cZ2REBfFkg== x-amz-checksum-crc32:NhCmhg==]" {
		t.Errorf("asked for %+v", call)
	}
	head := b.puts[0]
	if head.Get("Authorization") != "" || head.Get("X-Amz-Date") != "" || head.Get("X-Amz-Content-Sha256") != "" || head.Get("X-Amz-Checksum-Crc32") != "NhCmhg==" {
		t.Errorf("storage was sent %v", head)
	}
	if len(b.landed) != 1 || b.landed[0] != (Landed{PartNumber: 3, ContentLength: 5, ETag: `"tag"`, Checksum: "crc32:NhCmhg==", MD5: "5d41402abc4b2a76b9719d911017c592"}) {
		t.Errorf("reported %+v", b.landed)
	}
}

func TestOnlyTheChildOpensTheEndpoint(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	for name, tt := range map[string]struct {
		change func(*http.Request)
		code   string
	}{
		"no credentials": {func(r *http.Request) { r.Header.Del("Authorization") }, "AccessDenied"},
		"the bearer":     {func(r *http.Request) { r.Header.Set("Authorization", "Bearer the bearer") }, "AccessDenied"},
		"another key": {func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "THEKEY", "OTHER", 1))
		}, "InvalidAccessKeyId"},
		"another secret": {func(r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")[:len(r.Header.Get("Authorization"))-64]+strings.Repeat("0", 64))
		}, "SignatureDoesNotMatch"},
		"another query":           {func(r *http.Request) { r.URL.RawQuery = "partNumber=4&uploadId=U" }, "SignatureDoesNotMatch"},
		"another path":            {func(r *http.Request) { r.URL.Path = "/bucket/other" }, "SignatureDoesNotMatch"},
		"another method":          {func(r *http.Request) { r.Method = "DELETE" }, "SignatureDoesNotMatch"},
		"a header that was added": {func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", sigv4.UnsignedPayload) }, "SignatureDoesNotMatch"},
		"a date of its own": {func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().Add(-time.Minute).UTC().Format(sigv4.TimeFormat))
		}, "SignatureDoesNotMatch"},
	} {
		t.Run(name, func(t *testing.T) {
			b.ask("PUT", "/bucket/key", onPart, []byte("hello"), hashOf("hello"), tt.change).want(t, 403, tt.code)
		})
	}
	for _, off := range []time.Duration{-16 * time.Minute, 16 * time.Minute} {
		b.clock = func() time.Time { return time.Now().Add(off) }
		b.part("hello", hashOf("hello")).want(t, 403, "RequestTimeTooSkewed")
	}
	if len(b.signs)+len(b.passed)+len(b.puts) != 0 {
		t.Errorf("%d signed, %d passed on, %d put", len(b.signs), len(b.passed), len(b.puts))
	}
}

func TestAPresignedRequestIsTheOneThatItStandsFor(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	signer := &sigv4.Signer{AccessKeyID: "THEKEY", Secret: "the secret", Region: "us-east-1", Service: "s3"}
	put := func(at time.Time, change func(string) string) int {
		signed := &sigv4.Request{Method: "PUT", Path: "/bucket/key", Query: "x-amz-meta-a=b&x-id=PutObject", Headers: []sigv4.Header{{Name: "host", Value: strings.TrimPrefix(b.url, "http://")}}}
		req, err := http.NewRequest("PUT", b.url+"/bucket/key?"+change(signer.Presign(signed, time.Minute, at)), strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	same := func(q string) string { return q }
	if got := put(time.Now(), same); got != 200 || string(b.stored[0]) != "hello" || b.signs[0].Parts[0].Headers["x-amz-meta-a"] != "b" {
		t.Errorf("%d %q %+v", got, b.stored, b.signs)
	}
	if got := put(time.Now().Add(-2*time.Minute), same); got != 403 {
		t.Errorf("expired: %d", got)
	}
	if got := put(time.Now(), func(q string) string { return strings.Replace(q, "meta-a=b", "meta-a=c", 1) }); got != 403 {
		t.Errorf("changed: %d", got)
	}
	if len(b.stored) != 1 {
		t.Errorf("stored %q", b.stored)
	}
}

// Storage is never given the last byte of a body that is not the one that was signed.
func TestAWrongBodyIsNeverWholeAtStorage(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	b.part("hellO", hashOf("hello")).want(t, 400, "XAmzContentSHA256Mismatch")
	b.part("", hashOf("x")).want(t, 400, "XAmzContentSHA256Mismatch")
	good := b.chunked("hello, world", nil)
	for name, spoil := range map[string]func(string) string{
		"a byte":      func(s string) string { return strings.Replace(s, "world", "wOrld", 1) },
		"a signature": func(s string) string { return strings.Replace(s, "chunk-signature=", "chunk-signature=0", 1) },
		"no end":      func(s string) string { return s[:strings.LastIndex(s, "0;chunk")] },
	} {
		if a := b.chunked("hello, world", spoil); a.status/100 != 4 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	good.want(t, 200, "")
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stored) != 1 || string(b.stored[0]) != "hello, world" {
		t.Errorf("stored %q", b.stored)
	}
}

// chunked sends a body as minio-go does, signed chunk by chunk, spoiled once it is signed.
func (b *bench) chunked(body string, spoil func(string) string) answer {
	b.t.Helper()
	return b.chunkedBefore(body, "", spoil)
}

// chunkedBefore is chunked with a CRC-32 behind the body; "" for none.
func (b *bench) chunkedBefore(body, crc string, spoil func(string) string) answer {
	b.t.Helper()
	req, _ := http.NewRequest("PUT", b.url+"/bucket/key?"+onPart, nil)
	req.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(body)))
	payload := sigv4.StreamingSigned
	if crc != "" {
		payload = sigv4.StreamingSignedTrailer
		req.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		req.Header.Set("X-Amz-Sdk-Checksum-Algorithm", "CRC32")
	}
	seed, date := b.sign(req, payload)
	scope := sigv4.Scope{Date: date[:8], Region: "us-east-1", Service: "s3"}
	var keys sigv4.KeyCache
	previous, framed := seed, ""
	for _, chunk := range []string{body[:len(body)/2], body[len(body)/2:], ""} {
		sum := sha256.Sum256([]byte(chunk))
		text := "AWS4-HMAC-SHA256-PAYLOAD\n" + date + "\n" + scope.String() + "\n" + previous + "\n" + hashOf("") + "\n" + hex.EncodeToString(sum[:])
		previous = hmacHex(keys.Key("the secret", scope), text)
		framed += fmt.Sprintf("%x;chunk-signature=%s\r\n%s\r\n", len(chunk), previous, chunk)
	}
	if crc != "" {
		trailer := "x-amz-checksum-crc32:" + crc
		text := "AWS4-HMAC-SHA256-TRAILER\n" + date + "\n" + scope.String() + "\n" + previous + "\n" + hashOf(trailer+"\n")
		framed = strings.TrimSuffix(framed, "\r\n") + trailer + "\r\nx-amz-trailer-signature:" + hmacHex(keys.Key("the secret", scope), text) + "\r\n\r\n"
	}
	if spoil != nil {
		framed = spoil(framed)
	}
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(framed)), int64(len(framed))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// A checksum that comes behind the body is declared before it, so that storage verifies it.
func TestATrailingChecksumIsBound(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	var sum [4]byte
	c := crc32.ChecksumIEEE([]byte("hello"))
	sum[0], sum[1], sum[2], sum[3] = byte(c>>24), byte(c>>16), byte(c>>8), byte(c)
	value := base64.StdEncoding.EncodeToString(sum[:])
	send := func(value string) answer {
		return b.part("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:"+value+"\r\n\r\n", sigv4.StreamingUnsignedTrailer,
			"X-Amz-Decoded-Content-Length", "5", "X-Amz-Trailer", "x-amz-checksum-crc32", "Content-Encoding", "aws-chunked")
	}
	send(value).want(t, 200, "")
	send("AAAAAA==").want(t, 400, "BadDigest")
	if len(b.signs) != 1 || b.signs[0].Parts[0].Headers["x-amz-checksum-crc32"] != value || string(b.stored[0]) != "hello" {
		t.Errorf("%+v, %q", b.signs, b.stored)
	}
}

func TestAURLThatExpiredIsMadeAgainBeforeTheBodyLeaves(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	b.onPut = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			w.WriteHeader(403)
			_, _ = io.WriteString(w, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
		}
		return n == 1
	}
	b.part("hello", hashOf("hello")).want(t, 200, "")
	if len(b.signs) != 2 || len(b.stored) != 1 || b.client.Stats.Retries.Load() != 1 {
		t.Errorf("%d signed, %q stored, %d retries", len(b.signs), b.stored, b.client.Stats.Retries.Load())
	}
}

func TestATransferThatBrokeIsTheChildsToRepeat(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	b.onPut = func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n == 1 {
			_, _ = r.Body.Read(make([]byte, 1))
			panic(http.ErrAbortHandler)
		}
		return false
	}
	b.storage.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	b.part("hello", hashOf("hello")).want(t, 503, "SlowDown")
	b.part("hello", hashOf("hello")).want(t, 200, "")
}

// A 200 to a body that it was not sent is no answer to it.
func TestA200BeforeTheBodyIsNotBelieved(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	b.onPut = func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(200); return true }
	b.part("hello", hashOf("hello")).want(t, 503, "ServiceUnavailable")
	if b.client.Stats.DirectBytes.Load() != 0 {
		t.Error("it counted")
	}
}

func TestStoragesRefusalReachesTheChild(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	for _, tt := range []struct {
		status     int
		text       string
		wantStatus int
		code       string
	}{
		{400, "<Error><Code>BadDigest</Code><Message>m</Message><Endpoint>evil.example</Endpoint></Error>", 400, "BadDigest"},
		{404, "<Error><Code>NoSuchUpload</Code></Error>", 404, "NoSuchUpload"},
		{403, "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>", 403, "AccessDenied"},
		{403, "<Error><Code>SignatureDoesNotMatch</Code></Error>", 503, "ServiceUnavailable"},
		{307, "<Error><Code>TemporaryRedirect</Code><Endpoint>evil.example</Endpoint></Error>", 503, "ServiceUnavailable"},
		{500, "", 503, "ServiceUnavailable"},
	} {
		b.onPut = func(_ int, w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", "http://evil.example/")
			w.WriteHeader(tt.status)
			_, _ = io.WriteString(w, tt.text)
			return true
		}
		a := b.part("hello", hashOf("hello"))
		a.want(t, tt.wantStatus, tt.code)
		if strings.Contains(a.body, "Endpoint") || a.header.Get("Location") != "" {
			t.Errorf("the child was sent %v %s", a.header, a.body)
		}
	}
}

// Where the gateway does not sign, the body goes through it: decoded, because its chunks were signed for this endpoint.
func TestWhatIsNotSignedIsRelayed(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	b.onSign = func(int) *Refusal { return &Refusal{Status: 403, Code: "AccessDenied", reason: "policy"} }
	b.part("hello", hashOf("hello"), "X-Amz-Checksum-Crc32", "NhCmhg==").want(t, 200, "")
	b.chunked("hello, world", nil).want(t, 200, "")
	if len(b.puts) != 0 || len(b.passed) != 2 || string(b.passedOn[0]) != "hello" || string(b.passedOn[1]) != "hello, world" {
		t.Fatalf("%d put, %q passed on", len(b.puts), b.passedOn)
	}
	if h := b.passed[0].Header; h.Get("X-Amz-Checksum-Crc32") != "NhCmhg==" || h.Get("X-Amz-Content-Sha256") != hashOf("hello") {
		t.Errorf("%v", h)
	}
	if h := b.passed[1].Header; h.Get("X-Amz-Content-Sha256") != sigv4.UnsignedPayload || h.Get("X-Amz-Decoded-Content-Length") != "" || b.passed[1].ContentLength != 12 {
		t.Errorf("%v", h)
	}
}

// A checksum that comes behind a body which is too large to be held goes through the gateway with it.
func TestALargeBodyIsRelayedWithItsTrailer(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	body := strings.Repeat("a", maxHeld+1)
	b.chunkedBefore(body, "NhCmhg==", nil).want(t, 200, "")
	if len(b.puts) != 0 || len(b.passed) != 1 {
		t.Fatalf("%d put, %d passed on", len(b.puts), len(b.passed))
	}
	h, got := b.passed[0].Header, string(b.passedOn[0])
	if h.Get("X-Amz-Content-Sha256") != sigv4.StreamingUnsignedTrailer || h.Get("X-Amz-Trailer") != "x-amz-checksum-crc32" ||
		h.Get("X-Amz-Decoded-Content-Length") != fmt.Sprint(len(body)) || b.passed[0].ContentLength != int64(len(got)) {
		t.Errorf("%d bytes with %v", b.passed[0].ContentLength, h)
	}
	if !strings.HasPrefix(got, "10000\r\naaaa") || !strings.HasSuffix(got, "\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n") || strings.Count(got, "a") != len(body)+1 {
		t.Errorf("%.40q ... %q", got, got[len(got)-60:])
	}
}

// Some SDKs show the names of metadata as they came.
func TestNamesOfMetadataStayInLowerCase(t *testing.T) {
	from, to := http.Header{"X-Amz-Meta-Made-By": {"java"}, "Etag": {"tag"}}, http.Header{}
	copyHeaders(to, from)
	if lower := "x-amz-meta-made-by"; to[lower] == nil || to["Etag"] == nil {
		t.Errorf("%v", to)
	}
}

func TestARefusalToSignIsAnS3Error(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	b.onSign = func(int) *Refusal { return &Refusal{Status: 403, Code: "AccessDenied"} }
	b.part("hello", hashOf("hello")).want(t, 403, "AccessDenied")
	if len(b.puts)+len(b.passed) != 0 {
		t.Error("the body went somewhere")
	}
}

// A long upload outlives its token if somebody renews the file.
func TestARenewedTokenCountsAtOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("the bearer")
	b := newBench(t, Token{File: file})
	b.part("hello", hashOf("hello")).want(t, 200, "")
	b.mu.Lock()
	b.bearer = "a new one"
	b.mu.Unlock()
	refused := make(chan struct{}, 1)
	b.onRefusal = func() { refused <- struct{}{} }
	answered := make(chan answer)
	go func() { answered <- b.part("hello", hashOf("hello")) }()
	<-refused
	write("a new one") // once the old one was refused
	(<-answered).want(t, 200, "")
	b.ask("POST", "/bucket/key", "uploadId=U", []byte("<C/>"), hashOf("<C/>"), nil).want(t, 200, "")
}

func TestEverythingElseIsPassedOnUnderTheTenantsName(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	for _, tt := range []struct{ method, path, query, body string }{
		{"POST", "/bucket/a%20key%2B", "uploads=", ""},
		{"POST", "/bucket/key", "uploadId=U", "<CompleteMultipartUpload/>"},
		{"DELETE", "/bucket/key", "uploadId=U", ""},
		{"GET", "/bucket/", "list-type=2&prefix=a%2Fb", ""},
		{"HEAD", "/bucket/key", "", ""},
		{"PUT", "/bucket/key", "tagging=", "<Tagging/>"},
	} {
		b.ask(tt.method, tt.path, tt.query, []byte(tt.body), hashOf(tt.body), nil, "X-Amz-Meta-A", "b").want(t, 200, "")
		got, body := b.passed[len(b.passed)-1], string(b.passedOn[len(b.passedOn)-1])
		if got.Method != tt.method || strings.TrimSuffix(got.RequestURI, "?") != strings.TrimSuffix(tt.path+"?"+tt.query, "?") || body != tt.body || got.Header.Get("X-Amz-Meta-A") != "b" {
			t.Errorf("got %s %s %q, want %+v", got.Method, got.RequestURI, body, tt)
		}
		if got.Header.Get("X-Amz-Date") != "" || got.Header.Get("Authorization") != "Bearer the bearer" {
			t.Errorf("%v", got.Header)
		}
	}
	copied := b.ask("PUT", "/bucket/key", "", nil, hashOf(""), nil, "X-Amz-Copy-Source", "/bucket/other")
	copied.want(t, 200, "")
	if len(b.signs) != 0 {
		t.Error("a copy was signed")
	}
}

func TestListenIsForThisMachineAlone(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0", "[::]:0"} {
		if l, err := Listen(address); err == nil {
			l.Close()
			t.Errorf("%s was opened", address)
		}
	}
}

// Nothing is left when the gateway is not there.
func TestAGatewayThatIsAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	b := newBench(t, Token{Text: "the bearer"})
	b.client.endpoint.Host, b.client.patience = l.Addr().String(), 300*time.Millisecond
	b.part("hello", hashOf("hello")).want(t, 503, "ServiceUnavailable")
	b.ask("GET", "/bucket/", "", nil, hashOf(""), nil).want(t, 503, "ServiceUnavailable")
	if b.client.Stats.Retries.Load() == 0 {
		t.Error("it was not tried again")
	}
}

func FuzzProof(f *testing.F) {
	s := NewServer(&Client{}, Credentials{"THEKEY", "the secret"}, slog.New(slog.DiscardHandler))
	f.Add("AWS4-HMAC-SHA256 Credential=THEKEY/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00", "20260101T000000Z", "/b/k?x=%zz")
	f.Fuzz(func(t *testing.T, authorization, date, target string) {
		_, query, _ := strings.Cut(target, "?")
		r := &http.Request{Method: "PUT", RequestURI: target, Host: "h", URL: &url.URL{RawQuery: query}, Header: http.Header{"Authorization": {authorization}, "X-Amz-Date": {date}, "X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}}
		if _, err := s.prove(r); err == nil {
			t.Errorf("%q proves %q at %q", authorization, target, date)
		}
	})
}
