//go:build servers

package servers

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Cluster is a Redis Cluster under test: three masters with a third of the slots each, and a copy of the first if that was asked for.
type Cluster struct {
	Masters []*Server
	Replica *Server // of the first; nil without
	URI     string  // of the first, for a client that is told of one and finds the others
}

const (
	slots  = 16384
	thirds = 3
)

// RedisCluster starts a cluster that keeps nothing on disk but who belongs to it, and returns once all agree that it is whole. Its servers
// take a minute to give one up that does not answer: a busy machine has none fail by itself.
func RedisCluster(t testing.TB, withReplica bool) *Cluster {
	t.Helper()
	var c Cluster
	for range thirds {
		c.Masters = append(c.Masters, clusterServer(t, 0))
	}
	c.URI = c.Masters[0].URI
	for i, m := range c.Masters {
		m.Do(t, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
		m.Do(t, "CLUSTER", "ADDSLOTSRANGE", i*slots/thirds, (i+1)*slots/thirds-1)
		if i > 0 {
			m.meet(t, c.Masters[0])
		}
	}
	all := c.Masters
	if withReplica {
		c.Replica = clusterServer(t, 0)
		c.Replica.meet(t, c.Masters[0])
		all = append(all[:thirds:thirds], c.Replica)
		eventually(t, "the copy to know its master", func() error {
			return c.Replica.try(t.Context(), "CLUSTER", "REPLICATE", c.Masters[0].ID(t)).Err()
		})
	}
	for _, s := range all {
		s.whole(t, len(all))
	}
	if withReplica {
		eventually(t, "the copy", func() error {
			said, err := c.Replica.try(t.Context(), "INFO", "replication").Text()
			if err == nil && !strings.Contains(said, "master_link_status:up") {
				err = fmt.Errorf("%s", said)
			}
			return err
		})
	}
	return &c
}

// RedisClusterOfOne starts a server that has all slots. It tells clients that it is found at another port, of 127.0.0.1.
func RedisClusterOfOne(t testing.TB, announced int) *Server {
	t.Helper()
	s := clusterServer(t, announced)
	s.Do(t, "CLUSTER", "ADDSLOTSRANGE", 0, slots-1)
	s.whole(t, 1)
	return s
}

// whole waits until the server sees a cluster of so many servers at work.
func (s *Server) whole(t testing.TB, servers int) {
	t.Helper()
	eventually(t, "a cluster", func() error {
		said, err := s.try(t.Context(), "CLUSTER", "INFO").Text()
		if err == nil && (!strings.Contains(said, "cluster_state:ok") || !strings.Contains(said, fmt.Sprintf("cluster_known_nodes:%d\r", servers))) {
			err = fmt.Errorf("%s: %s", s.addr, said)
		}
		return err
	})
}

// clusterServer starts a server of a cluster; announced is the port that it tells clients, 0: its own.
func clusterServer(t testing.TB, announced int) *Server {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("redis-server: %v; make deps installs it", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // the servers speak to each other on a port of its own
	if err != nil {
		t.Fatal(err)
	}
	bus := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s := start(t, "redis-server", "redis://", func(port int, dir string) *exec.Cmd {
		return exec.Command(program, "--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--cluster-port", strconv.Itoa(bus), "--dir", dir, "--save", "", "--appendonly", "no",
			"--cluster-enabled", "yes", "--cluster-node-timeout", "60000", "--cluster-announce-ip", "127.0.0.1", "--cluster-announce-port", strconv.Itoa(announced),
			"--repl-diskless-sync-delay", "0")
	})
	s.bus = bus
	return s
}

func (s *Server) meet(t testing.TB, other *Server) {
	t.Helper()
	host, port, _ := net.SplitHostPort(other.addr)
	s.Do(t, "CLUSTER", "MEET", host, port, other.bus)
}

// ID of a cluster's server.
func (s *Server) ID(t testing.TB) string { return s.Do(t, "CLUSTER", "MYID").(string) }

// Do sends one command to this redis-server, wherever the cluster would.
func (s *Server) Do(t testing.TB, args ...any) any {
	t.Helper()
	answer, err := s.try(t.Context(), args...).Result()
	if err != nil {
		t.Fatalf("%s: %v: %v", s.addr, args, err)
	}
	return answer
}

func (s *Server) try(ctx context.Context, args ...any) *goredis.Cmd {
	c := goredis.NewClient(&goredis.Options{Addr: s.addr})
	defer c.Close()
	return c.Do(ctx, args...)
}

// Owner is the master that has, or may be told of, the key.
func (c *Cluster) Owner(t testing.TB, key string) *Server {
	t.Helper()
	slot := c.Slot(t, key)
	for i, m := range c.Masters {
		if slot < (i+1)*slots/thirds {
			return m
		}
	}
	panic("a slot past the last")
}

// Slot of a key.
func (c *Cluster) Slot(t testing.TB, key string) int {
	t.Helper()
	return int(c.Masters[0].Do(t, "CLUSTER", "KEYSLOT", key).(int64))
}

// eventually polls until call succeeds.
func eventually(t testing.TB, what string, call func() error) {
	t.Helper()
	late := time.After(startDeadline)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for err := call(); err != nil; err = call() {
		select {
		case <-poll.C:
		case <-late:
			t.Fatalf("waited for %s: %v", what, err)
		}
	}
}
