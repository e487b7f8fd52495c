package partway

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestHTTPSIsFollowedAnywhereButToTheGateway(t *testing.T) {
	for location, follows := range map[string]bool{
		"https://s3.example.net/b/k?X-Amz-Signature=0": true,
		"https://S3.example.net:9000/b/k":              true,
		"http://s3.example.net/b/k":                    false,
		"ftp://s3.example.net/b/k":                     false,
		"//s3.example.net/b/k":                         false,
		"/b/k":                                         false,
		"":                                             false,
		"https://":                                     false,
		"https://s3.example.net:port/b/k":              false,
		"https://[::1/b/k":                             false,
		"https://key:secret@s3.example.net/b/k":        false,
		"https://key@s3.example.net/b/k":               false,
		"https://s3.example.net/b/k#fragment":          false,
		"https://gw.example.com/b/k":                   false,
		"https://GW.example.com:9000/b/k":              false,
		"https://bucket.gw.example.com/k":              false,
		"https://example.com/b/k":                      false,
		"https://notgw.example.com/b/k":                true,
	} {
		checkTarget(t, location, nil, follows)
	}
}

func TestNamedStorageAloneIsFollowed(t *testing.T) {
	var allowed []string
	for _, text := range []string{"https://s3.example.net", "http://127.0.0.1:9000"} {
		o, err := parseOrigin(text)
		if err != nil {
			t.Fatal(err)
		}
		allowed = append(allowed, o)
	}
	for location, follows := range map[string]bool{
		"https://s3.example.net/b/k":     true,
		"https://s3.example.net:443/b/k": true,
		"http://127.0.0.1:9000/b/k":      true,
		"http://s3.example.net/b/k":      false,
		"https://s3.example.net:444/b/k": false,
		"https://other.example.net/b/k":  false,
		"http://127.0.0.1:9001/b/k":      false,
	} {
		checkTarget(t, location, allowed, follows)
	}
}

func checkTarget(t *testing.T, location string, allowed []string, follows bool) {
	t.Helper()
	u, err := target(location, "gw.example.com", allowed)
	if follows && (err != nil || u.String() != location) || !follows && err == nil {
		t.Errorf("%q: %v, %v; want it followed: %v", location, u, err, follows)
	}
}

func TestStorageIsNamedByAURL(t *testing.T) {
	for _, text := range []string{"s3.example.com", "s3://bucket", "https://", "", "https://[::1"} {
		if o, err := parseOrigin(text); err == nil {
			t.Errorf("%q: %s", text, o)
		}
	}
}

func signed(names string, sent http.Header) (http.Header, error) {
	return headers(&url.URL{RawQuery: "X-Amz-SignedHeaders=" + url.QueryEscape(names)}, sent)
}

func TestStorageIsSentWhatIsSignedAndNoMore(t *testing.T) {
	sent := http.Header{}
	for name, value := range map[string]string{
		"Content-Length": "5", "X-Amz-Checksum-Crc32": "NhCmhg==", "X-Amz-Date": "now", "Authorization": "secret", "X-Amz-Security-Token": "secret", "User-Agent": "aws",
		"Amz-Sdk-Request": "attempt=1", "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "X-Partway-Transfer": "redirect", "Cookie": "secret",
	} {
		sent.Set(name, value)
	}
	got, err := signed("content-length;host;x-amz-checksum-crc32;x-amz-date", sent)
	names := slices.Sorted(maps.Keys(got))
	if err != nil || strings.Join(names, " ") != "X-Amz-Checksum-Crc32 X-Amz-Date" || got.Get("X-Amz-Date") != "now" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRedirectsThatWouldBeAnotherRequestAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		signed string
		sent   []string
	}{
		"a secret":                {"authorization;host", []string{"Authorization"}},
		"a session token":         {"host;X-Amz-Security-Token", []string{"X-Amz-Security-Token"}},
		"a cookie":                {"cookie;host", []string{"Cookie"}},
		"a proxy's secret":        {"host;proxy-authorization", []string{"Proxy-Authorization"}},
		"loses the type":          {"host", []string{"Content-Type"}},
		"loses the MD5":           {"host", []string{"Content-Md5"}},
		"loses the condition":     {"host", []string{"If-None-Match"}},
		"loses metadata":          {"host", []string{"X-Amz-Meta-A"}},
		"loses the checksum":      {"host", []string{"X-Amz-Checksum-Sha256"}},
		"asks for what is not":    {"host;x-amz-acl", nil},
		"names no signed headers": {"", nil},
	} {
		sent := http.Header{}
		for _, name := range c.sent {
			sent.Set(name, "value")
		}
		if got, err := signed(c.signed, sent); err == nil {
			t.Errorf("%s: storage would be sent %v", name, got)
		}
	}
	if got, err := headers(&url.URL{RawQuery: "X-Amz-SignedHeaders=host&X-Amz-SignedHeaders=host"}, http.Header{}); err == nil {
		t.Errorf("signed headers named twice: %v", got)
	}
}
