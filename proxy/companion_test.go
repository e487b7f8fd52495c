package proxy

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"partway/auth"
)

// page asks as @uppy/aws-s3 5 does: JSON, its Authorization from `headers`.
func (b *bench) page(method, path, body string, token ...string) answer {
	b.t.Helper()
	headers := []string{"Content-Type", "application/json", "Accept", "application/json"}
	if len(token) > 0 {
		headers = append(headers, "Authorization", "Bearer "+token[0])
	}
	return b.ask(method, "/_partway/s3/"+path, body, headers...)
}

// said reads the JSON of an answer, which must have this status.
func said[T any](t *testing.T, a answer, status int) T {
	t.Helper()
	var v T
	if a.status != status || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s: %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return v
}

type createdUpload struct{ Key, UploadID, Bucket string }

func TestUppysUploadIsAnS3Upload(t *testing.T) {
	b := newBench(t)
	u := said[createdUpload](t, b.page("POST", "multipart", `{"filename":"a b.bin","type":"video/mp4","metadata":{"name":"a b.bin","type":"video/mp4","Camera":"Süd"}}`), 200)
	if u.Bucket != "uploads" || u.Key != "acme/a b.bin" || u.UploadID == "" {
		t.Fatalf("%+v", u)
	}
	if h := b.s3.last(); h.Get("Content-Type") != "video/mp4" || h.Get("X-Amz-Meta-Camera") != "=?UTF-8?b?U8O8ZA==?=" || h.Get("X-Amz-Meta-Name") != "" {
		t.Errorf("created with %v", h)
	}
	at := "multipart/" + u.UploadID
	if a := b.page("GET", at+"?key="+url.QueryEscape(u.Key), ""); a.status != 200 || strings.TrimSpace(a.body) != "[]" {
		t.Errorf("no part yet: %d %s", a.status, a.body)
	}
	b.want(b.part("acme/a%20b.bin", u.UploadID, 1, "hello, "), 200, "")
	b.want(b.part("acme/a%20b.bin", u.UploadID, 2, "world"), 200, "")
	parts := said[[]uploadedPart](t, b.page("GET", at+"?key="+url.QueryEscape(u.Key), ""), 200)
	if len(parts) != 2 || parts[1].PartNumber != 2 || parts[1].Size != 5 || parts[1].ETag != etagOf([]byte("world")) {
		t.Fatalf("%+v", parts)
	}
	list, _ := json.Marshal(map[string]any{"parts": []map[string]any{{"ETag": parts[0].ETag, "PartNumber": 1}, {"ETag": parts[1].ETag, "PartNumber": 2}}})
	done := said[completedObject](t, b.page("POST", at+"/complete?key="+url.QueryEscape(u.Key), string(list)), 200)
	if done.Location != b.url+"/uploads/acme/a%20b.bin" || done.Bucket != "uploads" || done.Key != u.Key || done.Size != 12 || done.UploadID != u.UploadID || !strings.HasSuffix(done.ETag, `-2"`) {
		t.Errorf("%+v", done)
	}
	if o, _ := b.s3.object("/uploads/acme/a b.bin"); string(o.body) != "hello, world" {
		t.Errorf("storage has %q", o.body)
	}
	var operations []string
	for _, e := range b.events() {
		if e.Tenant != "acme" || e.Key != u.Key || e.Outcome != "ok" {
			t.Errorf("%+v", e)
		}
		operations = append(operations, e.Operation)
	}
	want := []string{"CreateMultipartUpload", "ListParts", "UploadPart", "UploadPart", "ListParts", "CompleteMultipartUpload"}
	if !slices.Equal(operations, want) {
		t.Errorf("events %v, want %v", operations, want)
	}
}

func TestAnAbortedUploadIsGoneForUppyToo(t *testing.T) {
	b := newBench(t)
	u := said[createdUpload](t, b.page("POST", "multipart", `{"filename":"f"}`), 200)
	at := "multipart/" + u.UploadID + "?key=" + url.QueryEscape(u.Key)
	said[struct{}](t, b.page("DELETE", at, ""), 200)
	if b.s3.open() != 0 {
		t.Error("storage still has the upload")
	}
	refusal := said[apiError](t, b.page("DELETE", at, ""), 404)
	if refusal.Code != "NoSuchUpload" || refusal.RequestID == "" || refusal.Error == nil || refusal.Error.Code != "NoSuchUpload" {
		t.Errorf("%+v", refusal)
	}
}

