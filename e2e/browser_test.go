package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"partway/e2e/harness"
)

// The pages, in Debian's Chromium, in front of the built gateway and versitygw. PARTWAY_E2E_LONG makes the files larger.

const partSize = 8 << 20 // of the uploader, for files below 78 GiB

// pages is what all tests of the pages share: one browser, one gateway whose CORS lets the applications in, one line to it.
type pages struct {
	*harness.Stack
	browser *harness.Browser
	tap     *harness.Tap
	origin  string // of the gateway's pages
	size    int    // of the file that is uploaded
}

func newPages(t *testing.T) *pages {
	t.Helper()
	size := 64<<20 + 12345
	if os.Getenv("PARTWAY_E2E_LONG") != "" {
		size = 256<<20 + 12345
	}
	browser, err := harness.StartBrowser(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := browser.Close(); err != nil {
			t.Errorf("the browser: %v", err)
		}
	})
	return (&pages{browser: browser, size: size}).on(t, harness.Setup{})
}

// on is the same browser in front of a gateway of its own.
func (p *pages) on(t *testing.T, setup harness.Setup) *pages {
	t.Helper()
	browser := p.browser
	p = &pages{browser: browser, size: p.size}
	setup.Config = append(setup.Config, "cors: {origins: [\""+browser.AppOrigin+"\"]}")
	var err error
	p.Stack = ownStack(t, setup)
	if p.tap, err = harness.NewTap(p.Gateway.Addr()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.tap.Cut)
	p.origin = "http://localhost:" + p.tap.Port()
	resp, err := http.Get(p.Gateway.Endpoint + "/_partway/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(page), `<div id="root">`) {
		t.Fatalf("the gateway has no pages: run `make web` (%v)", err)
	}
	if os.Getenv("PARTWAY_E2E_STORAGE") == "minio" {
		return p // which lets every page in, and keeps no rules of buckets
	}
	_, err = p.Storage.PutBucketCors(t.Context(), &s3.PutBucketCorsInput{Bucket: aws.String(harness.Bucket), CORSConfiguration: &types.CORSConfiguration{CORSRules: []types.CORSRule{{
		AllowedOrigins: []string{p.origin, browser.AppOrigin}, AllowedMethods: []string{"PUT"}, AllowedHeaders: []string{"*"}, ExposeHeaders: []string{"ETag"},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// person is who sits at the page of one test: a tenant of their own.
type person struct {
	*pages
	t     *testing.T
	name  string
	token harness.Token
	scope harness.Scope
	do    map[string]func() error // what the scenario may ask for, by name
}

func (p *pages) person(t *testing.T, limits ...func(*harness.Scope)) *person {
	t.Helper()
	return p.named(t, strings.ToLower(strings.ReplaceAll(t.Name()[strings.LastIndex(t.Name(), "/")+1:], "_", "-")), limits...)
}

// named is a person of a tenant with this name.
func (p *pages) named(t *testing.T, name string, limits ...func(*harness.Scope)) *person {
	t.Helper()
	who := &person{pages: p, t: t, name: name}
	who.scope = harness.Scope{Bucket: harness.Bucket, Prefix: who.name + "/", Actions: []string{"s3:*"}}
	for _, limit := range limits {
		limit(&who.scope)
	}
	who.token = who.issue()
	who.do = map[string]func() error{
		"cut":     func() error { p.ToStorage.Cut(); p.tap.Cut(); return nil },
		"mend":    func() error { return errors.Join(p.ToStorage.Mend(), p.tap.Mend()) },
		"release": func() error { p.ToStorage.Release(); return nil },
	}
	return who
}

func (w *person) issue() harness.Token {
	w.t.Helper()
	token, err := w.Gateway.Issue(w.t.Context(), w.name, "bearer", time.Hour, w.scope)
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// run runs a scenario and then holds records, events and storage against each other.
func (w *person) run(scenario string, result any, args ...map[string]any) {
	w.t.Helper()
	control := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if err := w.do[strings.TrimPrefix(r.URL.Path, "/")](); err != nil {
			http.Error(out, err.Error(), http.StatusInternalServerError)
		}
	}))
	defer control.Close()
	all := map[string]any{"gateway": w.origin, "token": w.token.Bearer, "control": control.URL, "bucket": harness.Bucket, "prefix": w.name + "/"}
	for _, more := range args {
		for name, value := range more {
			all[name] = value
		}
	}
	if err := w.browser.Do(withTimeout(w.t, 3*time.Minute), scenario, all, result); err != nil {
		w.t.Fatalf("%v\ngateway's log:\n%s", err, w.Gateway.Tail())
	}
	differences, err := (&harness.Tenant{Stack: w.Stack, Name: w.name, Prefix: w.name + "/"}).Reconcile(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, d := range differences {
		w.t.Error(d)
	}
}

// file makes a file of n bytes and says its name, and what the object of it must be.
func (w *person) file(name string, n int) (map[string]any, []byte) {
	w.t.Helper()
	path, content := file(w.t, n)
	named := filepath.Join(filepath.Dir(path), name)
	if err := os.Rename(path, named); err != nil {
		w.t.Fatal(err)
	}
	return map[string]any{"files": []string{named}, "names": []string{name}}, content
}

// holds demands that storage has the object, byte for byte.
func (w *person) holds(key string, content []byte) {
	w.t.Helper()
	object, err := w.Storage.GetObject(w.t.Context(), &s3.GetObjectInput{Bucket: aws.String(harness.Bucket), Key: aws.String(w.name + "/" + key)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer object.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, object.Body)
	if want := sha256.Sum256(content); err != nil || n != int64(len(content)) || [32]byte(sum.Sum(nil)) != want {
		w.t.Errorf("%s: storage holds %d bytes (%v) that are not the %d of the file", key, n, err, len(content))
	}
}

// grants is how often each part number was signed for.
func (w *person) grants() map[int]int {
	w.t.Helper()
	events, err := w.Gateway.Events(w.t.Context(), w.name)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[int]int{}
	for _, e := range events {
		if e.Operation == "UploadPart" && e.Outcome == "granted" && e.Road == "sign" {
			out[e.PartNumber]++
		}
	}
	return out
}

// progress is what a row of the uploader says about itself.
type progress struct {
	State                   string
	Landed, Resent, Skipped int64
}

// resumed demands that what had landed before the upload stood still was not sent again.
func (w *person) resumed(before, end progress) {
	w.t.Helper()
	if before.Landed == 0 || end.State != "done" || end.Resent != 0 || end.Skipped < (before.Landed-1)*partSize { // one of them may be the last, which is short
		w.t.Errorf("%+v had landed; at the end %+v", before, end)
	}
	once := int64(0)
	for _, n := range w.grants() {
		if n == 1 {
			once++
		}
	}
	if once < before.Landed {
		w.t.Errorf("%d parts had landed, but only %d were granted once: %v", before.Landed, once, w.grants())
	}
}

// standStill keeps storage from receiving the whole file: more than what is in flight, so that something lands, and less than all.
func (w *person) standStill() { w.ToStorage.HoldAfter(6*partSize + 1<<20) }

func TestThePages(t *testing.T) {
	p := newPages(t)
	scenario := func(name string, test func(*person), limits ...func(*harness.Scope)) {
		t.Run(name, func(t *testing.T) { test(p.person(t, limits...)) })
	}
	scenario("a file goes straight to storage", testUpload)
	scenario("a pause costs nothing that has landed", testPause)
	scenario("a reload costs nothing that has landed", testReload)
	scenario("a lost network costs nothing that has landed", testNetworkCut)
	scenario("a dropped folder keeps its paths", testDroppedFolder)
	scenario("a dropped file is opened again after a reload", testDroppedAndReloaded)
	scenario("thousands of files have a bounded list", testManyFiles)
	scenario("a URL that ran out is signed again", testExpired)
	scenario("a revoked token stops an upload that another continues", testRevoked)
	scenario("two tabs do not send one file twice", testTwoTabs)
	scenario("a name that is taken is asked about", testNameTaken)
	scenario("refusals are said in sentences", testRefusals)
	scenario("people sign in at a provider", testSignIn)
	scenario("the console shows it", testConsole)
	scenario("thousands of uploads have pages", testManyUploads)
	scenario("axe finds nothing serious", testAccessible)
	scenario("uppy 5", func(w *person) { testUppy(w, "uppy5") })
	scenario("uppy 6", func(w *person) { testUppy(w, "uppy6") })
}

type receipt map[string]string

func testUpload(w *person) {
	args, content := w.file("big film.bin", w.size)
	empty, _ := w.file("empty.bin", 0)
	args["files"] = append(args["files"].([]string), empty["files"].([]string)...)
	args["names"] = append(args["names"].([]string), "empty.bin")
	var got struct {
		Receipts map[string]receipt
		URLs     []string
		Kept     string
		CSP      []string
	}
	up, toStorage := w.tap.Up(), w.ToStorage.Up()
	w.run("upload", &got, args)
	w.holds("big film.bin", content)
	w.holds("empty.bin", nil)
	if up = w.tap.Up() - up; up > 128<<10 {
		w.t.Errorf("the gateway was sent %d bytes", up)
	}
	if toStorage = w.ToStorage.Up() - toStorage; toStorage < int64(w.size) || toStorage > int64(w.size)+int64(w.size)/50 {
		w.t.Errorf("storage was sent %d bytes for a file of %d", toStorage, w.size)
	}
	r := got.Receipts["big film.bin"]
	if !strings.Contains(r["summary"], "checksum confirmed by storage") || r["Key"] != harness.Bucket+"/"+w.name+"/big film.bin" || !strings.HasPrefix(r["Checksum"], "CRC64NVME ") || r["Upload id"] == "" || r["ETag"] == "" {
		w.t.Errorf("receipt: %v", r)
	}
	for _, u := range got.URLs {
		if strings.Contains(u, w.token.Bearer) {
			w.t.Errorf("the token is in %s", u)
		}
	}
	if strings.Contains(got.Kept, w.token.Bearer) || len(got.CSP) > 0 {
		w.t.Errorf("kept: %s; refused by the policy: %v", got.Kept, got.CSP)
	}
	for n, times := range w.grants() {
		if times > 1 && n > 1 { // both files have a part 1
			w.t.Errorf("part %d was granted %d times", n, times)
		}
	}
}

func testPause(w *person) {
	args, content := w.file("film.bin", w.size)
	w.standStill()
	var got struct{ Before, End progress }
	w.run("pauseAndResume", &got, args)
	w.holds("film.bin", content)
	w.resumed(got.Before, got.End)
}

func testReload(w *person) {
	args, content := w.file("film.bin", w.size)
	other, otherContent := w.file("film.bin", w.size) // of the same name and size
	otherContent[0] ^= 1
	if err := os.WriteFile(other["files"].([]string)[0], otherContent, 0o600); err != nil {
		w.t.Fatal(err)
	}
	args["other"] = other["files"].([]string)[0]
	w.standStill()
	var got struct {
		Warned, Other string
		Before, End   progress
	}
	w.run("reload", &got, args)
	w.holds("film.bin", content)
	w.resumed(got.Before, got.End)
	if got.Warned != "beforeunload" || !strings.Contains(got.Other, "another file") {
		w.t.Errorf("%+v", got)
	}
}

func testNetworkCut(w *person) {
	args, content := w.file("film.bin", w.size)
	w.standStill()
	var got struct {
		Said        string
		Receipt     receipt
		Before, End progress
	}
	w.run("networkCut", &got, args)
	w.holds("film.bin", content)
	if !strings.Contains(got.Said, "Waiting for the network") || got.End.State != "done" || got.Before.Landed == 0 {
		w.t.Errorf("%+v", got)
	}
	once := int64(0)
	for _, n := range w.grants() {
		if n == 1 {
			once++
		}
	}
	if once < got.Before.Landed {
		w.t.Errorf("%d parts had landed, but only %d were granted once", got.Before.Landed, once)
	}
}

func testExpired(w *person) {
	w = w.on(w.t, harness.Setup{Config: []string{"transfer: {url_ttl: 4s}"}}).person(w.t)
	args, content := w.file("film.bin", 2*partSize)
	var got struct {
		Answers []string
		End     progress
	}
	w.run("expired", &got, args)
	w.holds("film.bin", content)
	if len(got.Answers) != 1 || got.Answers[0] != "refused" || got.End.State != "done" {
		w.t.Errorf("%+v", got)
	}
	again := 0
	for _, n := range w.grants() {
		again += n - 1
	}
	if again == 0 {
		w.t.Error("no part was granted again")
	}
}

// revoke ends a token and waits until the gateway knows.
func (w *person) revoke(token harness.Token) error {
	if err := w.Gateway.Revoke(context.WithoutCancel(w.t.Context()), token.ID); err != nil {
		return err
	}
	return harness.Await(withTimeout(w.t, 10*time.Second), "the revocation", nil, func() bool {
		req, err := http.NewRequest(http.MethodGet, w.Gateway.Endpoint+"/_partway/whoami", nil)
		if err != nil {
			return false
		}
		req.Header.Set("Authorization", "Bearer "+token.Bearer)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusBadRequest
	})
}

func testRevoked(w *person) {
	args, content := w.file("film.bin", w.size)
	w.standStill()
	second := w.issue()
	args["second"] = second.Bearer
	w.do["revoke"] = func() error {
		defer w.ToStorage.Release() // the parts under way may end once the gateway knows
		return w.revoke(w.token)
	}
	var got struct {
		Said        string
		Before, End progress
	}
	w.run("revoked", &got, args)
	w.holds("film.bin", content)
	w.resumed(got.Before, got.End)
	if !strings.Contains(got.Said, "was revoked") {
		w.t.Errorf("the page says %q", got.Said)
	}
}

func testTwoTabs(w *person) {
	args, content := w.file("film.bin", w.size)
	w.standStill()
	var got struct {
		Said string
		End  progress
	}
	w.run("twoTabs", &got, args)
	w.holds("film.bin", content)
	if !strings.Contains(got.Said, "Another tab") || got.End.State != "done" {
		w.t.Errorf("%+v", got)
	}
	for n, times := range w.grants() {
		if times > 1 {
			w.t.Errorf("part %d was granted %d times", n, times)
		}
	}
}

func testNameTaken(w *person) {
	args, content := w.file("note.txt", 1000)
	var r receipt
	w.run("nameTaken", &r, args)
	w.holds("note.txt", content)
	w.holds("note (2).txt", content)
	if r["Key"] != harness.Bucket+"/"+w.name+"/note (2).txt" {
		w.t.Errorf("%v", r)
	}
}

func testRefusals(w *person) {
	args, _ := w.file("note.txt", 1000)
	ended := w.issue()
	if err := w.revoke(ended); err != nil {
		w.t.Fatal(err)
	}
	read := w.scope
	read.Actions = []string{"s3:GetObject"}
	reader, err := w.Gateway.Issue(w.t.Context(), w.name, "bearer", time.Hour, read)
	if err != nil {
		w.t.Fatal(err)
	}
	small := w.scope
	small.MaxObjectBytes = 999
	limited, err := w.Gateway.Issue(w.t.Context(), w.name, "bearer", time.Hour, small)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args map[string]any
		want string
	}{
		{"no token", map[string]any{"token": "abc"}, "no token of this gateway"},
		{"revoked", map[string]any{"token": ended.Bearer}, "was revoked"},
		{"may not upload", map[string]any{"token": reader.Bearer}, "allows no uploads"},
		{"too large", map[string]any{"token": limited.Bearer, "files": args["files"], "names": args["names"]}, "exceeds the 999 bytes that your token allows"},
	} {
		var got string
		w.run("refused", &got, test.args)
		if !strings.Contains(got, test.want) {
			w.t.Errorf("%s: the page says %q, want %q in it", test.name, got, test.want)
		}
	}
}

func testAccessible(w *person) {
	w = w.named(w.t, "acme")
	other := w.named(w.t, "globex")
	for i := range 4 {
		other.relayed(fmt.Sprintf("export/2026-11-%02d.csv", 20+i), 400_000*(i+1))
	}
	other.begun("archive/scans.tar", 30, 11)
	args, _ := w.file("Interview, first cut.mov", 3<<20)
	more, _ := w.file("notes.txt", 2000)
	args["files"] = append(args["files"].([]string), more["files"].([]string)...)
	args["names"] = append(args["names"].([]string), "notes.txt")
	args["shots"] = os.Getenv("PARTWAY_E2E_SHOTS")
	args["operator"], args["open"] = w.Gateway.Operator, w.begun("rushes/day one.mov", 40, 23)
	w.begun("rushes/day two.mov", 12, 12)
	w.relayed("invoice.pdf", 300_000)
	var got map[string][]string
	w.run("accessible", &got, args)
	if len(got) == 0 {
		w.t.Error("nothing was looked at")
	}
	for page, findings := range got {
		for _, f := range findings {
			w.t.Errorf("%s: %s", page, f)
		}
	}
}

// begun is an upload that a program began and did not end: parts granted, of which some landed, as it reports. Returns the key's last segment.
func (w *person) begun(key string, granted, landed int) string {
	w.t.Helper()
	var made struct{ Key, UploadID string }
	w.ask("POST", "/_partway/s3/multipart", map[string]any{"filename": filepath.Base(key), "metadata": map[string]string{"relativePath": key}}, &made)
	about := map[string]any{"bucket": harness.Bucket, "key": made.Key, "upload_id": made.UploadID}
	var parts, reports []map[string]any
	for n := 1; n <= granted; n++ {
		parts = append(parts, map[string]any{"part_number": n, "content_length": partSize})
		if n <= landed {
			reports = append(reports, map[string]any{"part_number": n, "content_length": partSize, "etag": `"0123456789abcdef0123456789abcdef"`})
		}
	}
	about["parts"] = parts
	w.ask("POST", "/_partway/sign", about, nil)
	about["parts"] = reports
	w.ask("POST", "/_partway/landed", about, nil)
	return filepath.Base(key)
}

// relayed puts an object through the gateway.
func (w *person) relayed(key string, n int) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, w.Gateway.Endpoint+"/"+harness.Bucket+"/"+w.name+"/"+key, strings.NewReader(strings.Repeat("x", n)))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "an-old-script/1.0")
	w.send(req, nil)
}

// ask makes one call of the JSON API as the person.
func (w *person) ask(method, path string, in, out any) {
	w.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.Gateway.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	w.send(req, out)
}

func (w *person) send(req *http.Request, out any) {
	w.t.Helper()
	req.Header.Set("Authorization", "Bearer "+w.token.Bearer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s %s: %s %s %v", req.Method, req.URL.Path, resp.Status, said, err)
	}
	if out != nil {
		if err := json.Unmarshal(said, out); err != nil {
			w.t.Fatalf("%s: %v", said, err)
		}
	}
}

func testConsole(w *person) {
	args, _ := w.file("film.bin", 2*partSize)
	args["open"], args["operator"], args["tenant"] = w.begun("draft.bin", 5, 3), w.Gateway.Operator, w.name
	w.relayed("old.txt", 100)
	var got struct {
		Rows             int
		Events, Tabs     []string
		Strip, OpenStrip string
		Relays           []string
		Issued           string
		Before, After    int
	}
	w.run("inTheConsole", &got, args)
	if got.Rows != 2 || !slices.Equal(got.Tabs, []string{"Uploads", "Traffic"}) {
		w.t.Errorf("a tenant sees %d uploads and the tabs %v", got.Rows, got.Tabs)
	}
	for _, operation := range []string{"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"} {
		if !slices.Contains(got.Events, operation) {
			w.t.Errorf("no %s among %v", operation, got.Events)
		}
	}
	if got.Strip != "2 parts landed" || got.OpenStrip != "3 landed, 2 granted and under way, of parts up to number 5" {
		w.t.Errorf("strips: %q, %q", got.Strip, got.OpenStrip)
	}
	if !slices.ContainsFunc(got.Relays, func(row string) bool {
		return strings.Contains(row, w.name) && strings.Contains(row, "an-old-script/1.0") && strings.Contains(row, "did not ask")
	}) {
		w.t.Errorf("who relays: %q", got.Relays)
	}
	if got.Before != http.StatusOK || got.After == http.StatusOK {
		w.t.Errorf("the token that was issued: %d, revoked: %d", got.Before, got.After)
	}
}

func testUppy(w *person, app string) {
	args, content := w.file("film.bin", w.size)
	args["app"] = app
	var got struct {
		Successful []map[string]any
		Failed     []string
	}
	up := w.tap.Up()
	w.run("uppy", &got, args)
	if len(got.Failed) > 0 || len(got.Successful) != 1 {
		w.t.Fatalf("%+v", got)
	}
	w.holds("film.bin", content)
	if up = w.tap.Up() - up; up > 128<<10 {
		w.t.Errorf("the gateway was sent %d bytes", up)
	}
	if location := fmt.Sprint(got.Successful[0]["location"]); !strings.HasPrefix(location, w.origin+"/"+harness.Bucket+"/") {
		w.t.Errorf("location %s", location)
	}
}
