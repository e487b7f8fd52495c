package harness

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// StorageFaults stands between the gateway and storage, knows which S3 operation each request is, and lets one of them go wrong in one of
// the ways in which a request can.
type StorageFaults struct {
	Addr string

	target string
	server *http.Server
	client *http.Transport

	mu     sync.Mutex
	points []*storageFault
}

type storageFault struct {
	step  string
	nth   int // calls until the fault; 0: it was reached
	fault string
	crash func() // ends the gateway
}

// NewStorageFaults listens on a free loopback port in front of the storage at target.
func NewStorageFaults(target string) (*StorageFaults, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &StorageFaults{Addr: l.Addr().String(), target: target, client: &http.Transport{DisableCompression: true, ExpectContinueTimeout: 5 * time.Second}}
	f.server = &http.Server{Handler: f, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = f.server.Serve(l) }() // until Close
	return f, nil
}

// Close ends every connection.
func (f *StorageFaults) Close() {
	f.server.Close()
	f.client.CloseIdleConnections()
}

// arm lets the nth call of step from now on (1 is the next) meet a fault; see Failpoint.
func (f *StorageFaults) arm(step string, nth int, fault string, crash func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.points = append(f.points, &storageFault{step, nth, fault, crash})
}

func (f *StorageFaults) disarm() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.points = nil
}

func (f *StorageFaults) reached() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !slices.ContainsFunc(f.points, func(p *storageFault) bool { return p.nth > 0 })
}

// due counts a call.
func (f *StorageFaults) due(step string) (fault string, crash func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.points {
		if p.step != step || p.nth == 0 {
			continue
		}
		if p.nth--; p.nth == 0 {
			fault, crash = p.fault, p.crash
		}
	}
	return fault, crash
}

func (f *StorageFaults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault, crash := f.due(operation(r))
	if fault == "crash-before" {
		crash()
	}
	if fault == "crash-before" || fault == "fail" {
		panic(http.ErrAbortHandler) // the connection closes without a word
	}
	answer, err := f.forward(r)
	if fault == "crash-after" {
		crash()
	}
	if err != nil || fault == "crash-after" || fault == "lost" {
		panic(http.ErrAbortHandler)
	}
	for name, values := range answer.Header {
		w.Header()[name] = values
	}
	if r.Method != http.MethodHead {
		w.Header().Set("Content-Length", strconv.Itoa(len(answer.body)))
	}
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(answer.body)
}

type wholeAnswer struct {
	*http.Response
	body []byte
}

// forward sends the request as it came, whole, and reads the whole answer.
func (f *StorageFaults) forward(r *http.Request) (*wholeAnswer, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	out := r.Clone(r.Context())
	out.RequestURI, out.URL.Scheme, out.URL.Host = "", "http", f.target
	out.Body, out.ContentLength, out.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	out.Header.Del("Expect") // answered here, by the server that read the body
	if out.Header["User-Agent"] == nil {
		out.Header["User-Agent"] = nil // net/http would name itself, which the signature does not have
	}
	resp, err := f.client.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return &wholeAnswer{resp, answer}, err
}

// operation is S3's name of a request to an object, of those that the gateway makes for an upload.
func operation(r *http.Request) string {
	q := r.URL.Query()
	upload := q.Has("uploadId")
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		return "CreateMultipartUpload"
	case r.Method == http.MethodPut && upload:
		return "UploadPart"
	case r.Method == http.MethodPost && upload:
		return "CompleteMultipartUpload"
	case r.Method == http.MethodDelete && upload:
		return "AbortMultipartUpload"
	case r.Method == http.MethodGet && upload:
		return "ListParts"
	case r.Method == http.MethodPut:
		return "PutObject"
	case r.Method == http.MethodHead:
		return "HeadObject"
	}
	return ""
}
