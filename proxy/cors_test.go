package proxy

import (
	"net/http"
	"strings"
	"testing"
)

const pageOrigin = "https://app.example.com"

func newPageBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.gateway.CORSOrigins = []string{"https://other.example.com", pageOrigin}
	return b
}

func TestABrowserMayAskBeforeItHasCredentials(t *testing.T) {
	b := newPageBench(t)
	for _, path := range []string{"/uploads/acme/k?uploads", "/uploads/acme/k?partNumber=1&uploadId=x", "/_partway/s3/multipart", "/_partway/sign"} {
		a := b.ask("OPTIONS", path, "", "Authorization", "", "Origin", pageOrigin, "Access-Control-Request-Method", "PUT",
			"Access-Control-Request-Headers", "authorization,x-amz-checksum-crc32")
		if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != pageOrigin || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "PUT") ||
			a.header.Get("Access-Control-Allow-Headers") != "authorization,x-amz-checksum-crc32" || a.header.Get("Vary") != "Origin" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	if got := b.s3.seen; len(got) != 0 {
		t.Errorf("storage was asked: %v", got)
	}
}

func TestOnlyAnOriginNamedExactlyMayReadAnswers(t *testing.T) {
	b := newPageBench(t)
	for origin, allowed := range map[string]bool{
		pageOrigin:                                 true,
		"https://app.example.com:8443":             false,
		"http://app.example.com":                   false,
		"https://app.example.com.evil.test":        false,
		"https://evil-app.example.com":             false,
		"https://APP.example.com":                  false,
		"https://other.example.com, " + pageOrigin: false,
		"null": false,
		"*":    false,
	} {
		preflight := b.ask("OPTIONS", "/uploads/acme/k", "", "Authorization", "", "Origin", origin, "Access-Control-Request-Method", "PUT")
		answer := b.ask("GET", "/_partway/whoami", "", "Origin", origin)
		refusal := b.ask("GET", "/uploads/acme/none", "", "Origin", origin)
		for what, a := range map[string]answerTo{"preflight": {preflight, 204}, "answer": {answer, 200}, "refusal": {refusal, 404}} {
			h := a.header
			if allowed && (a.status != a.good || h.Get("Access-Control-Allow-Origin") != origin) {
				t.Errorf("%s to %s: %d %v", what, origin, a.status, h)
			}
			if !allowed && (what == "preflight" && a.status != 403 || h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Methods") != "") {
				t.Errorf("%s to %s: %d %v", what, origin, a.status, h)
			}
			if h.Get("Access-Control-Allow-Credentials") != "" || h.Get("Vary") != "Origin" {
				t.Errorf("%s to %s: %v", what, origin, h)
			}
		}
	}
}

type answerTo struct {
	answer
	good int
}

func TestAPageMayReadWhatAnUploadNeeds(t *testing.T) {
	b := newPageBench(t)
	id := b.create("acme/k")
	a := b.ask("PUT", "/uploads/acme/k?partNumber=1&uploadId="+id, "hello", "Origin", pageOrigin)
	b.want(a, 200, "")
	exposed := a.header.Get("Access-Control-Expose-Headers")
	for _, name := range []string{"etag", "x-amz-request-id", "x-partway-transfer"} {
		if !strings.Contains(exposed, name) {
			t.Errorf("%s is not exposed: %q", name, exposed)
		}
	}
	if a.header.Get("ETag") == "" || a.header.Get("Access-Control-Allow-Origin") != pageOrigin {
		t.Errorf("%v", a.header)
	}
}

func TestWithoutOriginsNothingIsSaidAboutThem(t *testing.T) {
	b := newBench(t)
	a := b.ask("GET", "/_partway/whoami", "", "Origin", pageOrigin)
	b.want(a, 200, "")
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Vary"} {
		if v := a.header.Get(name); v != "" {
			t.Errorf("%s: %s", name, v)
		}
	}
	if a := b.ask("OPTIONS", "/uploads/acme/k", "", "Origin", pageOrigin, "Access-Control-Request-Method", "PUT"); a.status != http.StatusForbidden {
		t.Errorf("preflight: %d", a.status)
	}
}

func TestAHeaderListOfAPreflightHoldsNamesOnly(t *testing.T) {
	b := newPageBench(t)
	a := b.ask("OPTIONS", "/uploads/acme/k", "", "Origin", pageOrigin, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", `a"b`)
	if a.status != 400 || a.header.Get("Access-Control-Allow-Headers") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
}
