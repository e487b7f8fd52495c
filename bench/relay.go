package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"partway/auth/sigv4"
)

const (
	partSize      = 64 << 20
	smallPartSize = 8 << 20 // aws-cli's
	atOnce        = 4
	bucketPath    = "/uploads/"
)

func relayHTTP(o *options, res *result) error {
	return each(o.rounds, []subject{nothing, nginx, haproxy, haproxySplice, partway, reverseProxy, rival}, func(s subject) error {
		return relay(o, res, "http", s, false)
	})
}

func relayHTTPS(o *options, res *result) error {
	return each(o.rounds, []subject{nothing, nginx, haproxy, partway, reverseProxy}, func(s subject) error { return relay(o, res, "https", s, true) })
}

// relay sends parts of both sizes through one subject.
func relay(o *options, res *result, measure string, s subject, secure bool) error {
	r, err := s.start(o, secure)
	if err != nil {
		return err
	}
	defer r.stop()
	id, err := r.create("big")
	if err != nil {
		return err
	}
	// One part each, so that connections and pools are warm.
	if _, err := r.sendParts(o, "big", id, atOnce, atOnce, smallPartSize); err != nil {
		return err
	}
	for _, size := range []int64{partSize, smallPartSize} {
		name := measure
		if size == smallPartSize {
			name = "parts, " + measure
		}
		before, began := r.spent(), time.Now()
		times, err := r.sendParts(o, "big", id, o.gib<<30/int(size), atOnce, size)
		if err != nil {
			return err
		}
		took := time.Since(began)
		res.add(name, s.name, "GiB/s", float64(o.gib)/took.Seconds())
		if r.process != nil {
			res.add(name, s.name, "CPU s/GiB", (r.spent()-before).Seconds()/float64(o.gib))
		}
		if size == smallPartSize {
			res.addTimes(name, s.name, "part", times)
		} else if r.process != nil {
			res.add(name, s.name, "peak RSS MiB", r.peak())
		}
	}
	return nil
}

// create starts an upload.
func (t *target) create(key string) (string, error) {
	c, err := t.dial()
	if err != nil {
		return "", err
	}
	defer c.close()
	id, _, err := c.create(key)
	return id, err
}

func (c *client) create(key string) (id string, took time.Duration, err error) {
	body, took, err := c.ask(&request{method: http.MethodPost, path: bucketPath + key, query: "uploads="}, http.StatusOK)
	if err != nil {
		return "", 0, err
	}
	_, after, ok := strings.Cut(body, "<UploadId>")
	id, _, _ = strings.Cut(after, "</UploadId>")
	if !ok {
		return "", 0, fmt.Errorf("CreateMultipartUpload: %s", body)
	}
	return id, took, nil
}

// sendParts sends parts over as many keep-alive connections as go at once, and returns how long each took.
func (t *target) sendParts(o *options, key, id string, parts, atOnce int, size int64) ([]time.Duration, error) {
	numbers := make(chan int, parts)
	for n := range parts {
		numbers <- n + 1
	}
	close(numbers)
	var all timings
	err := inParallel(t, atOnce, func(_ int, c *client) error {
		f, err := os.Open(o.files.zeros)
		if err != nil {
			return err
		}
		defer f.Close()
		for n := range numbers {
			began := time.Now()
			if err := c.sendPart(f, key, id, n, size, nil); err != nil {
				return fmt.Errorf("part %d: %w", n, err)
			}
			all.add(time.Since(began))
		}
		return nil
	})
	return all.times, err
}

// sendPart waits for 100 Continue and, if there is one, for the middle: it is called when half of the part is sent.
func (c *client) sendPart(f *os.File, key, id string, number int, size int64, middle func()) error {
	head := c.head(&request{
		method: http.MethodPut, path: bucketPath + key, query: fmt.Sprintf("partNumber=%d&uploadId=%s", number, id), length: size, expect: true,
		headers: []sigv4.Header{checksumOfZeros(size)},
	})
	if _, err := c.conn.Write([]byte(head)); err != nil {
		return err
	}
	if _, err := c.answer(http.StatusContinue); err != nil {
		return err
	}
	if middle != nil {
		if err := c.send(f, size/2); err != nil {
			return err
		}
		middle()
		size -= size / 2
	}
	sent := c.send(f, size)
	if _, err := c.answer(http.StatusOK); err != nil { // it says more than a broken pipe
		return err
	}
	return sent
}
