package main

import (
	"fmt"
	"net/http"
)

// idle opens connections, makes one request on each and leaves them open.
func idle(o *options, res *result) error {
	for _, m := range []struct {
		name   string
		secure bool
	}{{"partway", false}, {"partway, TLS", true}} {
		for range min(o.rounds, 3) {
			if err := idleOnce(o, res, m.name, m.secure); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	return nil
}

func idleOnce(o *options, res *result, name string, secure bool) error {
	r, err := startPartway(o, secure)
	if err != nil {
		return err
	}
	defer r.stop()
	id, err := r.create("big")
	if err != nil {
		return err
	}
	list := &request{method: http.MethodGet, path: bucketPath + "big", query: "uploadId=" + id}
	open := func(n int) (clients []*client, err error) {
		for range n {
			c, err := r.dial()
			if err != nil {
				return clients, err
			}
			clients = append(clients, c)
			if _, _, err := c.ask(list, http.StatusOK); err != nil {
				return clients, err
			}
		}
		return clients, nil
	}
	warm, err := open(o.idle / 10) // what grows once is not the price of a connection
	defer closeAll(warm)
	if err != nil {
		return err
	}
	before := r.resident()
	clients, err := open(o.idle)
	defer closeAll(clients)
	if err != nil {
		return err
	}
	res.add("idle", name, "KiB each", (r.resident()-before)/float64(o.idle))
	return nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		c.close()
	}
}
