package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"partway/auth/sigv4"
)

// inFlightSize is the size of a part when many are in flight.
const inFlightSize = 2 << 20

// partsInFlight holds parts in flight, all of them half sent, and reports the largest resident set until all have arrived. Pipes that the kernel splices
// through are not part of it.
func partsInFlight(o *options, res *result) error {
	for _, m := range []struct {
		subject
		name       string
		secure     bool
		awsChunked bool
	}{
		{partway, "partway, spliced", false, false},
		{partway, "partway, aws-chunked", false, true},
		{partway, "partway, TLS", true, false},
		{nginx, "nginx", false, false},
		{nginx, "nginx, TLS", true, false},
	} {
		for range min(o.rounds, 3) {
			if err := inFlight(o, res, m.subject, m.name, m.secure, m.awsChunked); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return nil
}

func inFlight(o *options, res *result, s subject, name string, secure, awsChunked bool) error {
	r, err := s.start(o, secure)
	if err != nil {
		return err
	}
	defer r.stop()
	id, err := r.create("big")
	if err != nil {
		return err
	}
	before := r.peak()
	var halfway sync.WaitGroup
	halfway.Add(o.inFlight)
	ramp := make(chan struct{}, 32) // so many begin at once: handshakes have their time, too
	err = workers(o.inFlight, func(worker int) error {
		ramp <- struct{}{}
		half := sync.OnceFunc(func() { <-ramp; halfway.Done() })
		defer half() // one that failed keeps nobody waiting
		c, err := r.dial()
		if err != nil {
			return err
		}
		defer c.close()
		meet := func() { half(); halfway.Wait() }
		if awsChunked {
			return c.sendChunked("big", id, worker+1, meet)
		}
		f, err := os.Open(o.files.zeros)
		if err != nil {
			return err
		}
		defer f.Close()
		return c.sendPart(f, "big", id, worker+1, inFlightSize, meet)
	})
	if err != nil {
		return err
	}
	res.add("memory", name, "idle RSS MiB", before)
	res.add("memory", name, "peak RSS MiB", r.peak())
	return nil
}

// sendChunked sends a part as SDKs do over https: aws-chunked with a trailing checksum, which the gateway passes on as it comes.
func (c *client) sendChunked(key, id string, number int, middle func()) error {
	const crc32OfZeros, chunk = "x-amz-checksum-crc32:AAAAAA==\r\n\r\n", inFlightSize / 2
	first := fmt.Sprintf("%x\r\n%s\r\n", chunk, zeros(chunk))
	last := first + "0\r\n" + crc32OfZeros
	head := c.head(&request{
		method: http.MethodPut, path: bucketPath + key, query: fmt.Sprintf("partNumber=%d&uploadId=%s", number, id), length: int64(len(first) + len(last)), expect: true,
		headers: []sigv4.Header{
			{Name: "x-amz-content-sha256", Value: sigv4.StreamingUnsignedTrailer}, {Name: "content-encoding", Value: "aws-chunked"},
			{Name: "x-amz-decoded-content-length", Value: fmt.Sprint(inFlightSize)}, {Name: "x-amz-trailer", Value: "x-amz-checksum-crc32"},
		},
	})
	if _, err := c.conn.Write([]byte(head)); err != nil {
		return err
	}
	if _, err := c.answer(http.StatusContinue); err != nil {
		return err
	}
	if _, err := c.conn.Write([]byte(first)); err != nil {
		return err
	}
	middle()
	if _, err := c.conn.Write([]byte(last)); err != nil {
		return err
	}
	_, err := c.answer(http.StatusOK)
	return err
}

var zeros = func(n int) string { return strings.Repeat("\x00", n) }
