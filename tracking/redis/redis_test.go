//go:build servers

package redis_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"partway/tracking"
	"partway/tracking/trackingtest/servers"
)

func raw(t *testing.T, url string) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(o)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestKeysOfAnUploadExpireTogetherInOneSlot(t *testing.T) {
	server := servers.Redis(t)
	s, c := open(t, server.URI), raw(t, server.URI)
	if err := reserve(t.Context(), s, tracking.Part{Number: 1, Bytes: 1, Road: "sign", Until: inAnHour}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"partway:{u1}:session", "partway:{u1}:grants"} {
		at, err := c.PExpireTime(t.Context(), key).Result()
		if err != nil || at.Milliseconds() != inAnHour.UnixMilli() {
			t.Errorf("%s expires at %v, %v", key, at.Milliseconds(), err)
		}
	}
	if err := s.Forget(t.Context(), "u1"); err != nil {
		t.Fatal(err)
	}
	if left := c.Keys(t.Context(), "*").Val(); len(left) > 0 {
		t.Errorf("after Forget: %v", left)
	}
}

// A grant lapses by Redis's clock, not by that of a gateway; one that landed meanwhile does not.
func TestGrantLapsesWithTime(t *testing.T) {
	server := servers.Redis(t)
	s, c := open(t, server.URI), raw(t, server.URI)
	soon := time.Now().Add(50 * time.Millisecond)
	for _, p := range []tracking.Part{
		{Number: 1, Bytes: 10, Road: "sign", Until: soon},
		{Number: 1, Bytes: 10, Road: "sign"},
		{Number: 2, Bytes: 20, Road: "sign", Until: soon},
	} {
		if err := reserve(t.Context(), s, p); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the grant to lapse", func() error {
		got, err := s.Session(t.Context(), "u1")
		if err == nil && got.Bytes == 30 {
			err = errors.New("both parts count")
		}
		return err
	})
	got, err := s.Session(t.Context(), "u1")
	if err != nil || got.Bytes != 10 || len(got.Parts) != 1 || got.Parts[0].Number != 1 {
		t.Errorf("session %+v, %v", got, err)
	}
	if left, err := c.ZRange(t.Context(), "partway:{u1}:grants", 0, -1).Result(); err != nil || !slices.Equal(left, []string{""}) {
		t.Errorf("grants are kept: %q, %v", left, err)
	}
}

// Redis short of memory evicts keys one by one, so the grants of a session may outlive it.
func TestGrantsWithoutTheirSessionDoNotBringItBack(t *testing.T) {
	server := servers.Redis(t)
	s, c := open(t, server.URI), raw(t, server.URI)
	lapsed := tracking.Part{Number: 1, Bytes: 10, Road: "sign", Until: time.Now().Add(-time.Minute)}
	if err := reserve(t.Context(), s, lapsed); err != nil {
		t.Fatal(err)
	}
	if err := c.Del(t.Context(), "partway:{u1}:session").Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Session(t.Context(), "u1"); !errors.Is(err, tracking.ErrNotFound) {
		t.Errorf("session %+v, %v, want ErrNotFound", got, err)
	}
	if left := c.Keys(t.Context(), "*").Val(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestScriptsAreLoadedAgainAfterAFlush(t *testing.T) {
	server := servers.Redis(t)
	s := open(t, server.URI)
	for range 2 {
		if err := reserve(t.Context(), s, tracking.Part{Number: 1}); err != nil {
			t.Fatal(err)
		}
		if err := raw(t, server.URI).ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServerAwayAndBack(t *testing.T) {
	server := servers.Redis(t)
	s := open(t, server.URI)
	if err := s.PutState(t.Context(), "u1", tracking.StateOpen, inAnHour); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	for name, call := range map[string]func() error{
		"PutState": func() error { return s.PutState(t.Context(), "u1", tracking.StateOpen, inAnHour) },
		"Reserve":  func() error { return reserve(t.Context(), s, tracking.Part{Number: 1}) },
		"Session":  func() error { _, err := s.Session(t.Context(), "u1"); return err },
		"Forget":   func() error { return s.Forget(t.Context(), "u1") },
		"Ping":     func() error { return s.Ping(t.Context()) },
	} {
		mustBeUnavailable(t, name, call)
	}
	for range 100 { // after many the client stops to dial for each call
		mustBeUnavailable(t, "Ping", func() error { return s.Ping(t.Context()) })
	}
	server.Start(t)
	eventually(t, "a reservation", func() error { return reserve(t.Context(), s, tracking.Part{Number: 1}) })
}

// A Redis that hangs costs the timeout and no more.
func TestServerHangs(t *testing.T) {
	server := servers.Redis(t)
	s := open(t, server.URI)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	server.Hang(t)
	mustBeUnavailable(t, "Reserve", func() error { return reserve(t.Context(), s, tracking.Part{Number: 1}) })
}

// eventually polls until call succeeds.
func eventually(t *testing.T, what string, call func() error) {
	t.Helper()
	late := time.After(10 * time.Second)
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
