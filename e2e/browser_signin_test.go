package e2e

import (
	"strings"

	"partway/e2e/harness"
)

// testSignIn: authorization code with PKCE at a provider that holds the page to it, and what the page says when that leads nowhere.
func testSignIn(w *person) {
	c, err := harness.NewCertificates(w.t.TempDir())
	if err != nil {
		w.t.Fatal(err)
	}
	provider := harness.StartProvider(w.t, c)
	name := w.name
	w = w.on(w.t, harness.Setup{StorageTLS: c, Config: []string{
		"web: {sign_in: {issuer: \"" + provider.URL + "\", client_id: " + harness.Audience + "}}",
		"auth:",
		"  issuers: [{issuer: \"" + provider.URL + "\", audiences: [" + harness.Audience + "]}]",
		"  roles:",
		"    - {name: staff, issuer: \"" + provider.URL + "\", conditions: {sub: \"staff:*\"}, tenant: \"claim:owner\", max_ttl: 15m,",
		"       scope: [{bucket: " + harness.Bucket + ", prefix: \"${tenant}/\", actions: [\"s3:*\"]}]}",
	}}).named(w.t, name)
	browser := map[string]any{"context": map[string]any{"ignoreHTTPSErrors": true}} // it does not know the CA

	var away struct {
		Said   string
		Usable bool
	}
	w.run("providerAway", &away, browser) // which knows of no page that it would answer
	if !strings.Contains(away.Said, "cannot be reached, or does not answer this page") || !away.Usable {
		w.t.Errorf("%+v", away)
	}

	provider.LetIn(w.origin, []string{"/_partway/", "/_partway/console"}, map[string]string{name: "staff:ada", "guest": "guest:bob"})
	args, content := w.file("film.bin", 2*partSize+1)
	args["person"] = name
	args["refused"] = []string{"guest", name + ", asked by somebody else", "Do not sign in"}
	var got struct {
		Refused map[string]struct{ Said, Address string }
		Console string
		Receipt receipt
		URLs    []string
		Kept    string
		CSP     []string
	}
	w.run("signInAtProvider", &got, args, browser)
	w.holds("film.bin", content)
	for link, want := range map[string]string{
		"guest":                           "does not let you in here (invalid token: it is genuine, but its claims meet the conditions of no role). ",
		name + ", asked by somebody else": "was not begun by this page",
		"Do not sign in":                  "was refused: nobody wanted to",
		"link":                            "was not begun by this page",
	} {
		if r := got.Refused[link]; !strings.Contains(r.Said, want) || strings.Contains(r.Address, "?") {
			w.t.Errorf("%s: at %s the page says %q, want %q in it", link, r.Address, r.Said, want)
		}
	}
	if got.Console != w.origin+"/_partway/console#/traffic" {
		w.t.Errorf("who comes back is at %s", got.Console)
	}
	if r := got.Receipt; r["Key"] != harness.Bucket+"/"+name+"/film.bin" {
		w.t.Errorf("receipt: %v", r)
	}
	for _, u := range append(got.URLs, got.Kept) {
		if strings.Contains(u, "eyJ") { // how a JWT begins
			w.t.Errorf("a token is in %s", u)
		}
	}
	if len(got.CSP) > 0 {
		w.t.Errorf("refused by the policy: %v", got.CSP)
	}
	events, err := w.Gateway.Events(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range events {
		if e.Operation == "CompleteMultipartUpload" && e.Subject == "staff/staff:ada" {
			return
		}
	}
	w.t.Errorf("no Complete by whom the provider vouched for among %v", events)
}
