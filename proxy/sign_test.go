package proxy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"partway/auth"
	"partway/proxy/storage"
	"partway/tracking"
)

type signedAnswer struct {
	Requests []struct {
		signedRequest
		Road   string `json:"road"`
		Reason string `json:"reason"`
	} `json:"requests"`
}

// sign asks for signed requests, which must be given.
func (b *bench) sign(ask string, headers ...string) signedAnswer {
	b.t.Helper()
	a := b.ask("POST", "/_partway/sign", ask, headers...)
	var out signedAnswer
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || a.status != 200 || a.header.Get("Cache-Control") != "no-store" && !strings.Contains(ask, "dry_run") {
		b.t.Fatalf("%d %v %s, %v", a.status, a.header, a.body, err)
	}
	return out
}

func signAsk(id, parts string) string { return signAskOf(key, id, parts) }

func signAskOf(key, id, parts string) string {
	return fmt.Sprintf(`{"bucket":"uploads","key":%q,"upload_id":%q,"parts":[%s]}`, key, id, parts)
}

// apiCode is the code of a refusal in JSON.
func (a answer) apiCode() string {
	var e apiError
	_ = json.Unmarshal([]byte(a.body), &e) // no JSON has no code
	return e.Code
}

func TestSignedPartsGoToStorageAndNotHere(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	out := b.sign(signAsk(id, `{"part_number":1,"content_length":5,"headers":{"X-Amz-Checksum-CRC32":"NhCmhg==","content-md5":"XUFAKrxLKna5cZ2REBfFkg=="}},{"part_number":7}`))
	if len(out.Requests) != 2 {
		t.Fatalf("%+v", out)
	}
	for i, want := range []struct {
		number  string
		headers map[string]string
		signed  string
	}{
		{"1", map[string]string{"x-amz-checksum-crc32": "NhCmhg==", "content-md5": "XUFAKrxLKna5cZ2REBfFkg=="}, "content-length;content-md5;host;x-amz-checksum-crc32"},
		{"7", map[string]string{}, "host"},
	} {
		r := out.Requests[i]
		u, err := url.Parse(r.URL)
		if err != nil || "http://"+u.Host != b.s3.URL || u.Path != "/uploads/"+key || r.Method != "PUT" || fmt.Sprint(r.Headers) != fmt.Sprint(want.headers) {
			t.Errorf("%+v, %v", r, err)
		}
		q := u.Query()
		if q.Get("partNumber") != want.number || q.Get("uploadId") != "storage-upload-1" || q.Get("X-Amz-SignedHeaders") != want.signed {
			t.Errorf("query %v", q)
		}
		if left := time.Until(r.ExpiresAt); left > 5*time.Minute || left < 4*time.Minute {
			t.Errorf("expires in %s", left)
		}
		req, _ := http.NewRequest("PUT", r.URL, strings.NewReader("hello"))
		for name, value := range r.Headers {
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v %v", resp, err)
		}
		resp.Body.Close()
	}
	session, err := b.gateway.Sessions.Session(t.Context(), id)
	if err != nil || len(session.Parts) != 2 || session.Parts[0].Road != "sign" || session.Parts[0].Until.IsZero() || session.Bytes != 5 {
		t.Errorf("ledger %+v, %v", session, err)
	}
	var parts []tracking.Event
	for _, e := range b.events() {
		if e.Road == "sign" {
			parts = append(parts, e)
		}
	}
	if len(parts) != 2 {
		t.Fatalf("events %+v", parts)
	}
	if e := parts[0]; e.Operation != "UploadPart" || e.Outcome != "granted" || e.PartNumber != 1 || e.BytesDeclared != 5 || e.Checksum != "crc32:NhCmhg== md5:XUFAKrxLKna5cZ2REBfFkg==" || e.UploadID != id ||
		e.Bucket != "uploads" || e.Key != key || e.Tenant != "acme" || e.Status != 200 || e.Reason != "client-asked" {
		t.Errorf("event %+v", e)
	}
	if e := parts[1]; e.PartNumber != 7 || e.BytesDeclared != 0 || e.RequestID != parts[0].RequestID {
		t.Errorf("event %+v", e)
	}
}

