package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"partway/auth"
	"partway/auth/sigv4"
	"partway/tracking"
)

// dial opens a raw connection to the gateway.
func (b *bench) dial() net.Conn {
	b.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		b.t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	b.t.Cleanup(func() { conn.Close() })
	return conn
}

// A body that breaks off must reach storage as an error: to some servers a FIN would be the end of a good body.
func TestABodyThatBreaksOffIsResetAtStorage(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer conn.Close()
		body := bufio.NewReader(conn)
		if _, err := http.ReadRequest(body); err != nil {
			ended <- err
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n")
		_, _ = body.ReadByte()
		close(begun)
		_, err = io.Copy(io.Discard, body)
		ended <- err
	}()
	b := newBenchOn(t, "http://"+l.Addr().String())
	conn := b.dial()
	fmt.Fprintf(conn, "PUT /uploads/acme/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\nAuthorization: Bearer %s\r\n\r\n%s", b.tenant, strings.Repeat("x", 100000))
	<-begun
	conn.Close()
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("storage saw %v, want a reset", err)
	}
}

func TestPresignedParametersAreHeaders(t *testing.T) {
	b := newBench(t)
	key, err := b.issuer.Issue(auth.Grant{Class: auth.ClassKey, Tenant: "acme", TTL: time.Hour, Scopes: []auth.Scope{{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:PutObject"}}}}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	put := func(query string) answer {
		signer := &sigv4.Signer{AccessKeyID: key.Token, Secret: key.Secret, Region: "us-east-1", Service: "s3"}
		host := strings.TrimPrefix(b.url, "http://")
		signed := signer.Presign(&sigv4.Request{Method: "PUT", Path: "/uploads/acme/x", Query: query, Headers: []sigv4.Header{{Name: "host", Value: host}},
			Payload: sigv4.UnsignedPayload}, time.Minute, time.Now())
		req, err := http.NewRequest("PUT", b.url+"/uploads/acme/x?"+signed, strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return answer{resp.StatusCode, resp.Header, string(body)}
	}
	b.want(put("x-amz-meta-made-by=me&x-amz-checksum-crc32=NhCmhg%3D%3D"), 200, "")
	if h := b.s3.last(); h.Get("x-amz-meta-made-by") != "me" || h.Get("x-amz-checksum-crc32") != "NhCmhg==" {
		t.Errorf("storage got %v", h)
	}
	b.want(put("X-Amz-Write-Offset-Bytes=5"), 501, "NotImplemented")
	b.want(put("x-amz-acl=public-read"), 403, "AccessDenied")
	b.want(put("x-amz-copy-source="+url.QueryEscape("/uploads/other/x")), 403, "AccessDenied")
}

// Go's net/http keeps Authorization when a redirect leads to the host it came from.
func TestNoRedirectToTheGatewaysOwnHost(t *testing.T) {
	b := newBench(t)
	conn := b.dial()
	fmt.Fprintf(conn, "PUT /uploads/acme/x HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 5\r\nx-partway-transfer: redirect\r\nAuthorization: Bearer %s\r\n\r\nhello", b.tenant)
	got, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200") || !strings.Contains(string(got), "x-partway-transfer: relay;reason=same-host") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCopiesKeepTheTokensRules(t *testing.T) {
	b := newBench(t)
	b.want(b.ask("PUT", "/uploads/acme/a", "hello"), 200, "")
	b.want(b.ask("PUT", "/uploads/acme/b", "old"), 200, "")
	source := []string{"x-amz-copy-source", "/uploads/acme/a"}
	b.want(b.ask("PUT", "/uploads/acme/c", "", append(source, "x-amz-copy-source-range", "bytes=0-1")...), 400, "InvalidArgument")
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.NoOverwrite = true }))
	b.want(b.ask("PUT", "/uploads/acme/b", "", source...), 412, "PreconditionFailed")
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.ForceHeaders = map[string]string{"x-amz-meta-a": "b"} }))
	b.want(b.ask("PUT", "/uploads/acme/c", "", source...), 403, "AccessDenied")
	b.s3.faults("put", errorIn200)
	b.tenant = b.bearer("acme", scopeOf("acme", func(*scope) {}))
	if a := b.ask("PUT", "/uploads/acme/c", "", source...); a.status < 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// A 200 to a body that storage was not sent is no success.