func TestAPageWritesWhereItsTokenMay(t *testing.T) {
	b := newBench(t)
	put := []string{"s3:PutObject"}
	two := b.bearer("two", auth.Scope{Bucket: "uploads", Prefix: "two/a", Actions: put}, auth.Scope{Bucket: "uploads", Prefix: "two/b", Actions: put},
		auth.Scope{Bucket: "media", Prefix: "m", Actions: put})
	for _, test := range []struct {
		name, token, body string
		status            int
		where, code       string
	}{
		{"the only scope", b.tenant, `{"filename":"f"}`, 200, "uploads acme/f", ""},
		{"a folder's path", b.tenant, `{"filename":"f","metadata":{"relativePath":"/folder/f"}}`, 200, "uploads acme/folder/f", ""},
		{"a prefix inside", b.tenant, `{"filename":"f","metadata":{"prefix":"acme/in"}}`, 200, "uploads acme/in/f", ""},
		{"another tenant's prefix", b.tenant, `{"filename":"f","metadata":{"prefix":"globex"}}`, 403, "", "AccessDenied"},
		{"no prefix", b.tenant, `{"filename":"f","metadata":{"prefix":""}}`, 403, "", "AccessDenied"},
		{"another bucket", b.tenant, `{"filename":"f","metadata":{"bucket":"media"}}`, 403, "", "AccessDenied"},
		{"a path that leads out", b.tenant, `{"filename":"../globex/f"}`, 400, "", "InvalidArgument"},
		{"a folder that leads out", b.tenant, `{"filename":"f","metadata":{"relativePath":"a/../../globex/f"}}`, 400, "", "InvalidArgument"},
		{"no name", b.tenant, `{"filename":""}`, 400, "", "InvalidArgument"},
		{"no JSON", b.tenant, `filename=f`, 400, "", "InvalidArgument"},
		{"a header in the metadata", b.tenant, `{"filename":"f","metadata":{"a\r\nx-amz-acl":"public-read"}}`, 400, "", "InvalidArgument"},
		{"a header in the type", b.tenant, `{"filename":"f","type":"a\r\nx-amz-acl: public-read"}`, 400, "", "InvalidArgument"},
		{"several scopes, none named", two, `{"filename":"f"}`, 400, "", "InvalidArgument"},
		{"a bucket with one prefix", two, `{"filename":"f","metadata":{"bucket":"media"}}`, 200, "media m/f", ""},
		{"a bucket with two prefixes", two, `{"filename":"f","metadata":{"bucket":"uploads"}}`, 400, "", "InvalidArgument"},
		{"bucket and prefix named", two, `{"filename":"f","metadata":{"bucket":"uploads","prefix":"two/b/"}}`, 200, "uploads two/b/f", ""},
		{"read only", b.bearer("reader", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:GetObject"}}), `{"filename":"f"}`, 403, "", "AccessDenied"},
		{"no token of ours", "none", `{"filename":"f"}`, 403, "", "InvalidAccessKeyId"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := b.s3.count("create")
			a := b.page("POST", "multipart", test.body, test.token)
			if test.status != 200 {
				if r := said[apiError](t, a, test.status); r.Code != test.code || b.s3.count("create") != before {
					t.Errorf("%+v, and storage was asked %d times", r, b.s3.count("create")-before)
				}
				return
			}
			u := said[createdUpload](t, a, 200)
			if got := u.Bucket + " " + u.Key; got != test.where {
				t.Errorf("%s, want %s", got, test.where)
			}
		})
	}
}

func TestAnUploadIsItsTenantsForUppyToo(t *testing.T) {
	b := newBench(t)
	u := said[createdUpload](t, b.page("POST", "multipart", `{"filename":"f"}`), 200)
	b.want(b.part("acme/f", u.UploadID, 1, "hello"), 200, "")
	other := b.bearer("globex", auth.Scope{Bucket: "uploads", Prefix: "globex", Actions: []string{"s3:*"}})
	for _, call := range []struct{ method, path, body string }{
		{"GET", "multipart/%s?key=acme/f", ""},
		{"GET", "multipart/%s?key=acme/f&bucket=uploads", ""},
		{"GET", "multipart/%s?key=globex/f", ""},
		{"POST", "multipart/%s/complete?key=acme/f", `{"parts":[{"PartNumber":1,"ETag":"x"}]}`},
		{"DELETE", "multipart/%s?key=acme/f", ""},
	} {
		a := b.page(call.method, fmt.Sprintf(call.path, u.UploadID), call.body, other)
		if a.status != 403 && a.status != 404 {
			t.Errorf("%s %s: %d %s", call.method, call.path, a.status, a.body)
		}
	}
	if b.record(u.UploadID).State != "open" {
		t.Error("somebody else's call moved the upload")
	}
}

func TestATokenOfSeveralBucketsFindsItsUpload(t *testing.T) {
	b := newBench(t)
	all := []string{"s3:*"}
	token := b.bearer("two", auth.Scope{Bucket: "media", Prefix: "m", Actions: all}, auth.Scope{Bucket: "uploads", Prefix: "m", Actions: all})
	for _, who := range []string{token, b.operator()} {
		u := said[createdUpload](t, b.page("POST", "multipart", `{"filename":"f","metadata":{"bucket":"uploads","prefix":"m"}}`, who), 200)
		said[[]uploadedPart](t, b.page("GET", "multipart/"+u.UploadID+"?key=m/f", "", who), 200)
		if a := b.page("GET", "multipart/"+u.UploadID+"?key=m/g", "", who); a.status != 404 && a.status != 403 {
			t.Errorf("another key's id: %d %s", a.status, a.body)
		}
	}
}

func TestALongCompleteIsJSONForUppy(t *testing.T) {
	b := newBench(t)
	b.gateway.patience = time.Nanosecond
	u := said[createdUpload](t, b.page("POST", "multipart", `{"filename":"f"}`), 200)
	b.want(b.part("acme/f", u.UploadID, 1, "hello"), 200, "")
	at := "multipart/" + u.UploadID + "/complete?key=acme/f"
	refusal := said[apiError](t, b.page("POST", at, `{"parts":[{"PartNumber":1,"ETag":"\"no\""}]}`), 200)
	if refusal.Error == nil || refusal.Error.Code != "InvalidPart" {
		t.Errorf("a refusal inside a 200: %+v", refusal) // Uppy tells it from success by its error alone
	}
	done := said[completedObject](t, b.page("POST", at, fmt.Sprintf(`{"parts":[{"PartNumber":1,"ETag":%q}]}`, etagOf([]byte("hello")))), 200)
	if done.Key != "acme/f" || done.Size != 5 || done.Location == "" {
		t.Errorf("%+v", done)
	}
}

func TestThePartListOfUppy(t *testing.T) {
	b := newBench(t)
	u := said[createdUpload](t, b.page("POST", "multipart", `{"filename":"f"}`), 200)
	at := "multipart/" + u.UploadID + "/complete?key=acme/f"
	for body, code := range map[string]string{
		`{}`:                                                  "InvalidArgument",
		`{"parts":[]}`:                                        "InvalidArgument",
		`{"parts":[{"PartNumber":0}]}`:                        "InvalidArgument",
		`{"parts":[{"PartNumber":10001}]}`:                    "InvalidArgument",
		`{"parts":[{"PartNumber":"1"}]}`:                      "InvalidArgument",
		`{"parts":[{"PartNumber":1,"ETag":1`:                  "InvalidArgument",
		`{"parts":[{"PartNumber":1}]}`:                        "InvalidPart",
		`{"parts":[{"PartNumber":1,"ETag":"</ETag><Part>"}]}`: "InvalidPart",
	} {
		if r := said[apiError](t, b.page("POST", at, body), 400); r.Code != code {
			t.Errorf("%s: %+v, want %s", body, r, code)
		}
	}
}

func TestUnknownCompanionCalls(t *testing.T) {
	b := newBench(t)
	for call, status := range map[string]int{"PUT multipart": 405, "GET multipart": 405, "GET nothing": 404, "GET multipart/a/b/c": 404, "DELETE multipart/": 404, "GET ": 404} {
		method, path, _ := strings.Cut(call, " ")
		if a := b.page(method, path, ""); a.status != status {
			t.Errorf("%s: %d %s", call, a.status, a.body)
		}
	}
	key := b.issue(auth.Grant{Class: auth.ClassKey, Tenant: "acme", Subject: "acme", Scopes: []auth.Scope{{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}}}, TTL: time.Hour})
	if a := b.page("POST", "multipart", `{"filename":"f"}`, key); a.status != 403 {
		t.Errorf("a key as bearer: %d %s", a.status, a.body)
	}
}
