package proxy

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func withPages(b *bench) {
	b.gateway.Pages = fs.FS(fstest.MapFS{
		"index.html":      {Data: []byte("the uploader")},
		"console.html":    {Data: []byte("the console")},
		"assets/a-1.js":   {Data: []byte("code")},
		"README":          {Data: []byte("readme")},
		"assets/sub/b.js": {Data: []byte("more")},
	})
}

func TestThePagesNeedNoToken(t *testing.T) {
	b := newBench(t)
	withPages(b)
	for path, want := range map[string]string{
		"":              "text/html; charset=utf-8 no-cache the uploader",
		"console":       "text/html; charset=utf-8 no-cache the console",
		"assets/a-1.js": "text/javascript; charset=utf-8 public, max-age=31536000, immutable code",
	} {
		a := b.ask("GET", "/_partway/"+path, "", "Authorization", "")
		if got := a.header.Get("Content-Type") + " " + a.header.Get("Cache-Control") + " " + a.body; a.status != 200 || got != want {
			t.Errorf("%s: %d %s", path, a.status, got)
		}
	}
	for _, path := range []string{"index.html", "console.html", "assets", "assets/", "assets/../index.html", "assets/none.js", "../go.mod", "%2e%2e/go.mod", "console/"} {
		if a := b.ask("GET", "/_partway/"+path, "", "Authorization", ""); a.status != 403 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

// A page that runs what it was not served with would have the token of whoever signs in.
func TestThePagesRunWhatTheGatewayServesAndNothingElse(t *testing.T) {
	b := newBench(t)
	withPages(b)
	b.gateway.SignIn = SignIn{Issuer: "https://id.example.com/realm", ClientID: "pages", Scope: "openid", Origins: []string{"https://id.example.com"}}
	for _, path := range []string{"", "console", "assets/a-1.js"} {
		a := b.ask("GET", "/_partway/"+path, "", "Authorization", "")
		policy := map[string]string{}
		for _, d := range strings.Split(a.header.Get("Content-Security-Policy"), ";") {
			name, sources, _ := strings.Cut(strings.TrimSpace(d), " ")
			policy[name] = sources
		}
		want := map[string]string{
			"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "worker-src": "'self'", "img-src": "'self'",
			"connect-src": "'self' " + b.s3.URL + " https://id.example.com", "base-uri": "'none'", "form-action": "'none'", "frame-ancestors": "'none'",
		}
		if len(policy) != len(want) {
			t.Errorf("%s: %v", path, policy)
		}
		for name, sources := range want {
			if policy[name] != sources {
				t.Errorf("%s: %s is %q, want %q", path, name, policy[name], sources)
			}
		}
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Referrer-Policy") != "no-referrer" || a.header.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
}

func TestPagesAreToldWhereToSignIn(t *testing.T) {
	b := newBench(t)
	if a := b.ask("GET", "/_partway/web.json", "", "Authorization", ""); a.status != 200 || strings.TrimSpace(a.body) != "{}" {
		t.Errorf("%d %s", a.status, a.body)
	}
	b.gateway.SignIn = SignIn{Issuer: "https://id.example.com", ClientID: "pages", Scope: "openid", Origins: []string{"https://id.example.com"}}
	var told struct{ OIDC map[string]string }
	if err := json.Unmarshal([]byte(b.ask("GET", "/_partway/web.json", "", "Authorization", "").body), &told); err != nil || len(told.OIDC) != 3 ||
		told.OIDC["issuer"] != "https://id.example.com" || told.OIDC["client_id"] != "pages" || told.OIDC["scope"] != "openid" {
		t.Errorf("%v %v", told, err)
	}
}

func TestOnAVirtualHostThePagesAreObjects(t *testing.T) {
	b := newBench(t)
	withPages(b)
	r := &Request{Method: "GET", Path: "/_partway/", OnBase: false}
	if b.gateway.openRoute(r) != nil {
		t.Error("a bucket's key is answered with a page")
	}
}
