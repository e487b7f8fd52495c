package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// sink is the process of a sinkHandler.
type sink struct {
	*process
	http, https string // addresses
}

func startSink(o *options) (*sink, error) {
	p, line, err := startSelf("", nil, "sink", o.files.cert, o.files.key)
	if err != nil {
		return nil, err
	}
	plain, secure, _ := strings.Cut(line, " ")
	return &sink{process: p, http: plain, https: secure}, nil
}

// sinkHandler is S3 storage that answers what uploads ask and keeps only the sizes of parts.
type sinkHandler struct {
	mu      sync.Mutex
	created int
	uploads map[string]map[int]int64 // upload id -> part number -> size; no entry before the first part
}

const sinkETag = `"00000000000000000000000000000000"`

// serveSink is the body of the sink's process: it prints its addresses, http and https, and serves until it is ended.
func serveSink(args []string) error {
	if len(args) != 2 {
		return errors.New("sink CERT KEY")
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler := &sinkHandler{uploads: map[string]map[int]int64{}}
	server := &http.Server{
		Handler: handler, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{"http/1.1"}},
	}
	fmt.Println(plain.Addr(), secure.Addr())
	ended := make(chan error, 2)
	go func() { ended <- server.Serve(plain) }()
	go func() { ended <- server.ServeTLS(secure, args[0], args[1]) }()
	return <-ended
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// discard reads a body to its end. A body without one takes no buffer.
func discard(r *http.Request) (int64, error) {
	if r.ContentLength == 0 {
		return 0, nil
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	// struct{io.Writer}: io.Discard's own ReadFrom has a buffer of 8 KiB.
	return io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, *buf)
}

const declaration = `<?xml version="1.0" encoding="UTF-8"?>`

func (s *sinkHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := discard(r)
	if err != nil {
		return
	}
	q := r.URL.Query()
	id := q.Get("uploadId")
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // versitygw looks for them
		fmt.Fprintf(w, declaration+`<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>`, bucket, key, s.create())
	case r.Method == http.MethodPut && id != "":
		number, _ := strconv.Atoi(q.Get("partNumber"))
		s.keep(id, number, n)
		w.Header().Set("ETag", sinkETag)
	case r.Method == http.MethodGet && id != "":
		fmt.Fprint(w, declaration+`<ListPartsResult>`)
		for _, p := range s.list(id) {
			fmt.Fprintf(w, `<Part><PartNumber>%d</PartNumber><Size>%d</Size><ETag>%s</ETag></Part>`, p.number, p.size, sinkETag)
		}
		fmt.Fprint(w, `</ListPartsResult>`)
	case r.Method == http.MethodPost && id != "":
		s.forget(id)
		fmt.Fprintf(w, declaration+`<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>`, sinkETag)
	case r.Method == http.MethodDelete && id != "":
		s.forget(id)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodGet && r.URL.Path == "/":
		fmt.Fprint(w, declaration+`<ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>`)
	default:
		w.Header().Set("ETag", sinkETag)
	}
}

func (s *sinkHandler) create() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created++
	return "upload-" + strconv.Itoa(s.created)
}

// keep takes parts of uploads that nobody created, too: clients of nginx name one.
func (s *sinkHandler) keep(id string, number int, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.uploads[id] == nil {
		s.uploads[id] = map[int]int64{}
	}
	s.uploads[id][number] = size
}

func (s *sinkHandler) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, id)
}

type part struct {
	number int
	size   int64
}

func (s *sinkHandler) list(id string) (out []part) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for number, size := range s.uploads[id] {
		out = append(out, part{number, size})
	}
	slices.SortFunc(out, func(a, b part) int { return cmp.Compare(a.number, b.number) })
	return out
}
