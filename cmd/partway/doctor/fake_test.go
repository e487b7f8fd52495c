package doctor

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// weaknesses are what a storage may get wrong. The zero value is one that keeps all that Partway promises.
type weaknesses struct {
	ahead                       time.Duration // its clock before ours
	noDate, noBucket            bool
	refuses, breaks             string // an operation that is answered 403, or 500; "as-put " before it: by the put identity alone
	putMay, getMay              []string
	copies, copiesParts         bool // an unsigned x-amz-copy-source is honoured
	acl, queryACL, tagging      bool // taken unsigned, to effect
	metadata, ignoresAdditions  bool // the latter: taken unsigned, to no effect
	takesLonger                 bool
	keepsFraming, refusesStream bool
	verifiesNothing             bool
	versions                    bool
	keepsObjects                bool // DELETE does nothing
}

// fake is an S3 server with weaknesses, in memory. That signatures are right is shown against real servers: here who signed is all that counts.
type fake struct {
	weaknesses
	mu      sync.Mutex
	objects map[string][]object // versions by path, newest last
	uploads map[string][]byte   // the one part of each, by id
	touched []string            // every key that was asked for
	serial  int
}

type object struct {
	version string
	deleted bool
	body    []byte
	header  http.Header
}

func newFake(t *testing.T, w weaknesses) (*fake, string) {
	t.Helper()
	f := &fake{weaknesses: w, objects: map[string][]object{}, uploads: map[string][]byte{}}
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	return f, s.URL
}

func operation(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case r.URL.Path == "/":
		return "service"
	case q.Has("list-type"):
		return "list"
	case q.Has("uploads"):
		return "create"
	case q.Has("partNumber"):
		return "part"
	case q.Has("uploadId"):
		return map[string]string{"GET": "parts", "POST": "complete", "DELETE": "abort"}[r.Method]
	}
	return strings.ToLower(r.Method)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Date", time.Now().Add(f.ahead).UTC().Format(http.TimeFormat))
	if f.noDate {
		w.Header()["Date"] = nil
	}
	status, code, out := f.answer(w.Header(), r, body, operation(r))
	if status >= 400 {
		out = []byte("<Error><Code>" + code + "</Code></Error>")
	}
	w.WriteHeader(status)
	_, _ = w.Write(out)
}

func (f *fake) answer(h http.Header, r *http.Request, body []byte, op string) (status int, code string, out []byte) {
	q := r.URL.Query()
	asPut := strings.Contains(r.Header.Get("Authorization")+q.Get("X-Amz-Credential"), "PUT-ID/")
	asGet := strings.Contains(r.Header.Get("Authorization")+q.Get("X-Amz-Credential"), "GET-ID/")
	is := func(of string) bool { return of == op || asPut && of == "as-put "+op || asGet && of == "as-get "+op }
	if op != "service" && op != "list" {
		f.touched = append(f.touched, r.URL.Path)
	}
	switch {
	case is(f.refuses):
		return 403, "AccessDenied", nil
	case is(f.breaks):
		return 500, "InternalError", nil
	case op == "service":
		return 200, "", nil
	case f.noBucket:
		return 404, "NoSuchBucket", nil
	case asPut && q.Get("X-Amz-Signature") == "" && !slices.Contains(f.putMay, op), asGet && op != "get" && !slices.Contains(f.getMay, op):
		return 403, "AccessDenied", nil
	}
	path := r.URL.Path
	if q.Get("X-Amz-Signature") != "" && r.Method == http.MethodPut {
		if status, code := f.judge(r, q, int64(len(body))); status != 0 {
			return status, code, nil
		}
	}
	switch op {
	case "list":
		var keys strings.Builder
		for path, v := range f.objects {
			if key := strings.TrimPrefix(path, "/uploads/"); len(v) > 0 && !v[len(v)-1].deleted && strings.HasPrefix(key, q.Get("prefix")) {
				keys.WriteString("<Contents><Key>" + key + "</Key></Contents>")
			}
		}
		return 200, "", []byte("<ListBucketResult>" + keys.String() + "</ListBucketResult>")
	case "create":
		f.serial++
		f.uploads[fmt.Sprint(f.serial)] = nil
		return 200, "", fmt.Appendf(nil, "<InitiateMultipartUploadResult><UploadId>%d</UploadId></InitiateMultipartUploadResult>", f.serial)
	case "part":
		if source := r.Header.Get("x-amz-copy-source"); source != "" && f.copiesParts {
			body = f.newest(source).body
		}
		f.uploads[q.Get("uploadId")] = body
		return 200, "", nil
	case "parts":
		return 200, "", fmt.Appendf(nil, `<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>"e"</ETag><Size>%d</Size></Part></ListPartsResult>`, len(f.uploads[q.Get("uploadId")]))
	case "complete":
		f.store(path, object{body: f.uploads[q.Get("uploadId")]})
		delete(f.uploads, q.Get("uploadId"))
		return 200, "", []byte("<CompleteMultipartUploadResult/>")
	case "abort":
		delete(f.uploads, q.Get("uploadId"))
		return 204, "", nil
	case "put":
		return f.put(r, path, body)
	case "delete":
		f.delete(path, q.Get("versionId"))
		return 204, "", nil
	}
	return f.get(h, path, q)
}