func TestSignRefuses(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	other := b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme/else", Actions: []string{"s3:*"}})
	reader := b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:GetObject"}})
	relayed := b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}, Transfer: []string{"relay"}})
	small := b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}, MaxObjectBytes: 10})
	putter := b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:PutObject"}})
	object := func(parts string) string {
		return fmt.Sprintf(`{"bucket":"uploads","key":%q,"parts":[%s]}`, key, parts)
	}
	with := func(headers string) string {
		return signAsk(id, `{"part_number":1,"content_length":5},{"part_number":2,"content_length":5,"headers":{`+headers+`}}`)
	}
	for _, tt := range []struct {
		name, bearer, ask string
		status            int
		code              string
	}{
		{"a body that is no JSON", b.tenant, `{`, 400, "InvalidArgument"},
		{"a field that nobody reads", b.tenant, `{"uploadId":"x"}`, 400, "InvalidArgument"},
		{"two bodies", b.tenant, signAsk(id, `{"part_number":1}`) + "{}", 400, "InvalidArgument"},
		{"no parts", b.tenant, signAsk(id, ""), 400, "InvalidArgument"},
		{"too many parts", b.tenant, signAsk(id, strings.TrimSuffix(strings.Repeat(`{"part_number":1},`, 1001), ",")), 400, "InvalidArgument"},
		{"a part number that is none", b.tenant, signAsk(id, `{"part_number":1},{"part_number":10001}`), 400, "InvalidArgument"},
		{"a part twice", b.tenant, signAsk(id, `{"part_number":1},{"part_number":1}`), 400, "InvalidArgument"},
		{"a negative length", b.tenant, signAsk(id, `{"part_number":1,"content_length":-1}`), 400, "InvalidArgument"},
		{"a length beyond 5 GiB", b.tenant, signAsk(id, `{"part_number":1,"content_length":5368709121}`), 400, "EntityTooLarge"},
		{"another method", b.tenant, `{"method":"DELETE","bucket":"uploads","key":"acme/x","parts":[{}]}`, 400, "InvalidArgument"},
		{"a key that climbs out", b.tenant, `{"bucket":"uploads","key":"acme/../other/x","parts":[{"content_length":1}]}`, 400, "InvalidArgument"},
		{"a bucket that is none", b.tenant, `{"bucket":"up/loads","key":"acme/x","parts":[{"content_length":1}]}`, 400, "InvalidBucketName"},
		{"no bucket", b.tenant, `{"key":"acme/x","parts":[{"content_length":1}]}`, 400, "InvalidArgument"},
		{"an invented upload id", b.tenant, signAsk("AAAA", `{"part_number":1}`), 404, "NoSuchUpload"},
		{"an upload id of another key", b.tenant, strings.Replace(signAsk(id, `{"part_number":1}`), key, "acme/else", 1), 404, "NoSuchUpload"},
		{"a key outside of the scope", other, signAsk(id, `{"part_number":1}`), 403, "AccessDenied"},
		{"a token without the action", reader, signAsk(id, `{"part_number":1}`), 403, "AccessDenied"},
		{"a token without the road", relayed, signAsk(id, `{"part_number":1}`), 403, "AccessDenied"},
		{"a part beyond the token's limit", small, signAsk(id, `{"part_number":1,"content_length":6},{"part_number":2,"content_length":5}`), 400, "EntityTooLarge"},
		{"an object beyond the token's limit", small, object(`{"content_length":11}`), 400, "EntityTooLarge"},
		{"an object of unknown length", b.tenant, object(`{}`), 411, "MissingContentLength"},
		{"two objects", b.tenant, object(`{"content_length":1},{"content_length":1}`), 400, "InvalidArgument"},
		{"a part of no upload", b.tenant, object(`{"part_number":1,"content_length":1}`), 400, "InvalidArgument"},
		{"a copy", b.tenant, with(`"x-amz-copy-source":"/uploads/other/x"`), 501, "NotImplemented"},
		{"the hash of the body", b.tenant, with(`"x-amz-content-sha256":"` + strings.Repeat("0", 64) + `"`), 400, "InvalidArgument"},
		{"a header of the connection", b.tenant, with(`"Authorization":"Bearer x"`), 400, "InvalidArgument"},
		{"framing", b.tenant, with(`"content-encoding":"aws-chunked"`), 400, "InvalidArgument"},
		{"a header twice", b.tenant, with(`"Content-MD5":"XUFAKrxLKna5cZ2REBfFkg==","content-md5":"XUFAKrxLKna5cZ2REBfFkg=="`), 400, "InvalidArgument"},
		{"a line break in a header", b.tenant, with(`"content-md5":"x\r\nx: y"`), 400, "InvalidArgument"},
		{"a header that needs an action of its own", putter, with(`"x-amz-acl":"public-read"`), 403, "AccessDenied"},
		{"a download of a part", b.tenant, `{"method":"GET","bucket":"uploads","key":"acme/x","upload_id":"x"}`, 400, "InvalidArgument"},
		{"a download with headers", b.tenant, `{"method":"GET","bucket":"uploads","key":"acme/x","parts":[{"headers":{"range":"bytes=0-1"}}]}`, 400, "InvalidArgument"},
		{"a download by a token without the action", putter, `{"method":"GET","bucket":"uploads","key":"acme/x"}`, 403, "AccessDenied"},
		{"a download where storage has no identity for it", b.tenant, `{"method":"GET","bucket":"uploads","key":"acme/x"}`, 503, "ServiceUnavailable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := b.ask("POST", "/_partway/sign", tt.ask, "Authorization", "Bearer "+tt.bearer)
			if a.status != tt.status || a.apiCode() != tt.code || strings.Contains(a.body, "X-Amz-Signature") {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	if session, err := b.gateway.Sessions.Session(t.Context(), id); err != nil || len(session.Parts) > 0 {
		t.Errorf("the ledger holds %+v, %v: bad input must change nothing", session, err)
	}
	for _, e := range b.events() {
		if e.Outcome == "granted" {
			t.Errorf("granted: %+v", e)
		}
	}
	b.gateway.refusals.flush(b.writer)
	if a := b.ask("POST", "/_partway/sign", signAsk(id, `{"part_number":1}`), "Authorization", ""); a.status != 403 {
		t.Errorf("without a token: %d %s", a.status, a.body)
	}
}

func TestASignedRequestIsGivenOutOnlyWithItsEvent(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	b.store.trailIsAway.Store(true)
	a := b.ask("POST", "/_partway/sign", signAsk(id, `{"part_number":1}`))
	b.store.trailIsAway.Store(false)
	if a.status != 503 || strings.Contains(a.body, "X-Amz-Signature") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Nobody here sees what comes of a signed object: its length counts when it is granted.
func TestASignedObjectIsChargedToTheTenant(t *testing.T) {
	b := newBench(t)
	limited := b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}, MaxTenantBytes: 10})
	ask := func(bytes int) answer {
		return b.ask("POST", "/_partway/sign", fmt.Sprintf(`{"bucket":"uploads","key":"acme/x","parts":[{"content_length":%d}]}`, bytes), "Authorization", "Bearer "+limited)
	}
	if a := ask(6); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := ask(5); a.status != 400 || a.apiCode() != "EntityTooLarge" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := ask(4); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// What the token demands of an object is signed, so that storage demands it too and its client cannot leave it out.
func TestWhatTheTokenDemandsOfAnObjectIsSigned(t *testing.T) {
	b := newBench(t)
	strict := b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}, NoOverwrite: true,
		ForceHeaders: map[string]string{"x-amz-storage-class": "GLACIER"}})
	out := b.sign(`{"bucket":"uploads","key":"acme/x","parts":[{"content_length":5,"headers":{"x-amz-storage-class":"STANDARD","content-type":"text/plain"}}]}`,
		"Authorization", "Bearer "+strict).Requests[0]
	u, _ := url.Parse(out.URL)
	if want := "map[content-type:text/plain if-none-match:* x-amz-storage-class:GLACIER]"; fmt.Sprint(out.Headers) != want ||
		u.Query().Get("X-Amz-SignedHeaders") != "content-length;content-type;host;if-none-match;x-amz-storage-class" {
		t.Errorf("%v, %s", out.Headers, out.URL)
	}
	events := b.events()
	if e := events[len(events)-1]; e.Operation != "PutObject" || e.Outcome != "granted" || e.BytesDeclared != 5 {
		t.Errorf("%+v", e)
	}
}

