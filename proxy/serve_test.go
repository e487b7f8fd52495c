package proxy

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryAuthenticatedRequestIsOneEvent(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.want(b.complete(key, id, "hello"), 200, "")
	b.want(b.ask("PUT", "/uploads/acme/small", "small"), 200, "")
	b.want(b.ask("GET", "/uploads/acme/small", ""), 200, "")
	b.want(b.ask("PUT", "/uploads/acme/small?torrent", ""), 501, "NotImplemented")
	b.want(b.ask("PUT", "/uploads/other/small", "x"), 403, "AccessDenied")
	b.want(b.ask("PUT", "/uploads/acme/../other/x", "x"), 400, "InvalidArgument")
	b.want(b.ask("DELETE", "/uploads/acme/small", ""), 204, "")
	if a := b.ask("GET", "/_partway/uploads", ""); a.status != 200 {
		t.Fatal(a)
	}
	b.want(b.ask("GET", "/uploads/acme/small", "", "Authorization", "Bearer nonsense"), 403, "InvalidAccessKeyId")

	var got []string
	for _, e := range b.events() {
		got = append(got, e.Operation+" "+e.Outcome+" "+e.Road)
		if e.RequestID == "" || e.ClientAddress != "127.0.0.1" || e.Status == 0 || e.Tenant != "acme" || e.TokenID == "" {
			t.Errorf("event lacks something: %+v", e)
		}
	}
	want := []string{
		"CreateMultipartUpload ok none", "UploadPart ok relay", "CompleteMultipartUpload ok none", "PutObject ok relay", "GetObject ok relay",
		"Unknown NotImplemented none", "PutObject AccessDenied none", "PutObject InvalidArgument none", "DeleteObject ok none", "partway:ListUploads ok none",
	}
	slices.Sort(got) // the events of reads are written when there is time
	slices.Sort(want)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRefusalsBeforeAuthenticationAreCountedInOneEvent(t *testing.T) {
	b := newBench(t)
	for range 3 {
		b.want(b.ask("GET", "/uploads/acme/x", "", "Authorization", "Bearer nonsense"), 403, "InvalidAccessKeyId")
	}
	b.gateway.refusals.flush(b.writer)
	events := b.events()
	if len(events) != 1 || events[0].Count != 3 || events[0].Outcome != "InvalidAccessKeyId" || events[0].ClientAddress != "127.0.0.1" {
		t.Errorf("%+v", events)
	}
}

func TestAWriteWithoutItsEventIsNotAcknowledged(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	b.store.trailIsAway.Store(true)
	b.want(b.part(key, id, 1, "hello"), 503, "ServiceUnavailable")
	b.store.trailIsAway.Store(false)
}

func TestRedirect(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	a := b.ask("PUT", "/uploads/"+key+"?partNumber=7&uploadId="+id, "hello", "x-partway-transfer", "redirect",
		"x-amz-checksum-crc32", "NhCmhg==", "Content-Type", "text/plain", "If-None-Match", "*", "x-amz-user-agent", "sdk", "User-Agent", "sdk")
	if a.status != 307 || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Partway-Transfer") != "redirect;reason=client-asked" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	if strings.Contains(a.body, "Endpoint") || a.header.Get("X-Amz-Bucket-Region") != "" {
		t.Errorf("%v %s", a.header, a.body)
	}
	u, err := url.Parse(a.header.Get("Location"))
	if err != nil || "http://"+u.Host != b.s3.URL || u.Path != "/uploads/"+key {
		t.Fatalf("Location %s", a.header.Get("Location"))
	}
	q := u.Query()
	if q.Get("X-Amz-SignedHeaders") != "content-length;content-type;host;if-none-match;x-amz-checksum-crc32;x-amz-user-agent" || q.Get("partNumber") != "7" || q.Get("uploadId") != "storage-upload-1" {
		t.Errorf("query %v", q)
	}
	if b.s3.count("part") != 0 {
		t.Error("the gateway sent the part")
	}
}

func TestRedirectLivesNoLongerThanTheToken(t *testing.T) {
	b := newBench(t)
	r := &Request{Identity: identityUntil(time.Now().Add(90 * time.Second))}
	if life := b.gateway.urlLife(r); life > 90*time.Second || life < 80*time.Second {
		t.Errorf("life %s", life)
	}
	r.Identity = identityUntil(time.Now().Add(time.Hour))
	if life := b.gateway.urlLife(r); life != 5*time.Minute {
		t.Errorf("life %s", life)
	}
}