func TestA200BeforeTheBodyIsNotBelieved(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var head [4096]byte
		_, _ = conn.Read(head[:])
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
	}()
	b := newBenchOn(t, "http://"+l.Addr().String())
	b.want(b.ask("PUT", "/uploads/acme/x", strings.Repeat("x", 3<<20)), 503, "ServiceUnavailable")
}

func TestABucketWithoutANameIsNone(t *testing.T) {
	b := newBench(t)
	b.want(b.ask("GET", "//uploads/acme/x", ""), 400, "InvalidBucketName")
	b.want(b.ask("DELETE", "/uploads/acme/x?versionId=", ""), 400, "InvalidArgument")
}

// Who is not known cannot make the gateway hold megabytes.
func TestLargeBodiesOfStrangersAreNotRead(t *testing.T) {
	b := newBench(t)
	conn := b.dial()
	fmt.Fprintf(conn, "POST /uploads/acme/x?uploadId=a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\nAuthorization: Bearer nonsense\r\n\r\n")
	var line [12]byte
	if _, err := io.ReadFull(conn, line[:]); err != nil || string(line[:]) != "HTTP/1.1 403" {
		t.Errorf("%q, %v: want the refusal before any of the body", line, err)
	}
}

func TestDeleteObjectsNamesWhatItDeleted(t *testing.T) {
	b := newBench(t)
	// Two keys in one element: storage must be sent the one that was authorised.
	a := b.ask("POST", "/uploads?delete", "<Delete><Object><Key>other/x</Key><Key>acme/a</Key></Object></Delete>")
	if a.status != 200 || strings.Contains(b.s3.bodies[len(b.s3.bodies)-1], "other") {
		t.Errorf("%d, storage got %s", a.status, b.s3.bodies)
	}
	events := b.events()
	if e := events[len(events)-1]; len(e.Keys) != 1 || e.Keys[0] != "acme/a" {
		t.Errorf("%+v", e)
	}
}

func TestReadinessIsProbedOnceASecond(t *testing.T) {
	b := newBench(t)
	for range 20 {
		if a := b.ask("GET", "/_partway/ready", ""); a.status != 200 {
			t.Fatal(a)
		}
	}
	if n := b.s3.count("get"); n > 5 {
		t.Errorf("storage was asked %d times", n)
	}
}

