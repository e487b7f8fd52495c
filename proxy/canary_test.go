package proxy

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"partway/auth"
	"partway/auth/sigv4"
	"partway/tracking"
)

// safeBuffer is a log that the gateway's goroutines write and the test reads.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// canaries are secrets by name. A token's secret part is its signature: what stands before it is no secret.
type canaries map[string]string

func (c canaries) token(name, text string) { c[name] = text[strings.LastIndexByte(text, '.')+1:] }

// bytes plants a key in the forms that a careless %v, %x or JSON would give it.
func (c canaries) bytes(name string, key []byte) {
	c[name], c[name+" in hex"], c[name+" in base64"] = string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key)
	c[name+" as numbers"] = strings.Trim(fmt.Sprint(key), "[]") //nolint:staticcheck // numbers are meant, not text
}

// search finds pieces of secrets too: some errors quote the beginning or the end of what they could not read.
func (c canaries) search(t *testing.T, where, text string) {
	t.Helper()
	const piece = 12
	for name, secret := range c {
		for i := 0; i+min(piece, len(secret)) <= len(secret); i++ {
			part := secret[i : i+min(piece, len(secret))]
			if at := strings.Index(text, part); at >= 0 {
				t.Errorf("%s tells %s: ...%q...", where, name, text[max(0, at-100):min(len(text), at+len(part)+20)])
				break
			}
		}
	}
}

// told gathers what clients were answered.
type told struct{ strings.Builder }

// hear takes an answer, but for what it is made to carry: the Location of a redirect, and a body that hands a secret out.
func (o *told) hear(a answer, handsOut bool) answer {
	h := a.header.Clone()
	h.Del("Location")
	if handsOut {
		a.body = ""
	}
	fmt.Fprintf(o, "%d %v %s\n", a.status, h, a.body)
	return a
}