// A body of 5 GiB is declared and never sent: the answer must not wait for it, and no 100 Continue may ask for it.
func TestRedirectComesBeforeTheBody(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, "PUT /uploads/"+key+"?partNumber=1&uploadId="+id+" HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 5368709120\r\n"+
		"x-partway-transfer: redirect\r\nAuthorization: Bearer "+b.tenant+"\r\n\r\n")
	line := make([]byte, 12)
	if _, err := io.ReadFull(conn, line); err != nil || string(line) != "HTTP/1.1 307" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestRefusalOfAnEmptyBodyWithExpectEndsTheConnection(t *testing.T) {
	b := newBench(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(conn, "PUT /uploads/other/key HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 0\r\n"+
		"Authorization: Bearer "+b.tenant+"\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 403") {
		t.Errorf("%q, %v, want a refusal and the end", answer, err)
	}
}

func TestABodyBeyondFiveGiBIsRefused(t *testing.T) {
	b := newBench(t)
	conn := b.dial()
	fmt.Fprintf(conn, "PUT /uploads/acme/x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: %d\r\nAuthorization: Bearer %s\r\n\r\n", maxPutBytes+1, b.tenant)
	var line [12]byte
	if _, err := io.ReadFull(conn, line[:]); err != nil || string(line[:]) != "HTTP/1.1 400" {
		t.Errorf("%q, %v", line, err)
	}
}

func TestHeadersOutsideTheListStayHere(t *testing.T) {
	r := requestOf(t, "PUT", "b", "k", "")
	r.Operation = &Operation{}
	for _, name := range []string{"x-amz-copy-source", "x-amz-copy-source-range", "x-amz-write-offset-bytes", "x-amz-security-token", "authorization", "cookie", "x-forwarded-host", "x-amz-meta-a", "content-type"} {
		r.Head.Headers = append(r.Head.Headers, header(name, "v"))
	}
	var got []string
	for _, h := range r.call().Headers {
		got = append(got, h.Name)
	}
	if strings.Join(got, " ") != "x-amz-meta-a content-type" {
		t.Error(got)
	}
}

func TestAWriteWithAHeaderThatWouldBeDroppedIsRefused(t *testing.T) {
	b := newBench(t)
	b.want(b.ask("PUT", "/uploads/acme/x", "tail", "x-amz-write-offset-bytes", "5"), 501, "NotImplemented")
	if n := b.s3.count("put"); n != 0 {
		t.Errorf("storage was asked %d times", n)
	}
}

func TestHeadersThatNeedAnActionOfTheirOwn(t *testing.T) {
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.Actions = []string{"s3:PutObject", "s3:PutObjectTagging"} }))
	for header, want := range map[string]int{
		"x-amz-acl": 403, "x-amz-grant-read": 403, "x-amz-object-lock-mode": 403, "x-amz-object-lock-retain-until-date": 403,
		"x-amz-object-lock-legal-hold": 403, "x-amz-bypass-governance-retention": 403, "x-amz-tagging": 200, "x-amz-meta-a": 200,
	} {
		if a := b.ask("PUT", "/uploads/acme/x", "x", header, "v"); a.status != want {
			t.Errorf("%s: %d %s, want %d", header, a.status, a.body, want)
		}
	}
}

