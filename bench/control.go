package main

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"partway/auth/sigv4"
)

const connections = 64 // of clients of small requests

// control makes small uploads, four calls each: CreateMultipartUpload, UploadPart of 1 KiB, ListParts, CompleteMultipartUpload.
func control(o *options, res *result) error {
	return each(o.rounds, []subject{nothing, partway, rival}, func(s subject) error {
		r, err := s.start(o, false)
		if err != nil {
			return err
		}
		defer r.stop()
		if _, err := smallUploads(&r.target, connections*4); err != nil { // warms pools and connections
			return err
		}
		uploads := o.requests / 8
		cpu := r.spent
		if r.process == nil { // the yardstick of all requests is what the sink's cost
			cpu = o.sink.cpu
		}
		before, began := cpu(), time.Now()
		times, err := smallUploads(&r.target, uploads)
		if err != nil {
			return err
		}
		calls := float64(4 * uploads)
		res.add("control", s.name, "calls/s", calls/time.Since(began).Seconds())
		res.add("control", s.name, "CPU us/call", float64((cpu()-before).Microseconds())/calls)
		for i, name := range smallUploadCalls {
			res.addTimes("control", s.name, name, times[i].times)
		}
		return nil
	})
}

var smallUploadCalls = [4]string{"Create", "UploadPart", "ListParts", "Complete"}

func smallUploads(t *target, uploads int) (*[4]timings, error) {
	var times [4]timings
	var body [1 << 10]byte
	next := counter(uploads)
	err := inParallel(t, connections, func(_ int, c *client) error {
		for n, ok := next(); ok; n, ok = next() {
			key := fmt.Sprintf("small-%d", n)
			id, took, err := c.create(key)
			if err != nil {
				return err
			}
			times[0].add(took)
			query := "uploadId=" + id
			for i, r := range []*request{
				{method: http.MethodPut, query: "partNumber=1&" + query, body: string(body[:]), headers: []sigv4.Header{checksumOfZeros(int64(len(body)))}},
				{method: http.MethodGet, query: query},
				{method: http.MethodPost, query: query, body: "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>&quot;" + sinkETag[1:33] + "&quot;</ETag></Part></CompleteMultipartUpload>"},
			} {
				r.path = bucketPath + key
				_, took, err := c.ask(r, http.StatusOK)
				if err != nil {
					return err
				}
				times[i+1].add(took)
			}
		}
		return nil
	})
	return &times, err
}

// counter hands out the numbers below n to whoever asks next.
func counter(n int) func() (int, bool) {
	var mu sync.Mutex
	next := 0
	return func() (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next <= n
	}
}