// Secrets stay where they belong, whatever goes wrong: none gets into the log at its most talkative, the trail, the records, the metrics,
// the traces or an answer that is not made to carry it.
func TestNoSecretIsTold(t *testing.T) {
	var log safeBuffer
	p := newIDP(t)
	b := newBenchLogging(t, newFakeS3(t), p.foreign(t), slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	spans := b.trace()
	var heard told
	ask := func(method, path, body string, headers ...string) answer {
		return heard.hear(b.ask(method, path, body, headers...), false)
	}
	operator, web := b.operator(), p.token(t, "ci-1")
	key, err := b.issuer.Issue(auth.Grant{Class: auth.ClassKey, Tenant: "acme", TTL: time.Hour, Scopes: []auth.Scope{scopeOf("acme", func(*scope) {})}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := canaries{"the secret of a key": key.Secret, "the secret of the storage": benchStorageSecret,
		"a session token": "FwoGZXIvYXdzEJr", "a customer's key": "Y3VzdG9tZXJzLW93bi1zc2UtYy1rZXktb2YtMzJi"}
	c.token("the tenant's bearer", b.tenant)
	c.token("the operator's bearer", operator)
	c.token("a web identity token", web)
	c.bytes("the master key", benchMaster)

	// What goes well.
	id := b.create(key1)
	heard.hear(b.part(key1, id, 1, "hello"), false)
	heard.hear(b.complete(key1, id, "hello"), false)
	for _, method := range []string{"PUT", "GET", "HEAD", "DELETE"} {
		ask(method, "/uploads/acme/x", "")
	}
	ask("PUT", "/uploads/acme/x", "x", "x-amz-server-side-encryption-customer-key", c["a customer's key"])
	ask("GET", "/uploads?list-type=2&prefix=acme/", "")

	// Redirects.
	id = b.create(key1)
	redirected := ask("PUT", "/uploads/"+key1+"?partNumber=1&uploadId="+id, "hello", "x-partway-transfer", "redirect")
	location, err := url.Parse(redirected.header.Get("Location"))
	if err != nil || redirected.status != http.StatusTemporaryRedirect {
		t.Fatalf("%d, %v", redirected.status, err)
	}
	c["the signature of a redirect"] = location.Query().Get("X-Amz-Signature")

	// Signed requests, and asked for wrongly.
	signed := b.ask("POST", "/_partway/sign", signAskOf(key1, id, `{"part_number":1}`))
	heard.hear(signed, true)
	var requests signedAnswer
	if err := json.Unmarshal([]byte(signed.body), &requests); err != nil || len(requests.Requests) != 1 {
		t.Fatalf("%d %s, %v", signed.status, signed.body, err)
	}
	if location, err = url.Parse(requests.Requests[0].URL); err != nil {
		t.Fatal(err)
	}
	c["the signature of a signed request"] = location.Query().Get("X-Amz-Signature")
	ask("POST", "/_partway/sign", signAskOf(key1, id, `{"part_number":1,"headers":{"authorization":"Bearer `+b.tenant+`"}}`))
	ask("POST", "/_partway/landed", signAskOf(key1, id, `{"part_number":1,"etag":"e"}`))

	// Tokens that are handed out, and asked for wrongly.
	issued := b.ask("POST", "/_partway/tokens", `{"tenant":"acme","class":"key","ttl_seconds":60,"scope":[{"bucket":"uploads","prefix":"acme/","actions":["s3:GetObject"]}]}`,
		"Authorization", "Bearer "+operator)
	heard.hear(issued, true)
	var handed issuedToken
	if err := json.Unmarshal([]byte(issued.body), &handed); err != nil || handed.SecretAccessKey == "" {
		t.Fatalf("%d %s", issued.status, issued.body)
	}
	c["the secret of an issued key"] = handed.SecretAccessKey
	ask("POST", "/_partway/tokens", `{"tenant":"acme"`, "Authorization", "Bearer "+operator)
	ask("POST", "/_partway/tokens", "{}")
	ask("GET", "/_partway/tokens", "", "Authorization", "Bearer "+operator)
	assumed := b.stsAsk("POST", "/", assumeBody(web))
	var role assumedRoleAnswer
	if err := xml.Unmarshal([]byte(assumed.body), &role); err != nil || assumed.status != 200 {
		t.Fatalf("%d %s", assumed.status, assumed.body)
	}
	heard.hear(assumed, true)
	c["the secret of a role"] = role.Result.Credentials.SecretAccessKey
	for _, wrong := range []string{assumeBody(web, "Policy", "{}"), assumeBody(web, "RoleArn", "arn:partway:iam:::role/other"), assumeBody(web + "x"), assumeBody("a." + web),
		assumeBody(web) + "&" + assumeBody(web)} {
		heard.hear(b.stsAsk("POST", "/", wrong), false)
	}

	// Refusals of what carries secrets.
	ask("PUT", "/uploads/other/x", "x")
	ask("PUT", "/uploads/acme/../x", "x")
	ask("PUT", "/uploads/acme/x", "x", "x-amz-copy-source", "/uploads/other/x")
	ask("PUT", "/uploads/acme/x", "x", "x-amz-security-token", c["a session token"])
	for _, authorization := range []string{b.tenant, "Basic " + b.tenant, "Bearer " + b.tenant + "x", "Bearer " + b.tenant + " x", "Bearer a." + b.tenant, "Bearer " + b.tenant + "," + b.tenant,
		"AWS " + key.Token + ":" + key.Secret, "AWS4-HMAC-SHA256 " + key.Secret, "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/s3/" + key.Secret + ", SignedHeaders=host, Signature=" + strings.Repeat("0", 64),
		"AWS4-HMAC-SHA256 Credential=" + key.Secret + "/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=" + strings.Repeat("0", 64)} {
		ask("GET", "/uploads/acme/x", "", "Authorization", authorization)
	}
	for name, presigned := range presignedBy(b, key) {
		at, err := url.Parse(presigned)
		if err != nil {
			t.Fatal(err)
		}
		c["the signature of a request "+name] = at.Query().Get("X-Amz-Signature")
		ask("GET", at.Path+"?"+at.RawQuery, "", "Authorization", "")
		ask("GET", at.Path+"?"+at.RawQuery, "") // two mechanisms
		ask("GET", at.Path+"/y?"+at.RawQuery, "", "Authorization", "")
		ask("GET", at.Path+"?"+at.RawQuery+"&X-Amz-Date=1", "", "Authorization", "")
		ask("GET", at.Path, "", "Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature:"+at.Query().Get("X-Amz-Signature"))
		c.search(t, name, b.raw("GET "+at.Path+"?"+at.RawQuery+" HTTP/3.7\r\nHost: localhost\r\n\r\n"))
		c.search(t, name, b.raw("MOVE "+at.Path+"?"+at.RawQuery+" HTTP/1.1\r\nHost: localhost\r\n\r\n"))
		c.search(t, name, b.raw("GET "+at.Path+"?"+at.RawQuery+"\r\nHost: localhost\r\n\r\n"))
	}

	// Heads that cannot be read, of which an HTTP library may tell too much.
	for _, head := range []string{
		"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + b.tenant + "\x01\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization Bearer " + b.tenant + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nBearer " + b.tenant + ": x\r\n\r\n",
		"GET / HTTP/9.9\r\nAuthorization: Bearer " + b.tenant + "\r\n\r\n",
		"GET  HTTP/1.1\r\nAuthorization: Bearer " + b.tenant + "\r\n\r\n",
		"PUT /uploads/acme/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: " + b.tenant + "\r\n\r\n",
		"PUT /uploads/acme/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b.tenant + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 1<<15) + "\r\nAuthorization: Bearer " + b.tenant + "\r\n\r\n",
		"POST /uploads?delete HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer " + b.tenant + "\r\n\r\n" + b.tenant + "\r\n",
	} {
		c.search(t, "the answer to a broken head", b.raw(head))
	}

	// Storage that fails, and that repeats what it was sent.
	for _, f := range []fault{cut, cutAfter, refuse, fail, errorIn200, talk} {
		for _, op := range []string{"put", "get", "create", "part", "complete", "parts", "deletes"} {
			b.s3.faults(op, f, f, f, f)
			switch op {
			case "put", "get":
				ask(strings.ToUpper(op), "/uploads/acme/x", "")
			case "create":
				ask("POST", "/uploads/acme/x?uploads", "")
			case "part":
				heard.hear(b.part(key1, id, 1, "hello"), false)
			case "complete", "parts":
				heard.hear(b.complete(key1, id, "hello"), false)
			case "deletes":
				ask("POST", "/uploads?delete", "<Delete><Object><Key>acme/x</Key></Object></Delete>")
			}
			_, signature, _ := strings.Cut(b.s3.last().Get("Authorization"), "Signature=")
			if len(signature) == 64 {
				c["the signature for storage of "+op+fmt.Sprint(f)] = signature
			}
		}
	}

	b.s3.faults("")

	// A panic, and a trail that is away.
	id = b.create("acme/panics")
	sessions := b.gateway.Sessions
	b.gateway.Sessions = nil
	b.want(heard.hear(b.part("acme/panics", id, 1, "x"), false), http.StatusInternalServerError, "InternalError")
	b.gateway.Sessions = sessions
	b.gateway.refusals.flush(b.writer)
	c.search(t, "the trail", fmt.Sprintf("%+v", b.events()))
	b.store.trailIsAway.Store(true)
	ask("PUT", "/uploads/acme/x", "x")
	b.store.trailIsAway.Store(false)

	metrics := b.ask("GET", "/_partway/metrics", "", "Authorization", "Bearer "+operator)
	if !strings.Contains(metrics.body, "partway_requests_total") || !strings.Contains(log.String(), `"level":"DEBUG"`) || !strings.Contains(log.String(), `"panic"`) {
		t.Fatalf("the log or the metrics are not there: %d %s", metrics.status, log.String())
	}
	uploads, _, err := b.store.ListUploads(t.Context(), tracking.UploadQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := b.store.ListTokens(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	traces := fmt.Sprintf("%+v", spans.GetSpans())
	if !strings.Contains(traces, "UploadPart") || !strings.Contains(traces, "storage PUT") {
		t.Fatalf("the traces are not there: %s", traces)
	}
	c.search(t, "the traces", traces)
	c.search(t, "the metrics", metrics.body)
	c.search(t, "the records of uploads", fmt.Sprintf("%+v", uploads))
	c.search(t, "the records of tokens", fmt.Sprintf("%+v %s", tokens, mustJSON(tokens)))
	c.search(t, "an answer", heard.String())
	b.stop()
	c.search(t, "the log", log.String())
}

const key1 = "acme/canary"

// presignedBy returns requests of key, good and expired.
func presignedBy(b *bench, key *auth.Issued) map[string]string {
	signer := &sigv4.Signer{AccessKeyID: key.Token, Secret: key.Secret, Region: "us-east-1", Service: "s3"}
	sign := func(at time.Time) string {
		return b.url + "/uploads/acme/x?" + signer.Presign(&sigv4.Request{Method: "GET", Path: "/uploads/acme/x",
			Headers: []sigv4.Header{{Name: "host", Value: strings.TrimPrefix(b.url, "http://")}}, Payload: sigv4.UnsignedPayload}, time.Minute, at)
	}
	return map[string]string{"that is good": sign(time.Now()), "that has expired": sign(time.Now().Add(-time.Hour))}
}

// raw sends bytes and returns what is answered until the connection ends.
func (b *bench) raw(request string) string {
	b.t.Helper()
	conn := b.dial()
	_, _ = io.WriteString(conn, request)
	_ = conn.(*net.TCPConn).CloseWrite()
	got, _ := io.ReadAll(conn)
	return string(got)
}