func TestTenantsSeeTheirOwnRecordsOnly(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	other := "Bearer " + b.bearer("other", scopeOf("other", func(*scope) {}))
	for path, want := range map[string]int{
		"/_partway/uploads?tenant=acme": 403, "/_partway/events?tenant=acme": 403, "/_partway/uploads/" + id: 404, "/_partway/tokens": 403, "/_partway/metrics": 403,
	} {
		if a := b.ask("GET", path, "", "Authorization", other); a.status != want {
			t.Errorf("%s: %d %s, want %d", path, a.status, a.body, want)
		}
	}
	for _, path := range []string{"/_partway/uploads", "/_partway/events?upload_id=" + id} {
		var list struct{ Items []json.RawMessage }
		a := b.ask("GET", path, "", "Authorization", other)
		if err := json.Unmarshal([]byte(a.body), &list); err != nil || len(list.Items) != 0 {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := b.ask("GET", "/_partway/uploads/"+id, "", "Authorization", "Bearer "+b.operator()); a.status != 200 || !strings.Contains(a.body, `"part_number":1`) {
		t.Errorf("operator: %d %s", a.status, a.body)
	}
}

func TestAForeignUploadIDIsAnsweredLikeAnUnknownOne(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	unknown := b.part(key, "AAAA", 1, "x")
	for name, a := range map[string]answer{
		"of another key": b.part("acme/other", id, 1, "x"),
		"altered":        b.part(key, id[:len(id)-2]+"AA", 1, "x"),
		"storage's own":  b.part(key, "storage-upload-1", 1, "x"),
		"none":           b.part(key, "", 1, "x"),
	} {
		if a.status != unknown.status || a.code() != unknown.code() || a.code() != "NoSuchUpload" {
			t.Errorf("%s: %d %s", name, a.status, a.code())
		}
	}
}

func TestALateCompleteKeepsItsClient(t *testing.T) {
	b := newBench(t)
	b.gateway.patience = time.Nanosecond
	id := b.started(key)
	a := b.complete(key, id, "hello")
	if a.status != 200 || !strings.HasPrefix(a.body, xmlDeclaration) || !strings.Contains(a.body, "<ETag>") || strings.Count(a.body, "<?xml") != 1 {
		t.Errorf("%d %q", a.status, a.body)
	}
	id = b.started(key)
	b.s3.faults("complete", refuse)
	if a := b.complete(key, id, "hello"); a.status != 200 || !strings.Contains(a.body, "<Code>AccessDenied</Code>") || strings.Count(a.body, "<?xml") != 1 {
		t.Errorf("%d %q", a.status, a.body)
	}
	if e := b.events(); e[len(e)-1].Outcome != "AccessDenied" {
		t.Errorf("%+v", e[len(e)-1])
	}
}

func TestAPanicAtTheExitEndsOneConnectionOnly(t *testing.T) {
	b := newBench(t)
	b.create(key)
	writer := b.gateway.Writer
	b.gateway.Writer = nil
	if a := b.ask("GET", "/_partway/uploads", ""); a.status != http.StatusInternalServerError {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.gateway.Writer = writer
	b.create(key)
}

func TestAPanicEndsOneRequestOnly(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	sessions := b.gateway.Sessions
	b.gateway.Sessions = nil // the next UploadPart trips over it
	b.want(b.part(key, id, 1, "x"), http.StatusInternalServerError, "InternalError")
	b.gateway.Sessions = sessions
	b.want(b.part(key, id, 1, "x"), 200, "")
	events := b.events()
	if e := events[len(events)-2]; e.Operation != "UploadPart" || e.Outcome != "InternalError" {
		t.Errorf("%+v", e)
	}
}

func TestABodyThatIsTooLargeIsAudited(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.want(b.ask("POST", "/uploads/"+key+"?uploadId="+id, strings.Repeat(" ", b.gateway.XMLBytes+1)), 400, "MaxMessageLengthExceeded")
	events := b.events()
	if e := events[len(events)-1]; e.Operation != "CompleteMultipartUpload" || e.Outcome != "MaxMessageLengthExceeded" || e.Tenant != "acme" {
		t.Errorf("%+v", e)
	}
	a := b.ask("POST", "/uploads/"+key+"?uploadId="+id, strings.Repeat(" ", b.gateway.XMLBytes+1), "Authorization", "Bearer nonsense")
	b.want(a, 403, "InvalidAccessKeyId")
}

func TestMetadataNamesComeBackAsStorageHasThem(t *testing.T) {
	for name, want := range map[string]string{"x-amz-meta-made-by": "x-amz-meta-made-by", "etag": "ETag", "content-type": "Content-Type", "last-modified": "Last-Modified"} {
		if got := wireName(name); got != want {
			t.Errorf("%s becomes %s", name, got)
		}
	}
}

func TestAHeadThatIsTooLarge(t *testing.T) {
	b := newBench(t)
	a := b.ask("GET", "/uploads", "", "x-amz-meta-a", strings.Repeat("a", 17<<10))
	if a.status != 400 || a.code() != "RequestHeaderSectionTooLarge" || !strings.Contains(a.body, "<MaxSizeAllowed>16384<") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
