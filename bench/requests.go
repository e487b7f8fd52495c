package main

import (
	"fmt"
	"net/http"
	"time"

	"partway/auth/sigv4"
)

// redirects asks for 307s.
func redirects(o *options, res *result) error {
	return requests(o, res, "redirect", http.StatusTemporaryRedirect, func(id string, n int) *request { return redirectedPart("big", id, n) })
}

// redirectedPart is a part declared empty, because the connection closes behind a declared body that was not read, and connections are not what is
// measured. Each is signed as an SDK would and has its own part number.
func redirectedPart(key, id string, n int) *request {
	return &request{
		method: http.MethodPut, path: bucketPath + key, query: fmt.Sprintf("partNumber=%d&uploadId=%s", n%10_000+1, id),
		headers: []sigv4.Header{{Name: "x-partway-transfer", Value: "redirect"}, {Name: "x-amz-content-sha256", Value: sigv4.UnsignedPayload}},
	}
}

// signs asks for one signed request at a time, as `partway exec` does for each part.
func signs(o *options, res *result) error {
	return requests(o, res, "sign", http.StatusOK, func(id string, n int) *request {
		return &request{
			method: http.MethodPost, path: "/_partway/sign", bearer: true, headers: []sigv4.Header{{Name: "content-type", Value: "application/json"}},
			body: fmt.Sprintf(`{"bucket":"uploads","key":"big","upload_id":%q,"parts":[{"part_number":%d,"content_length":8388608}]}`, id, n%10_000+1),
		}
	})
}

// requests sends one kind of request over many keep-alive connections, and then over one for the time to the first byte.
func requests(o *options, res *result, measure string, want int, make func(id string, n int) *request) error {
	return each(o.rounds, []subject{partway, partwayBare}, func(s subject) error {
		r, err := s.start(o, false)
		if err != nil {
			return err
		}
		defer r.stop()
		id, err := r.create("big")
		if err != nil {
			return err
		}
		next := func(n int) *request { return make(id, n) }
		if _, err := r.askAll(o.requests/10, connections, want, next); err != nil { // warms tokens, pools and connections
			return err
		}
		before, began := r.spent(), time.Now()
		times, err := r.askAll(o.requests, connections, want, next)
		if err != nil {
			return err
		}
		n := float64(o.requests)
		res.add(measure, s.name, "per second", n/time.Since(began).Seconds())
		res.add(measure, s.name, "CPU us each", float64((r.spent()-before).Microseconds())/n)
		res.addTimes(measure, s.name, "64 at once", times)
		if times, err = r.askAll(o.requests/20, 1, want, next); err != nil {
			return err
		}
		res.addTimes(measure, s.name, "alone", times)
		return nil
	})
}

// askAll sends count requests over some connections and returns how long the first byte of each answer took.
func (t *target) askAll(count, connections, want int, make func(n int) *request) ([]time.Duration, error) {
	var times timings
	next := counter(count)
	err := inParallel(t, connections, func(_ int, c *client) error {
		for n, ok := next(); ok; n, ok = next() {
			_, first, err := c.ask(make(n), want)
			if err != nil {
				return err
			}
			times.add(first)
		}
		return nil
	})
	return times.times, err
}
