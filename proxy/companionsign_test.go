package proxy

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"partway/auth"
)

// putSigned sends a body as a page does: to the URL, with the headers that came with it.
func (b *bench) putSigned(u signedURL, body string) *http.Response {
	b.t.Helper()
	req, err := http.NewRequest(u.Method, u.URL, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, value := range u.Headers {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		b.t.Fatalf("%s: %s", u.URL, resp.Status)
	}
	return resp
}

func TestUppysPartsGoToStorageAndNotHere(t *testing.T) {
	b := newBench(t)
	u := said[createdUpload](t, b.page("POST", "multipart", `{"filename":"f"}`), 200)
	signed := said[signedURL](t, b.page("GET", "multipart/"+u.UploadID+"/1?key=acme/f", ""), 200)
	if signed.Method != "PUT" || signed.Expires < 290 || signed.Expires > 300 || !strings.HasPrefix(signed.URL, b.s3.URL+"/uploads/acme/f?") {
		t.Fatalf("%+v", signed)
	}
	etag := b.putSigned(signed, "hello").Header.Get("ETag")
	batch := said[struct{ PresignedURLs map[string]string }](t, b.page("GET", "multipart/"+u.UploadID+"/batch?key=acme/f&partNumbers=2,3", ""), 200)
	if len(batch.PresignedURLs) != 2 || !strings.Contains(batch.PresignedURLs["3"], "partNumber=3") {
		t.Errorf("%v", batch)
	}
	said[completedObject](t, b.page("POST", "multipart/"+u.UploadID+"/complete?key=acme/f", fmt.Sprintf(`{"parts":[{"PartNumber":1,"ETag":%q}]}`, etag)), 200)
	var roads []string
	for _, e := range b.events() {
		if e.Operation == "UploadPart" {
			roads = append(roads, fmt.Sprint(e.PartNumber, e.Road, e.Outcome))
		}
	}
	if want := []string{"1signgranted", "2signgranted", "3signgranted"}; !slices.Equal(roads, want) {
		t.Errorf("grants %v, want %v", roads, want)
	}
}

func TestAGrantToAPageIsRecordedBeforeItIsAnswered(t *testing.T) {
	b := newBench(t)
	u := said[createdUpload](t, b.page("POST", "multipart", `{"filename":"f"}`), 200)
	b.store.trailIsAway.Store(true)
	defer b.store.trailIsAway.Store(false)
	for _, call := range []string{"multipart/" + u.UploadID + "/1?key=acme/f", "params?filename=g"} {
		if a := b.page("GET", call, ""); a.status != 503 || strings.Contains(a.body, "X-Amz-Signature") {
			t.Errorf("%s: %d %s", call, a.status, a.body)
		}
	}
}

func TestAURLForAPageNeedsItsScope(t *testing.T) {
	b := newBench(t)
	u := said[createdUpload](t, b.page("POST", "multipart", `{"filename":"f"}`), 200)
	all := []string{"s3:*"}
	for _, test := range []struct {
		name, call string
		scope      auth.Scope
	}{
		{"another prefix", "multipart/%s/1?key=acme/f", auth.Scope{Bucket: "uploads", Prefix: "globex", Actions: all}},
		{"another prefix, bucket named", "multipart/%s/1?key=acme/f&bucket=uploads", auth.Scope{Bucket: "uploads", Prefix: "globex", Actions: all}},
		{"another key's id", "multipart/%s/1?key=acme/g", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: all}},
		{"read only", "multipart/%s/1?key=acme/f", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:GetObject"}}},
		{"relay only", "multipart/%s/1?key=acme/f", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: all, Transfer: []string{"relay"}}},
		{"no such part", "multipart/%s/0?key=acme/f", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: all}},
		{"no part", "multipart/%s/one?key=acme/f", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: all}},
		{"a batch elsewhere", "multipart/%s/batch?partNumbers=1&key=acme/f&bucket=uploads", auth.Scope{Bucket: "uploads", Prefix: "globex", Actions: all}},
		{"a whole file elsewhere", "params?filename=f&metadata[prefix]=acme", auth.Scope{Bucket: "uploads", Prefix: "globex", Actions: all}},
		{"a whole file that leads out", "params?filename=../acme/f", auth.Scope{Bucket: "uploads", Prefix: "globex", Actions: all}},
		{"a whole file, read only", "params?filename=f", auth.Scope{Bucket: "uploads", Prefix: "globex", Actions: []string{"s3:GetObject"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			call := test.call
			if strings.Contains(call, "%s") {
				call = fmt.Sprintf(call, u.UploadID)
			}
			if a := b.page("GET", call, "", b.bearer("globex", test.scope)); a.status < 400 || a.status >= 500 || strings.Contains(a.body, "X-Amz-Signature") {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

func TestAWholeFileOfUppyIsOnePut(t *testing.T) {
	b := newBench(t)
	u := said[signedURL](t, b.page("GET", "params?"+url.Values{"filename": {"a.txt"}, "type": {"text/plain"}, "metadata[camera]": {"x"}}.Encode(), ""), 200)
	if u.Fields["key"] != "acme/a.txt" || u.Headers["content-type"] != "text/plain" || u.Headers["x-amz-meta-camera"] != "x" {
		t.Fatalf("%+v", u)
	}
	b.putSigned(u, "hello")
	if o, _ := b.s3.object("/uploads/acme/a.txt"); string(o.body) != "hello" || b.s3.last().Get("Content-Type") != "text/plain" {
		t.Errorf("storage has %q with %v", o.body, b.s3.last())
	}
}

func TestALimitNeedsTheSizeOfAWholeFile(t *testing.T) {
	b := newBench(t)
	put := []string{"s3:PutObject"}
	for name, scope := range map[string]auth.Scope{
		"object":    {Bucket: "uploads", Prefix: "acme", Actions: put, MaxObjectBytes: 10},
		"part":      {Bucket: "uploads", Prefix: "acme", Actions: put, MaxPartBytes: 10, MaxObjectBytes: 10},
		"by period": {Bucket: "uploads", Prefix: "acme", Actions: put, MaxTenantBytes: 10},
	} {
		t.Run(name, func(t *testing.T) {
			token := b.bearer("acme", scope)
			if e := said[apiError](t, b.page("GET", "params?filename=f", "", token), 411); e.Code != "MissingContentLength" {
				t.Errorf("%+v", e)
			}
			if a := b.page("GET", "params?filename=f&metadata[size]=11", "", token); a.status < 400 || a.status > 499 {
				t.Errorf("more than the limit: %d %s", a.status, a.body)
			}
			if a := b.page("GET", "params?filename=f&metadata[size]=-1", "", token); a.status != 400 {
				t.Errorf("less than nothing: %d %s", a.status, a.body)
			}
			u := said[signedURL](t, b.page("GET", "params?filename=f&metadata[size]=10", "", token), 200)
			if !strings.Contains(u.URL, "content-length") {
				t.Errorf("the size is not signed: %s", u.URL)
			}
		})
	}
}

func TestTheTutorialsFourCalls(t *testing.T) {
	b := newBench(t)
	type call map[string]any
	post := func(name string, c call) answer { return b.page("POST", name, string(mustJSON(c))) }
	started := said[createdUpload](t, post("start-upload", call{"fileName": "movie.mp4", "contentType": "video/mp4"}), 200)
	if started.Key != "acme/movie.mp4" || b.s3.last().Get("Content-Type") != "video/mp4" {
		t.Fatalf("%+v", started)
	}
	part := call{"fileName": "movie.mp4", "uploadId": started.UploadID, "partNumber": 1}
	got := said[struct {
		URL       string
		SignedURL string `json:"signedUrl"`
	}](t, post("get-signed-url", part), 200)
	if e := said[apiError](t, post("upload-part", part), 400); e.Code != "InvalidPart" {
		t.Errorf("a part that has not landed: %+v", e)
	}
	part["ETag"] = b.putSigned(signedURL{Method: "PUT", URL: got.URL}, "hello").Header.Get("ETag")
	if p := said[uploadedPart](t, post("upload-part", part), 200); p.Size != 5 || got.SignedURL != got.URL {
		t.Errorf("%+v", p)
	}
	part["ETag"] = "another"
	if e := said[apiError](t, post("upload-part", part), 400); e.Code != "InvalidPart" {
		t.Errorf("another ETag: %+v", e)
	}
	done := said[completedObject](t, post("complete-upload", call{"key": started.Key, "uploadId": started.UploadID}), 200)
	if done.Size != 5 || done.Key != started.Key {
		t.Errorf("%+v", done)
	}
	if o, _ := b.s3.object("/uploads/acme/movie.mp4"); string(o.body) != "hello" {
		t.Errorf("storage has %q", o.body)
	}
}