func TestDryRunTellsTheRoadAndChangesNothing(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	dry := func(parts string) string { return strings.TrimSuffix(signAsk(id, parts), "}") + `,"dry_run":true}` }
	both := b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}, Transfer: []string{"relay", "redirect"}})
	for _, tt := range []struct{ name, bearer, ask, want string }{
		{"signed", b.tenant, dry(`{"part_number":3}`), "3 PUT sign client-asked"},
		{"a token without the road", both, dry(`{"part_number":3}`), "3 PUT relay policy"},
		{"a header that cannot be signed", b.tenant, dry(`{"part_number":3,"headers":{"x-amz-content-sha256":"` + strings.Repeat("0", 64) + `"}}`), "3 PUT relay unsignable-header"},
		{"no identity for downloads", b.tenant, `{"method":"GET","bucket":"uploads","key":"acme/x","dry_run":true}`, "0 GET relay identity"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := b.sign(tt.ask, "Authorization", "Bearer "+tt.bearer).Requests[0]
			if got := fmt.Sprint(r.PartNumber, " ", r.Method, " ", r.Road, " ", r.Reason); got != tt.want || r.URL != "" {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if session, err := b.gateway.Sessions.Session(t.Context(), id); err != nil || len(session.Parts) > 0 {
		t.Errorf("the ledger holds %+v, %v", session, err)
	}
}

// A program that is refused learns from the header whether to send the body here instead.
func TestARefusalToSignSaysWhy(t *testing.T) {
	b := newBench(t)
	relayed := b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}, Transfer: []string{"relay"}})
	for ask, want := range map[string]string{
		`{"bucket":"uploads","key":"acme/x","parts":[{"content_length":1}]}`: "none;reason=policy",
		`{"method":"GET","bucket":"uploads","key":"acme/x"}`:                 "none;reason=policy",
	} {
		if a := b.ask("POST", "/_partway/sign", ask, "Authorization", "Bearer "+relayed); a.header.Get("X-Partway-Transfer") != want {
			t.Errorf("%s: %s", ask, a.header.Get("X-Partway-Transfer"))
		}
	}
	if a := b.ask("POST", "/_partway/sign", `{"method":"GET","bucket":"uploads","key":"acme/x"}`); a.header.Get("X-Partway-Transfer") != "none;reason=identity" {
		t.Errorf("%v", a.header)
	}
}

