package proxy

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeS3 is a storage server in the test's hand: real HTTP, S3's multipart semantics, and a fault for any request. That signatures and payloads are
// right is shown elsewhere, against real servers.
type fakeS3 struct {
	gone string // path of the one bucket that is not there

	URL string

	now  func() time.Time // nil: time.Now
	busy chan struct{}    // told of each request that hides or is slow
	free chan struct{}    // closed when those may go on

	mu      sync.Mutex
	uploads map[string]*fakeUpload
	objects map[string]fakeObject
	seen    []string // "METHOD sub-resource", in order
	fault   func(op string) fault
	serial  int
	staying *fakeUpload

	completed []string    // ids of uploads that became objects
	headers   http.Header // of the last request
	bodies    []string
}

type fakeUpload struct {
	path      string
	parts     map[int][]byte
	initiated time.Time
}

type fakeObject struct {
	body     []byte
	etag     string
	modified time.Time
}

// fault is what happens to one request.
type fault int

const (
	none            fault = iota
	cut                   // the connection breaks before storage does anything
	cutAfter              // storage does it, and the connection breaks before the answer
	refuse                // 403 AccessDenied
	fail                  // 500 InternalError
	errorIn200            // 200 with <Error>
	hide                  // storage shows the upload no more until free is closed, and then does it
	slow                  // storage does it, and answers when free is closed
	condition             // 412 PreconditionFailed
	cutAfterStaying       // as cutAfter, and storage shows the upload to the next who asks
	talk                  // 403, and its <Error> repeats what was signed, as S3's SignatureDoesNotMatch does
)

func newFakeS3(t *testing.T) *fakeS3 {
	f := &fakeS3{uploads: map[string]*fakeUpload{}, objects: map[string]fakeObject{}, busy: make(chan struct{}, 100), free: make(chan struct{})}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

// faults makes each further request named op meet the next of list; when it is used up all goes well. Other requests go well.
func (f *fakeS3) faults(op string, list ...fault) {
	f.mu.Lock()
	f.fault = nil
	f.mu.Unlock()
	f.alsoFaults(op, list...)
}

// alsoFaults is faults that leaves those of other requests.
func (f *fakeS3) alsoFaults(op string, list ...fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	others := f.fault
	f.fault = func(got string) fault {
		switch {
		case got == op && len(list) > 0:
			next := list[0]
			list = list[1:]
			return next
		case got != op && others != nil:
			return others(got)
		}
		return none
	}
}

// count is how often op was asked.
func (f *fakeS3) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, s := range f.seen {
		if s == op {
			n++
		}
	}
	return n
}

// release lets those go on that hide or are slow; reset makes the next ones wait again.
func (f *fakeS3) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.free:
	default:
		close(f.free)
	}
}

func (f *fakeS3) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.free = make(chan struct{})
}

func (f *fakeS3) clock() time.Time {
	if f.now == nil {
		return time.Now()
	}
	return f.now()
}

func (f *fakeS3) object(path string) (fakeObject, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o, ok := f.objects[path]
	return o, ok
}

func (f *fakeS3) last() http.Header {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.headers
}

func (f *fakeS3) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.uploads)
}

func fakeOp(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Has("uploads"):
		return map[string]string{"GET": "uploads", "POST": "create"}[r.Method]
	case q.Has("delete"):
		return "deletes"
	case q.Has("tagging"):
		return "tagging"
	case q.Has("partNumber"):
		return "part"
	case q.Has("uploadId"):
		return map[string]string{"GET": "parts", "POST": "complete", "DELETE": "abort"}[r.Method]
	}
	return strings.ToLower(r.Method)
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the gateway cut its body short: nothing is stored
	}
	op := fakeOp(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen, f.headers, f.bodies = append(f.seen, op), r.Header, append(f.bodies, string(body))
	happens := none
	if f.fault != nil {
		happens = f.fault(op)
	}
	switch happens {
	case cut:
		panic(http.ErrAbortHandler)
	case refuse:
		fakeError(w, http.StatusForbidden, "AccessDenied")
		return
	case fail:
		fakeError(w, http.StatusInternalServerError, "InternalError")
		return
	case errorIn200:
		fakeError(w, http.StatusOK, "InvalidPart")
		return
	case talk:
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message><SignatureProvided>%s</SignatureProvided><StringToSign>%[1]s</StringToSign></Error>", r.Header.Get("Authorization"))
		return
	case condition:
		fakeError(w, http.StatusPreconditionFailed, "PreconditionFailed")
		return
	case cutAfterStaying:
		f.staying, w = f.uploads[r.URL.Query().Get("uploadId")], httptest.NewRecorder()
		defer panic(http.ErrAbortHandler)
	case hide:
		id := r.URL.Query().Get("uploadId")
		hidden := f.uploads[id]
		delete(f.uploads, id)
		free := f.free
		f.mu.Unlock()
		f.busy <- struct{}{}
		<-free
		f.mu.Lock()
		if hidden != nil {
			f.uploads[id] = hidden
		}
	case slow:
		f.do(w, r, op, body)
		free := f.free
		f.mu.Unlock()
		f.busy <- struct{}{}
		<-free
		f.mu.Lock()
		return
	case cutAfter:
		w = httptest.NewRecorder()
		defer panic(http.ErrAbortHandler)
	}
	f.do(w, r, op, body)
}