func TestACutObjectIsNotRecordedAsWhole(t *testing.T) {
	s := &recordedStream{ReadCloser: io.NopCloser(io.MultiReader(bytes.NewReader([]byte("half")), brokenReader{})), want: -1}
	var got error
	s.done = func(_ int64, err error) { got = err }
	_, _ = io.Copy(io.Discard, s)
	_ = s.Close()
	if got == nil {
		t.Error("no error")
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// On the base host an object has the origin of the pages, and its tenant says what it is: as a page it must not run there, where tokens are kept.
func TestAnObjectIsNoPageOfTheGateways(t *testing.T) {
	s3 := newFakeS3(t)
	b := newBenchWith(t, s3, nil)
	b.put("acme/evil.html", "<script>alert(localStorage.getItem('partway-token'))</script>")
	sandboxed := func(a answer) bool {
		return a.status == 200 && strings.HasPrefix(a.header.Get("Content-Security-Policy"), "sandbox") && a.header.Get("X-Content-Type-Options") == "nosniff"
	}
	if a := b.ask("GET", "/uploads/acme/evil.html", ""); a.status != 200 || a.header.Get("Content-Security-Policy") != "" {
		t.Errorf("without pages: %d %v", a.status, a.header)
	}
	b.gateway.Pages = fstest.MapFS{"index.html": {Data: []byte("a page")}}
	for _, path := range []string{"/uploads/acme/evil.html", "/uploads/acme/evil.html?response-content-type=text%2Fhtml"} {
		if a := b.ask("GET", path, ""); !sandboxed(a) {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
}

// Erasing takes the answer of a Complete out of its record. Who repeats that Complete after so long is told what everybody is.
func TestACompleteRepeatedAfterAnErasure(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.want(b.complete(key, id, "hello"), 200, "")
	u := b.record(id)
	u.Subject, u.Key, u.Completion = "", "", nil
	if err := b.store.SwapUpload(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	b.want(b.complete(key, id, "hello"), 404, "NoSuchUpload")
}

// Whoever may upload to a key can report what landed of any upload of it. What a report says of the bytes must not keep other bytes from travelling:
// the Complete would name the very ETag of the lie, and succeed.
func TestAReportIsNoEvidenceThatAPartIsStored(t *testing.T) {
	oneIs, other := md5Hex("one"), "ONE"
	_, lie := sha(other)
	for name, handOver := range map[string]bool{"before the hand-over": true, "behind it": false} {
		t.Run(name, func(t *testing.T) {
			b := resuming(t)
			id := b.create(resumedKey)
			b.want(b.part(resumedKey, id, 1, "one"), 200, "")
			b.want(b.part(resumedKey, id, 2, "two"), 200, "")
			report := func() {
				a := b.ask("POST", "/_partway/landed", signAskOf(resumedKey, id, fmt.Sprintf(`{"part_number":1,"content_length":3,"etag":"\"%s\"","sha256":"%s"}`, oneIs, lie)),
					"Authorization", "Bearer "+b.bearer("acme", scopeOf("acme", func(*scope) {})))
				b.want(a, 200, "")
				b.events()
			}
			if handOver {
				report()
			}
			id = b.create(resumedKey)
			if !handOver {
				report()
			}
			name, value := sha(other)
			a, travelled := b.declared(id, 1, other, name, value)
			b.want(a, 200, "")
			b.wantTravelled("a part of other bytes", travelled, other)
			b.want(b.complete(resumedKey, id, other, "two"), 200, "")
			if o, _ := b.s3.object("/uploads/" + resumedKey); string(o.body) != "ONEtwo" {
				t.Errorf("the object is %q", o.body)
			}
		})
	}
}

// What a skipped part declared beside the hash that was known is nothing that storage verified.
func TestASkippedPartIsNoEvidenceForItsOtherHashes(t *testing.T) {
	b := resuming(t)
	id := b.create(resumedKey)
	md5Name, md5Value := contentMD5("one")
	a, _ := b.declared(id, 1, "one", md5Name, md5Value)
	b.want(a, 200, "")
	id = b.create(resumedKey)
	shaName, lie := sha("ONE")
	a, travelled := b.declared(id, 1, "one", md5Name, md5Value, shaName, lie)
	b.want(a, 200, "")
	b.wantTravelled("a part whose MD5 is stored", travelled, "")
	b.events()
	id = b.create(resumedKey)
	a, travelled = b.declared(id, 1, "ONE", shaName, lie)
	b.want(a, 200, "")
	b.wantTravelled("a part of other bytes", travelled, "ONE")
}

// S3 shows no upload that was aborted. Who ends all that are listed would else never come to an end.
func TestAPausedUploadIsNotListed(t *testing.T) {
	b := resuming(t)
	b.want(b.ask("DELETE", "/uploads/"+resumedKey+"?uploadId="+b.interrupted(), ""), 204, "")
	b.create("acme/another")
	paused := b.create("acme/dir/paused")
	b.want(b.ask("DELETE", "/uploads/acme/dir/paused?uploadId="+paused, ""), 204, "")
	open := b.create("acme/last")
	for _, query := range []string{"", "&delimiter=/", "&max-uploads=2"} {
		a := b.ask("GET", "/uploads?uploads&prefix=acme/"+query, "")
		if a.status != 200 || strings.Count(a.body, "<UploadId>") != 2 || strings.Contains(a.body, "big") || strings.Contains(a.body, "dir") ||
			!strings.Contains(a.body, open) || !strings.Contains(a.body, "<IsTruncated>false") {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
}

func md5Hex(body string) string { return strings.Trim(etagOf([]byte(body)), `"`) }

// A part that failed on its way leaves what was granted for its number counted: the URL is still good.
func TestAFailedPartGivesNoGrantBack(t *testing.T) {
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.Resume, s.MaxObjectBytes = true, 10 }))
	id := b.create(resumedKey)
	b.sign(signAskOf(resumedKey, id, `{"part_number":1,"content_length":10}`))
	second := func() answer {
		return b.ask("POST", "/_partway/sign", signAskOf(resumedKey, id, `{"part_number":2,"content_length":10}`))
	}
	if a := second(); a.status != 400 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	b.s3.faults("part", refuse)
	b.want(b.part(resumedKey, id, 1, "hello"), 403, "AccessDenied")
	if a := second(); a.status != 400 {
		t.Errorf("beyond the limit: %d %s", a.status, a.body)
	}
}

// What was granted before a hand-over may still come behind it, and counts: starting an upload again and again begins no limit anew.
func TestNoLimitBeginsAnewWithAHandOver(t *testing.T) {
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.Resume, s.MaxObjectBytes = true, 10 }))
	sign := func(id string, number, bytes int) int {
		return b.ask("POST", "/_partway/sign", signAskOf(resumedKey, id, fmt.Sprintf(`{"part_number":%d,"content_length":%d}`, number, bytes))).status
	}
	id := b.create(resumedKey)
	b.want(b.part(resumedKey, id, 1, "one"), 200, "")
	if status := sign(id, 2, 7); status != 200 {
		t.Fatal(status)
	}
	for range 3 {
		id = b.create(resumedKey)
		if status := sign(id, 3, 1); status != 400 {
			t.Fatalf("generation %d: a byte beyond the limit: %d", b.record(id).Resumable.Generation, status)
		}
	}
	if status := sign(id, 2, 7); status != 200 || b.record(id).Resumable.Generation != 4 {
		t.Errorf("the same part again, in generation %d: %d", b.record(id).Resumable.Generation, status)
	}
	if status := sign(id, 1, 4); status != 400 {
		t.Errorf("a stored part, grown beyond the limit: %d", status)
	}
}

// Who may have two uploads open and has aborted two can begin another; who has two open cannot.
func TestPausedUploadsMakeRoomForANewOne(t *testing.T) {
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.Resume, s.MaxOpenUploads = true, 2 }))
	first, second := b.started("acme/1"), b.started("acme/2")
	b.want(b.ask("POST", "/uploads/acme/3?uploads", ""), 503, "SlowDown")
	for i, id := range []string{first, second} {
		b.want(b.ask("DELETE", fmt.Sprintf("/uploads/acme/%d?uploadId=%s", i+1, id), ""), 204, "")
		b.ahead.Add(int64(time.Second))
	}
	b.create("acme/3")
	b.wantState(first, tracking.StateAborted)
	b.wantState(second, tracking.StatePaused)
	if n := b.s3.open(); n != 2 {
		t.Errorf("storage holds %d uploads", n)
	}
	ended := 0
	for _, e := range b.events() {
		if e.Operation == "AbortMultipartUpload" && e.UploadID == first && e.Reason == "max-open-uploads" {
			ended++
		}
	}
	if ended != 1 {
		t.Errorf("%d events tell of the end", ended)
	}
	b.create("acme/4")
	b.wantState(second, tracking.StateAborted)
	b.want(b.ask("POST", "/uploads/acme/5?uploads", ""), 503, "SlowDown")
}