func TestDownloadsAreSignedByTheirOwnIdentity(t *testing.T) {
	b := newBench(t)
	backend, err := storage.New(storage.Config{Name: "main", Endpoint: b.s3.URL, Region: "us-east-1", PathStyle: true, Tries: 1,
		Credentials: storage.Credentials{AccessKeyID: "storage-id", SecretAccessKey: benchStorageSecret},
		PresignPut:  &storage.Credentials{AccessKeyID: "put-id", SecretAccessKey: benchStorageSecret},
		PresignGet:  &storage.Credentials{AccessKeyID: "get-id", SecretAccessKey: benchStorageSecret}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backend.Close)
	b.gateway.backends["main"] = backend
	for ask, want := range map[string]string{
		`{"method":"GET","bucket":"uploads","key":"acme/x"}`:                                "GET get-id",
		`{"method":"PUT","bucket":"uploads","key":"acme/x","parts":[{"content_length":1}]}`: "PUT put-id",
	} {
		r := b.sign(ask).Requests[0]
		u, _ := url.Parse(r.URL)
		id, _, _ := strings.Cut(u.Query().Get("X-Amz-Credential"), "/")
		if got := r.Method + " " + id; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAThousandPartsAreOneCall(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	var parts []string
	for n := range 1000 {
		parts = append(parts, fmt.Sprintf(`{"part_number":%d,"content_length":5242880}`, n+1))
	}
	if out := b.sign(signAsk(id, strings.Join(parts, ","))); len(out.Requests) != 1000 || out.Requests[999].PartNumber != 1000 {
		t.Errorf("%d requests", len(out.Requests))
	}
}

func TestLanded(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	b.sign(signAsk(id, `{"part_number":1,"content_length":5}`))
	report := func(parts string) string { return signAsk(id, parts) }
	const good = `{"part_number":1,"content_length":5,"etag":"\"e\"","checksum":"crc32:NhCmhg==","md5":"5d41402abc4b2a76b9719d911017c592"}`
	a := b.ask("POST", "/_partway/landed", report(good))
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	want := tracking.Landed{Bytes: 5, ETag: `"e"`}
	session, err := b.gateway.Sessions.Session(t.Context(), id)
	if err != nil || len(session.Parts) != 1 || !session.Parts[0].Until.IsZero() || session.Parts[0].Landed == nil || *session.Parts[0].Landed != want {
		t.Fatalf("ledger %+v, %v", session, err)
	}
	events := b.events()
	if e := events[len(events)-1]; e.Outcome != "reported" || e.Operation != "UploadPart" || e.PartNumber != 1 || e.Bytes != 5 || e.ETag != `"e"` || e.Road != "sign" || e.UploadID != id {
		t.Errorf("%+v", e)
	}
	before := session
	stranger := b.bearer("other", auth.Scope{Bucket: "uploads", Prefix: "other", Actions: []string{"s3:*"}})
	for name, tt := range map[string]struct {
		bearer, ask string
		status      int
	}{
		"a key outside of the scope": {stranger, report(good), 403},
		"no upload":                  {b.tenant, strings.Replace(report(good), id, "", 1), 400},
		"an invented id":             {b.tenant, strings.Replace(report(good), id, "AAAA", 1), 404},
		"no part number":             {b.tenant, report(`{"content_length":5,"etag":"e"}`), 400},
		"a part twice":               {b.tenant, report(good + "," + good), 400},
		"no etag":                    {b.tenant, report(`{"part_number":2,"content_length":5}`), 400},
		"a line break in the etag":   {b.tenant, report(`{"part_number":2,"content_length":5,"etag":"\n"}`), 400},
		"a hash that is none":        {b.tenant, report(`{"part_number":2,"content_length":5,"etag":"e","sha256":"00"}`), 400},
		"a length that is none":      {b.tenant, report(`{"part_number":2,"content_length":-5,"etag":"e"}`), 400},
	} {
		if a := b.ask("POST", "/_partway/landed", tt.ask, "Authorization", "Bearer "+tt.bearer); a.status != tt.status {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if after, err := b.gateway.Sessions.Session(t.Context(), id); err != nil || fmt.Sprint(after.Parts) != fmt.Sprint(before.Parts) {
		t.Errorf("the ledger became %+v, %v", after, err)
	}
}

// The relay saw storage's 200 itself.
func TestARelayedPartLands(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	a := b.ask("PUT", "/uploads/"+key+"?partNumber=2&uploadId="+id, "hello", "x-amz-checksum-crc32", "NhCmhg==",
		"x-amz-content-sha256", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "content-md5", "XUFAKrxLKna5cZ2REBfFkg==")
	b.want(a, 200, "")
	want := tracking.Landed{Bytes: 5, ETag: a.header.Get("ETag"), SHA256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", MD5: "5d41402abc4b2a76b9719d911017c592"}
	session, err := b.gateway.Sessions.Session(t.Context(), id)
	if err != nil || len(session.Parts) != 1 || session.Parts[0].Landed == nil || *session.Parts[0].Landed != want {
		t.Errorf("ledger %+v, %v", session, err)
	}
	b.s3.faults("part", refuse)
	b.want(b.part(key, id, 2, "other"), 403, "AccessDenied")
	if session, err := b.gateway.Sessions.Session(t.Context(), id); err != nil || session.Parts[0].Landed != nil {
		t.Errorf("a body that was refused left %+v, %v", session.Parts[0].Landed, err)
	}
}
