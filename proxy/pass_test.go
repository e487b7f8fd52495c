package proxy

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"partway/auth"
)

func TestCopiesAreAuthorisedAtBothEnds(t *testing.T) {
	b := newBench(t)
	b.tenant = b.bearer("acme",
		auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:PutObject"}},
		auth.Scope{Bucket: "inbox", Prefix: "shared", Actions: []string{"s3:GetObject"}})
	id := b.create(key)
	tests := []struct {
		source string
		status int
		code   string
		sent   string // x-amz-copy-source that storage got
	}{
		{"/inbox/shared/a%20b", 200, "", "inbox/shared/a%20b"},
		{"inbox/shared/a+b", 200, "", "inbox/shared/a%2Bb"},
		{"/inbox/other/x", 403, "AccessDenied", ""},
		{"/uploads/acme/x", 403, "AccessDenied", ""}, // may be written, not read
		{"/inbox/shared/x?versionId=1", 403, "AccessDenied", ""},
		{"/inbox/shared/../other/x", 400, "InvalidArgument", ""},
		{"/inbox/shared/%2e%2e/other/x", 400, "InvalidArgument", ""},
		{"/inbox/shared/x?acl", 400, "InvalidArgument", ""},
		{"/inbox", 400, "InvalidArgument", ""},
		{"", 400, "InvalidArgument", ""},
	}
	for _, tt := range tests {
		for _, path := range []string{"/uploads/acme/copy", "/uploads/" + key + "?partNumber=1&uploadId=" + id} {
			before := b.s3.count("put") + b.s3.count("part")
			a := b.ask("PUT", path, "", "x-amz-copy-source", tt.source, "x-amz-content-sha256", "UNSIGNED-PAYLOAD")
			if a.status != tt.status || a.code() != tt.code {
				t.Errorf("%s from %q: %d %s", path, tt.source, a.status, a.body)
			}
			asked := b.s3.count("put")+b.s3.count("part") > before
			if asked != (tt.sent != "") || asked && b.s3.last().Get("x-amz-copy-source") != tt.sent {
				t.Errorf("%s from %q: storage got %q", path, tt.source, b.s3.last().Get("x-amz-copy-source"))
			}
		}
	}
}

func TestACopyOfWhatIsTooLargeIsRefused(t *testing.T) {
	b := newBench(t)
	b.want(b.ask("PUT", "/uploads/acme/big", "hello"), 200, "")
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.MaxObjectBytes = 4 }))
	b.want(b.ask("PUT", "/uploads/acme/copy", "", "x-amz-copy-source", "/uploads/acme/big"), 400, "EntityTooLarge")
}

func TestDeleteObjectsAuthorisesEachKey(t *testing.T) {
	b := newBench(t)
	for _, k := range []string{"a", "b"} {
		b.want(b.ask("PUT", "/uploads/acme/"+k, k), 200, "")
	}
	body := func(keys ...string) string {
		return "<Delete><Object><Key>" + strings.Join(keys, "</Key></Object><Object><Key>") + "</Key></Object></Delete>"
	}
	a := b.ask("POST", "/uploads?delete", body("acme/a", "other/x", "acme/../other/y"))
	var said deleteResult
	if err := xml.Unmarshal([]byte(a.body), &said); err != nil || a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if len(said.Deleted) != 1 || said.Deleted[0].Key != "acme/a" || len(said.Error) != 2 || said.Error[0].Code != "AccessDenied" || said.Error[1].Code != "InvalidArgument" {
		t.Errorf("%s", a.body)
	}
	if i := slices.IndexFunc(b.s3.bodies, func(s string) bool { return strings.Contains(s, "other") }); i >= 0 {
		t.Errorf("storage was asked to delete %s", b.s3.bodies[i])
	}
	a = b.ask("POST", "/uploads?delete", body("other/x"))
	if a.status != 200 || !strings.Contains(a.body, "AccessDenied") {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.want(b.ask("POST", "/uploads?delete", "<Delete></Delete>"), 400, "MalformedXML")
	b.want(b.ask("POST", "/uploads?delete", body("acme/b")), 200, "")
	if n := b.s3.count("deletes"); n != 2 {
		t.Errorf("storage was asked %d times", n)
	}
}

// Clients of a bucket with versions are told which were copied, and which of their deletes made a marker.
func TestVersionsInAnswers(t *testing.T) {
	b := played(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("x-amz-copy-source-version-id", "from")
		w.Header().Set("x-amz-version-id", "to")
		if r.Method == http.MethodPost {
			fmt.Fprint(w, "<DeleteResult><Deleted><Key>a</Key><VersionId>v</VersionId><DeleteMarker>false</DeleteMarker></Deleted>"+
				"<Deleted><Key>b</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m</DeleteMarkerVersionId></Deleted><Deleted><Key>c</Key></Deleted></DeleteResult>")
			return
		}
		fmt.Fprint(w, "<CopyObjectResult><ETag>e</ETag></CopyObjectResult>")
	})
	a := b.ask("PUT", "/uploads/copy", "", "x-amz-copy-source", "/uploads/x?versionId=from")
	if a.status != 200 || a.header.Get("x-amz-copy-source-version-id") != "from" || a.header.Get("x-amz-version-id") != "to" {
		t.Errorf("%d %v", a.status, a.header)
	}
	a = b.ask("POST", "/uploads?delete", "<Delete><Object><Key>a</Key><VersionId>v</VersionId></Object><Object><Key>b</Key></Object><Object><Key>c</Key></Object></Delete>")
	want := "<Deleted><Key>a</Key><VersionId>v</VersionId><DeleteMarker>false</DeleteMarker></Deleted>" +
		"<Deleted><Key>b</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m</DeleteMarkerVersionId></Deleted><Deleted><Key>c</Key></Deleted>"
	if a.status != 200 || !strings.Contains(a.body, want) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestOperationsThatArePassedOn(t *testing.T) {
	b := newBench(t)
	b.want(b.ask("PUT", "/uploads/acme/x?tagging", "<Tagging/>"), 200, "")
	if b.s3.count("tagging") != 1 || b.s3.bodies[len(b.s3.bodies)-1] != "<Tagging/>" {
		t.Errorf("storage got %q", b.s3.bodies)
	}
	b.want(b.ask("PUT", "/uploads/other/x?tagging", "<Tagging/>"), 403, "AccessDenied")
	// What belongs to a whole bucket is not for who may touch a part of it.
	b.want(b.ask("PUT", "/uploads?tagging", "<Tagging/>"), 403, "AccessDenied")
	b.want(b.ask("DELETE", "/uploads", ""), 403, "AccessDenied")
	if b.s3.count("tagging") != 1 || b.s3.count("delete") != 0 {
		t.Error("storage was asked")
	}
}

func TestABodyInMemoryIsHeldToItsHash(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	a := b.ask("POST", "/uploads/"+key+"?uploadId="+id, partList("hello"), "x-amz-content-sha256", strings.Repeat("0", 64))
	b.want(a, 400, "XAmzContentSHA256Mismatch")
	if b.s3.count("complete") != 0 {
		t.Error("storage was asked")
	}
}
