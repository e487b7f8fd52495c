//go:build servers

package redis_test

import (
	"errors"
	"slices"
	"strings"
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
		all, err := s.Inspect(t.Context())
		if err != nil || len(all) != 1 {
			t.Fatal(all, err)
		}
		found := all[0]
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
	if err := client.ReplicaOf(t.Context(), "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if found := inspect(); found.Role != "slave" || found.Policy != "allkeys-lru" {
		t.Errorf("found %+v", found)
	}
	if err := s.Probe(t.Context()); !errors.Is(err, tracking.ErrUnavailable) {
		t.Errorf("a copy took a script: %v", err)
	}
}

func TestInspectSeesEveryMaster(t *testing.T) {
	t.Parallel()
	c := servers.RedisCluster(t, false)
	c.Masters[2].Do(t, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	s, err := redis.Open(redis.Config{URL: c.URI, Cluster: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	all, err := s.Inspect(t.Context())
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	policies := map[string]string{}
	for _, found := range all {
		policies["redis://"+found.Address] = found.Policy
		if !found.Cluster || found.Role != "master" || found.State != "ok" || found.Slots != redis.SlotsInAll || found.Version == "" || found.Time.IsZero() {
			t.Errorf("found %+v", found)
		}
	}
	if policies[c.Masters[0].URI] != "noeviction" || policies[c.Masters[1].URI] != "noeviction" || policies[c.Masters[2].URI] != "allkeys-lru" {
		t.Errorf("policies %v", policies)
	}

	for _, full := range c.Masters {
		if err := s.Probe(t.Context()); err != nil {
			t.Error(err)
		}
		full.Do(t, "CONFIG", "SET", "maxmemory", 1)
		if err := s.Probe(t.Context()); !errors.Is(err, tracking.ErrUnavailable) {
			t.Errorf("%s took a script without memory for it: %v", full.URI, err)
		}
		full.Do(t, "CONFIG", "SET", "maxmemory", 0)
		if keys := full.Do(t, "DBSIZE"); keys != int64(0) {
			t.Errorf("left %d keys", keys)
		}
	}

	c.Masters[0].Do(t, "CLUSTER", "DELSLOTS", 0)
	holed, err := s.Inspect(t.Context())
	if err != nil || !slices.ContainsFunc(holed, func(i *redis.Inspection) bool { return i.State == "fail" && i.Slots == redis.SlotsInAll-1 }) {
		t.Errorf("with a slot that nobody serves: %v", err)
	}
	mustBeUnavailable(t, "Ping", func() error { return s.Ping(t.Context()) })

	alone, err := open(t, c.URI).Inspect(t.Context())
	if err != nil || len(alone) != 1 || !alone[0].Cluster {
		t.Errorf("one of its servers: %+v, %v", alone, err)
	}
	c.Masters[1].Kill()
	left, err := s.Inspect(t.Context())
	if err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(c.Masters[1].URI, "redis://")) || len(left) != 2 {
		t.Errorf("without one master: %d, %v", len(left), err)
	}
}

func TestInspectSaysThatAServerIsNoCluster(t *testing.T) {
	s := openCluster(t, servers.Redis(t).URI)
	if _, err := s.Inspect(t.Context()); !errors.Is(err, redis.ErrNoCluster) {
		t.Errorf("error %v", err)
	}
}
