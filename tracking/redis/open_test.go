package redis_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"partway/tracking"
	"partway/tracking/redis"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, url string) *redis.Sessions {
	t.Helper()
	s, err := redis.Open(redis.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openCluster(t *testing.T, url string) *redis.Sessions {
	t.Helper()
	s, err := redis.Open(redis.Config{URL: url, Cluster: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var inAnHour = time.Now().Add(time.Hour)

func reserve(ctx context.Context, s *redis.Sessions, p tracking.Part) error {
	_, err := s.Reserve(ctx, "u1", []tracking.Part{p}, 0, inAnHour)
	return err
}

func TestOpenRefusesABadURLWithoutShowingItsPassword(t *testing.T) {
	for _, c := range []struct{ name, url string }{
		{"empty", ""},
		{"scheme", "http://:hunter2@127.0.0.1:6379"},
		{"port", "redis://:hunter2@127.0.0.1:port"},
		{"escape", "redis://:hunter2%zz@127.0.0.1:6379"},
		{"slash in the password", "redis://:hunter2/more@127.0.0.1:6379"},
		{"hash in the password", "redis://:hunter2#more@127.0.0.1:6379"},
		{"a slash begins the password", "redis://:/hunter2@127.0.0.1:6379"},
		{"a slash behind digits", "redis://u:1/hunter2/more@127.0.0.1:6379"},
		{"a question mark begins the password", "redis://:?hunter2@127.0.0.1:6379"},
		{"a question mark behind digits", "redis://u:1?hunter2=more@127.0.0.1:6379"},
		{"a hash begins the password", "redis://:#hunter2@127.0.0.1:6379"},
		{"no slashes", "redis:hunter2@127.0.0.1:6379"},
		{"database", "redis://:hunter2@127.0.0.1:6379/first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, cluster := range []bool{false, true} {
				_, err := redis.Open(redis.Config{URL: c.url, Cluster: cluster})
				if err == nil || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("cluster %v: error %v", cluster, err)
				}
			}
		})
	}
}

func TestOpenRefusesWhatAClusterHasNot(t *testing.T) {
	for _, c := range []struct{ name, url, want string }{
		{"a database", "redis://h/3", "redis: url: names a database: a cluster has none but 0"},
		{"a socket", "unix:///run/redis.sock", "redis: url: "},
		{"an address without a port", "redis://h?addr=h2", "redis: url: addr is not HOST:PORT; user and password stand before the first host, for all"},
		{"an address with a password", "redis://h?addr=:hunter2@h2:1", "redis: url: addr is not HOST:PORT; user and password stand before the first host, for all"},
		{"an address with a user", "redis://h?addr=hunter2@h2:1", "redis: url: addr is not HOST:PORT; user and password stand before the first host, for all"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := redis.Open(redis.Config{URL: c.url, Cluster: true})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want %s", err, c.want)
			}
		})
	}
	openCluster(t, "rediss://u:p@h:6380/0?addr=h2:6380&addr=[::1]:6380")
}

func TestOpenNeedsNoServer(t *testing.T) {
	s := open(t, "redis://127.0.0.1:1")
	mustBeUnavailable(t, "Ping", func() error { return s.Ping(t.Context()) })
	s = openCluster(t, "redis://127.0.0.1:1?addr=127.0.0.1:2")
	mustBeUnavailable(t, "Ping", func() error { return s.Ping(t.Context()) })
	mustBeUnavailable(t, "Reserve", func() error { return reserve(t.Context(), s, tracking.Part{Number: 1}) })
}

func TestCallerInAHurryNeedNotWaitForTheTimeout(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, cluster := range []bool{false, true} {
		s, err := redis.Open(redis.Config{URL: "redis://" + silent.Addr().String(), Cluster: cluster, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		mustBeUnavailable(t, "Reserve", func() error { return reserve(ctx, s, tracking.Part{Number: 1}) })
	}
}

func mustBeUnavailable(t *testing.T, name string, call func() error) {
	t.Helper()
	const bound = time.Second // the timeout is 250 ms; the rest is for a busy machine
	started := time.Now()
	err := call()
	if took := time.Since(started); took > bound {
		t.Errorf("%s took %v", name, took)
	}
	if !errors.Is(err, tracking.ErrUnavailable) {
		t.Errorf("%s: error %v, want ErrUnavailable", name, err)
	}
}
