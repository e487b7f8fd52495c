package main

import (
	"fmt"
	"net/http"
	"time"
)

// openUploads measures requests while more and more uploads are open.
func openUploads(o *options, res *result) error {
	r, err := startPartway(o, false)
	if err != nil {
		return err
	}
	defer r.stop()
	ids := make([]string, 0, o.open)
	for _, n := range []int{1, o.open / 1000, o.open / 100, o.open / 10, o.open} {
		if n <= len(ids) {
			continue
		}
		made, err := createAll(&r.target, len(ids), n)
		if err != nil {
			return err
		}
		ids = append(ids, made...)
		for range o.rounds {
			if err := whileOpen(o, res, r, ids); err != nil {
				return err
			}
		}
	}
	return nil
}

// createAll starts an upload of each key from first to before last.
func createAll(t *target, first, last int) ([]string, error) {
	ids := make([]string, last-first)
	next := counter(len(ids))
	err := inParallel(t, connections, func(_ int, c *client) error {
		for n, ok := next(); ok; n, ok = next() {
			id, _, err := c.create(openKey(first + n))
			if err != nil {
				return err
			}
			ids[n] = id
		}
		return nil
	})
	return ids, err
}

func openKey(n int) string { return fmt.Sprintf("open/%06d", n) }

// whileOpen asks the gateway for parts all over the open uploads, and starts and ends uploads beside them.
func whileOpen(o *options, res *result, r *running, ids []string) error {
	subject := fmt.Sprint(len(ids))
	kinds := []struct {
		name  string
		count int
		calls int
		ask   func(c *client, n int) error
	}{
		{"redirect", o.requests / 4, 1, func(c *client, n int) error {
			i := n * 7919 % len(ids)
			_, _, err := c.ask(redirectedPart(openKey(i), ids[i], n), http.StatusTemporaryRedirect)
			return err
		}},
		{"Create + Abort", o.requests / 4, 2, func(c *client, n int) error {
			key := fmt.Sprintf("passing/%06d", n)
			id, _, err := c.create(key)
			if err != nil {
				return err
			}
			_, _, err = c.ask(&request{method: http.MethodDelete, path: bucketPath + key, query: "uploadId=" + id}, http.StatusNoContent)
			return err
		}},
	}
	for _, k := range kinds {
		before, began := r.spent(), time.Now()
		next := counter(k.count)
		err := inParallel(&r.target, connections, func(_ int, c *client) error {
			for n, ok := next(); ok; n, ok = next() {
				if err := k.ask(c, n); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		calls := float64(k.count * k.calls)
		res.add("open", subject, k.name+" CPU us/call", float64((r.spent()-before).Microseconds())/calls)
		res.add("open", subject, k.name+" calls/s", calls/time.Since(began).Seconds())
	}
	res.add("open", subject, "RSS MiB", r.resident()/1024)
	return nil
}
