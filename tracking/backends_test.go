//go:build servers

package tracking_test

import (
	"crypto/rand"
	"os"
	"slices"
	"testing"
	"time"

	"partway/tracking"
	"partway/tracking/bolt"
	"partway/tracking/memory"
	"partway/tracking/mongo"
	"partway/tracking/redis"
	"partway/tracking/trackingtest"
	"partway/tracking/trackingtest/servers"
)

// Every store runs the suite here, so that one test can say how many did: none may fall out unnoticed.
func TestStores(t *testing.T) {
	want := []string{"bolt", "secantusdb", "mongo-java-server"}
	if os.Getenv("PARTWAY_TEST_MONGODB_URI") != "" {
		want = append(want, "mongodb")
	}
	var ran []string
	run := func(name string, open func(t *testing.T) tracking.Store) {
		t.Run(name, func(t *testing.T) { trackingtest.Store(t, open) })
		ran = append(ran, name)
	}

	run("bolt", func(t *testing.T) tracking.Store {
		s, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	})
	for _, server := range servers.Mongo(t) {
		run(server.Name, func(t *testing.T) tracking.Store {
			s, err := mongo.Open(t.Context(), mongo.Config{URI: server.URI, Database: "partway_test_" + rand.Text()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			if server.Name == "mongo-java-server" {
				return spelled{s}
			}
			return s
		})
	}
	if !slices.Equal(ran, want) {
		t.Errorf("the suite ran on %q, want %q", ran, want)
	}
}

// patience is for a machine that is busy: how soon Redis is given up on is tested where that is.
const patience = 10 * time.Second

// Every session cache runs the suite here, and is counted likewise.
func TestSessions(t *testing.T) {
	want := []string{"memory", "redis", "redis cluster"}
	var ran []string
	run := func(name string, open func(t *testing.T) tracking.Sessions) {
		t.Run(name, func(t *testing.T) { trackingtest.Sessions(t, open) })
		ran = append(ran, name)
	}

	run("memory", func(*testing.T) tracking.Sessions { return memory.New(memory.Config{}) })
	server := servers.Redis(t)
	run("redis", func(t *testing.T) tracking.Sessions {
		return openRedis(t, false, server)
	})
	cluster := servers.RedisCluster(t, false)
	run("redis cluster", func(t *testing.T) tracking.Sessions {
		return openRedis(t, true, cluster.Masters...)
	})
	if !slices.Equal(ran, want) {
		t.Errorf("the suite ran on %q, want %q", ran, want)
	}
}

// Every rate runs the suite here, and is counted likewise.
func TestRates(t *testing.T) {
	want := []string{"memory", "redis", "redis cluster"}
	var ran []string
	run := func(name string, open func(t *testing.T, perSecond int) tracking.Rates) {
		t.Run(name, func(t *testing.T) { trackingtest.Rates(t, open) })
		ran = append(ran, name)
	}

	run("memory", func(_ *testing.T, perSecond int) tracking.Rates { return memory.NewRates(perSecond, time.Now) })
	server := servers.Redis(t)
	run("redis", func(t *testing.T, perSecond int) tracking.Rates {
		return openRedis(t, false, server).Rates(perSecond)
	})
	cluster := servers.RedisCluster(t, false)
	run("redis cluster", func(t *testing.T, perSecond int) tracking.Rates {
		return openRedis(t, true, cluster.Masters...).Rates(perSecond)
	})
	if !slices.Equal(ran, want) {
		t.Errorf("the suite ran on %q, want %q", ran, want)
	}
}

// openRedis is a client of the server, or of the cluster whose masters these are, and nothing is there yet.
func openRedis(t *testing.T, cluster bool, masters ...*servers.Server) *redis.Sessions {
	t.Helper()
	for _, m := range masters {
		m.Do(t, "FLUSHALL")
	}
	s, err := redis.Open(redis.Config{URL: masters[0].URI, Cluster: cluster, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