func fakeError(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>storage says %s</Message><Endpoint>evil.example</Endpoint></Error>", code, code)
}

func etagOf(b []byte) string { s := md5.Sum(b); return `"` + hex.EncodeToString(s[:]) + `"` }

func (f *fakeS3) do(w http.ResponseWriter, r *http.Request, op string, body []byte) {
	id := r.URL.Query().Get("uploadId")
	u := f.uploads[id]
	if op == "parts" && u == nil {
		u, f.staying = f.staying, nil
	}
	if id != "" && (u == nil || u.path != r.URL.Path) {
		fakeError(w, http.StatusNotFound, "NoSuchUpload")
		return
	}
	if r.Method == http.MethodHead && strings.Count(r.URL.Path, "/") == 1 {
		if r.URL.Path == f.gone {
			w.WriteHeader(http.StatusNotFound)
		}
		return
	}
	switch op {
	case "create":
		f.serial++
		id = fmt.Sprintf("storage-upload-%d", f.serial)
		f.uploads[id] = &fakeUpload{r.URL.Path, map[int][]byte{}, f.clock()}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case "uploads":
		fmt.Fprint(w, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>")
		for id, u := range f.uploads {
			if key, ok := strings.CutPrefix(u.path, r.URL.Path+"/"); ok && strings.HasPrefix(key, r.URL.Query().Get("prefix")) {
				fmt.Fprintf(w, "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>", key, id, u.initiated.UTC().Format(time.RFC3339Nano))
			}
		}
		fmt.Fprint(w, "</ListMultipartUploadsResult>")
	case "part":
		n, _ := strconv.Atoi(r.URL.Query().Get("partNumber"))
		u.parts[n] = body
		w.Header().Set("ETag", etagOf(body))
	case "parts":
		fmt.Fprintf(w, "<ListPartsResult><UploadId>%s</UploadId><IsTruncated>false</IsTruncated>", id)
		numbers := []int{}
		for n := range u.parts {
			numbers = append(numbers, n)
		}
		slices.Sort(numbers)
		for _, n := range numbers {
			fmt.Fprintf(w, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><Size>%d</Size></Part>", n, etagOf(u.parts[n]), len(u.parts[n]))
		}
		fmt.Fprint(w, "</ListPartsResult>")
	case "complete":
		var list struct{ Part []listedPart }
		if err := xml.Unmarshal(body, &list); err != nil {
			fakeError(w, http.StatusBadRequest, "MalformedXML")
			return
		}
		var object []byte
		for _, p := range list.Part {
			if etagOf(u.parts[p.PartNumber]) != p.ETag {
				fakeError(w, http.StatusBadRequest, "InvalidPart")
				return
			}
			object = append(object, u.parts[p.PartNumber]...)
		}
		delete(f.uploads, id)
		f.completed, f.seen = append(f.completed, id), append(f.seen, "made "+id)
		etag := multipartETag(list.Part)
		f.objects[r.URL.Path] = fakeObject{object, etag, f.clock()}
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><Location>http://storage/x</Location><ETag>%s</ETag></CompleteMultipartUploadResult>", etag)
	case "deletes":
		var list deleteList
		if err := xml.Unmarshal(body, &list); err != nil {
			fakeError(w, http.StatusBadRequest, "MalformedXML")
			return
		}
		fmt.Fprint(w, "<DeleteResult>")
		for _, o := range list.Object {
			delete(f.objects, r.URL.Path+"/"+o.Key)
			fmt.Fprintf(w, "<Deleted><Key>%s</Key></Deleted>", o.Key)
		}
		fmt.Fprint(w, "</DeleteResult>")
	case "abort":
		delete(f.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case "put":
		f.objects[r.URL.Path] = fakeObject{body, etagOf(body), f.clock()}
		w.Header().Set("ETag", etagOf(body))
	case "get", "head":
		o, ok := f.objects[r.URL.Path]
		if !ok {
			fakeError(w, http.StatusNotFound, "NoSuchKey")
			return
		}
		w.Header().Set("ETag", o.etag)
		w.Header().Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
		if op == "get" {
			_, _ = w.Write(o.body)
		}
	case "delete":
		delete(f.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	}
}
