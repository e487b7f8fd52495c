//go:build servers

package redis_test

import (
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"partway/tracking"
	"partway/tracking/redis"
	"partway/tracking/trackingtest/servers"
)

func TestInspectSeesTheServer(t *testing.T) {
	server := servers.Redis(t)
	s := open(t, server.URI)
	o, err := goredis.ParseURL(server.URI)
	if err != nil {
		t.Fatal(err)
	}
	client := goredis.NewClient(o)
	defer client.Close()

	inspect := func() *redis.Inspection {
		t.Helper()
		found, err := s.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if found.Version == "" || time.Since(found.Time).Abs() > time.Minute || found.Cluster || found.AOF {
			t.Errorf("found %+v", found)
		}
		return found
	}
	if found := inspect(); found.Role != "master" || found.Policy != "noeviction" || found.MaxMemory != "0" {
		t.Errorf("found %+v", found)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if keys, err := client.DBSize(t.Context()).Result(); err != nil || keys != 0 {
		t.Errorf("left %d keys, %v", keys, err)
	}
	if err := client.ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.SlaveOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if found := inspect(); found.Role != "slave" || found.Policy != "allkeys-lru" {
		t.Errorf("found %+v", found)
	}
	if err := s.Probe(t.Context()); !errors.Is(err, tracking.ErrUnavailable) {
		t.Errorf("a copy took a script: %v", err)
	}
}
