//go:build servers

package mongo_test

import (
	"testing"
	"time"

	"partway/tracking"
	"partway/tracking/trackingtest/servers"
)

func TestServerAwayAndBack(t *testing.T) {
	for _, server := range servers.Mongo(t) {
		if !server.Ours() {
			continue // somebody's MongoDB, not to be killed
		}
		t.Run(server.Name, func(t *testing.T) {
			s := open(t, server.URI, "")
			calls := map[string]func() error{
				"InsertUpload": func() error { return s.InsertUpload(t.Context(), &tracking.Upload{Record: "r1"}) },
				"AppendBatch":  func() error { return s.AppendBatch(t.Context(), &tracking.Batch{Writer: "w1", Seq: 1}) },
				"Upload":       func() error { _, err := s.Upload(t.Context(), "u1"); return err },
				"Revocations":  func() error { _, err := s.Revocations(t.Context()); return err },
				"Ping":         func() error { return s.Ping(t.Context()) },
			}
			server.Kill()
			for name, call := range calls {
				mustBeUnavailable(t, name, call)
			}
			server.Start(t)
			eventually(t, "a batch to be stored", calls["AppendBatch"])
			events, _, err := s.Events(t.Context(), tracking.EventQuery{})
			if err != nil || len(events) != 0 {
				t.Errorf("events %v, %v", events, err)
			}
		})
	}
}

// A server that hangs costs the timeout and no more.
func TestServerHangs(t *testing.T) {
	for _, server := range servers.Mongo(t) {
		if !server.Ours() {
			continue
		}
		t.Run(server.Name, func(t *testing.T) {
			s := open(t, server.URI, "")
			server.Hang(t)
			mustBeUnavailable(t, "AppendBatch", func() error {
				return s.AppendBatch(t.Context(), &tracking.Batch{Writer: "w1", Seq: 1})
			})
		})
	}
}

// eventually polls until call succeeds.
func eventually(t *testing.T, what string, call func() error) {
	t.Helper()
	late := time.After(20 * time.Second)
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for err := call(); err != nil; err = call() {
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("waited for %s: %v", what, err)
		}
	}
}
