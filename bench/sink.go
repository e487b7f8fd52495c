package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

// sink is S3 storage that answers what uploads ask and keeps only the sizes of parts.
type sink struct {
	mu      sync.Mutex
	uploads map[string]map[int]int64 // upload id -> part number -> size
}

const sinkETag = `"00000000000000000000000000000000"`

// serveSink is the body of the sink's process: it prints its address and serves until it is ended.
func serveSink() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, &sink{uploads: map[string]map[int]int64{}})
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 1<<20); return &b }}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	// struct{io.Writer}: io.Discard's own ReadFrom has a buffer of 8 KiB.
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, r.Body, *buf)
	if err != nil {
		return
	}
	q := r.URL.Query()
	id := q.Get("uploadId")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		id = "upload-" + strconv.Itoa(len(s.uploads))
		s.uploads[id] = map[int]int64{}
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>`, id)
	case r.Method == http.MethodPut && id != "":
		number, _ := strconv.Atoi(q.Get("partNumber"))
		if s.uploads[id] == nil {
			s.uploads[id] = map[int]int64{} // nginx and direct clients name an upload that they did not create
		}
		s.uploads[id][number] = n
		w.Header().Set("ETag", sinkETag)
	case r.Method == http.MethodGet && id != "":
		fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><ListPartsResult>`)
		numbers := make([]int, 0, len(s.uploads[id]))
		for number := range s.uploads[id] {
			numbers = append(numbers, number)
		}
		slices.Sort(numbers)
		for _, number := range numbers {
			fmt.Fprintf(w, `<Part><PartNumber>%d</PartNumber><Size>%d</Size><ETag>%s</ETag></Part>`, number, s.uploads[id][number], sinkETag)
		}
		fmt.Fprint(w, `</ListPartsResult>`)
	case r.Method == http.MethodPost && id != "":
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>`, sinkETag)
	case r.Method == http.MethodGet && r.URL.Path == "/":
		fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult><Buckets></Buckets></ListAllMyBucketsResult>`)
	default:
		w.Header().Set("ETag", sinkETag)
	}
}
