package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// tenant is a client of its own: a key token, a prefix, and an upload under way.
type tenant struct {
	target
	key, id string
}

// manyTenants measures the same requests when they come from one tenant and from many: each has a token of its own, which must be proved, and an upload
// of its own.
func manyTenants(o *options, res *result) error {
	r, err := startPartway(o, false)
	if err != nil {
		return err
	}
	defer r.stop()
	all, err := makeTenants(r, o.tenants)
	if err != nil {
		return err
	}
	for range o.rounds {
		for _, n := range []int{1, o.tenants / 100, o.tenants / 10, o.tenants} {
			if n == 0 {
				continue
			}
			if err := ofTenants(o, res, r, all[:n]); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeTenants issues a token for each and starts its upload with it.
func makeTenants(r *running, n int) ([]tenant, error) {
	all := make([]tenant, n)
	next := counter(n)
	err := inParallel(&r.target, connections, func(_ int, c *client) error {
		operator := c.target
		for i, ok := next(); ok; i, ok = next() {
			c.target = operator
			name := fmt.Sprintf("tenant-%04d", i)
			body, _, err := c.ask(&request{
				method: http.MethodPost, path: "/_partway/tokens", bearer: true,
				body: fmt.Sprintf(`{"tenant":%q,"class":"key","ttl_seconds":3600,"scope":[{"bucket":"uploads","prefix":"%s/","actions":["s3:*"]}]}`, name, name),
			}, http.StatusOK)
			if err != nil {
				return err
			}
			var pair struct {
				AccessKeyID     string `json:"access_key_id"`
				SecretAccessKey string `json:"secret_access_key"`
			}
			if err := json.Unmarshal([]byte(body), &pair); err != nil {
				return err
			}
			all[i] = tenant{target: *operator, key: name + "/big"}
			all[i].signer = newSigner(pair.AccessKeyID, pair.SecretAccessKey)
			c.target = &all[i].target
			if all[i].id, _, err = c.create(all[i].key); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}

// ofTenants asks for redirects, each for the next tenant.
func ofTenants(o *options, res *result, r *running, all []tenant) error {
	next := counter(o.requests)
	before, began := r.spent(), time.Now()
	err := inParallel(&r.target, connections, func(_ int, c *client) error {
		for n, ok := next(); ok; n, ok = next() {
			t := &all[n%len(all)]
			c.target = &t.target
			if _, _, err := c.ask(redirectedPart(t.key, t.id, n/len(all)), http.StatusTemporaryRedirect); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	subject := fmt.Sprint(len(all))
	res.add("tenants", subject, "redirect CPU us/call", float64((r.spent()-before).Microseconds())/float64(o.requests))
	res.add("tenants", subject, "redirect calls/s", float64(o.requests)/time.Since(began).Seconds())
	res.add("tenants", subject, "RSS MiB", r.resident()/1024)
	return nil
}