// judge is what becomes of a signed URL's PUT that carries more, or something else, than was signed.
func (f *fake) judge(r *http.Request, q url.Values, length int64) (status int, code string) {
	source := r.Header.Get("x-amz-copy-source") != ""
	acl := r.Header.Get("x-amz-acl") != ""
	for _, c := range []struct{ tried, taken bool }{
		{source && q.Has("partNumber"), f.copiesParts || f.ignoresAdditions},
		{source && !q.Has("partNumber"), f.copies || f.ignoresAdditions},
		{acl && !q.Has("acl"), f.acl || f.ignoresAdditions},
		{q.Has("acl"), f.queryACL},
		{r.Header.Get("x-amz-tagging") != "", f.tagging || f.ignoresAdditions},
		{r.Header.Get("x-amz-meta-partway-doctor") != "", f.metadata || f.ignoresAdditions},
		{length != int64(len(body)), f.takesLonger},
		{strings.Contains(r.URL.Path, "/victim/"), slices.Contains(f.putMay, "leave the prefix")},
	} {
		if c.tried && !c.taken {
			return 403, "AccessDenied"
		}
	}
	return 0, ""
}

func (f *fake) put(r *http.Request, path string, body []byte) (status int, code string, out []byte) {
	payload, checksum := r.Header.Get("x-amz-content-sha256"), r.Header.Get("x-amz-checksum-crc32")
	if strings.HasPrefix(payload, "STREAMING-") {
		if f.refusesStream {
			return 501, "NotImplemented", nil
		}
		if !f.keepsFraming {
			line, rest, _ := bytes.Cut(body, []byte("\r\n"))
			n, _ := strconv.ParseInt(string(line), 16, 64)
			_, checksum, _ = strings.Cut(string(rest[n:]), "x-amz-checksum-crc32:")
			checksum = strings.TrimSpace(checksum)
			body = rest[:n]
		}
	}
	sum := sha256.Sum256(body)
	if !f.verifiesNothing && (checksum != "" && checksum != crc(body) || len(payload) == 64 && payload != hex.EncodeToString(sum[:])) {
		return 400, "BadDigest", nil
	}
	if source := r.Header.Get("x-amz-copy-source"); source != "" && f.copies {
		body = f.newest(source).body
	}
	o := object{body: body, header: http.Header{}}
	if f.metadata {
		o.header = r.Header
	}
	if f.acl && r.URL.RawQuery != "" || f.queryACL && r.URL.Query().Has("acl") {
		o.header.Set("acl", r.Header.Get("x-amz-acl"))
	}
	if f.tagging {
		o.header.Set("tagging", r.Header.Get("x-amz-tagging"))
	}
	f.store(path, o)
	return 200, "", nil
}

func (f *fake) store(path string, o object) {
	f.serial++
	if o.version = fmt.Sprint("v", f.serial); !f.versions {
		f.objects[path] = nil
	}
	f.objects[path] = append(f.objects[path], o)
}

func (f *fake) newest(path string) object {
	if v := f.objects[path]; len(v) > 0 {
		return v[len(v)-1]
	}
	return object{deleted: true}
}

func (f *fake) delete(path, version string) {
	switch {
	case f.keepsObjects:
	case version != "":
		f.objects[path] = slices.DeleteFunc(f.objects[path], func(o object) bool { return o.version == version })
	case f.versions:
		f.store(path, object{deleted: true})
	default:
		delete(f.objects, path)
	}
}

func (f *fake) get(h http.Header, path string, q url.Values) (status int, code string, out []byte) {
	o := f.newest(path)
	if f.versions && o.version != "" {
		h.Set("x-amz-version-id", o.version)
	}
	switch {
	case o.deleted:
		if o.version != "" {
			h.Set("x-amz-delete-marker", "true")
		}
		return 404, "NoSuchKey", nil
	case q.Has("acl"):
		return 200, "", []byte(strings.ReplaceAll(o.header.Get("acl"), "public-read", "http://acs.amazonaws.com/groups/global/AllUsers"))
	case q.Has("tagging"):
		return 200, "", []byte(o.header.Get("tagging"))
	}
	if v := o.header.Get("x-amz-meta-partway-doctor"); v != "" {
		h.Set("x-amz-meta-partway-doctor", v)
	}
	return 200, "", o.body
}
