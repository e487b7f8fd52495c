package harness

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// RedisCluster are three redis-servers with a third of the slots each, and no copies.
type RedisCluster struct{ Masters []*RedisMaster }

// RedisMaster is a server of a cluster.
type RedisMaster struct {
	*Server
	dir, bus string
}

const redisSlots = 16384

// StartRedisCluster starts one that keeps nothing on disk but who belongs to it. Its servers take a minute to give one up that does not answer,
// so that none fails by itself on a busy machine.
func StartRedisCluster(ctx context.Context, dir string) (_ *RedisCluster, err error) {
	c := &RedisCluster{}
	defer func() {
		if err != nil {
			c.Kill()
		}
	}()
	const masters = 3
	for i := range masters {
		m := &RedisMaster{dir: filepath.Join(dir, "redis-"+strconv.Itoa(i))}
		if err := os.Mkdir(m.dir, 0o700); err != nil {
			return nil, err
		}
		bus, err := FreeAddr() // on which they speak to each other
		if err != nil {
			return nil, err
		}
		_, m.bus, _ = net.SplitHostPort(bus)
		if m.Server, err = startServer(ctx, m.log(), m.command); err != nil {
			return nil, err
		}
		c.Masters = append(c.Masters, m)
		host, port, _ := net.SplitHostPort(c.Masters[0].Addr)
		for _, command := range [][]string{
			{"CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i + 1)},
			{"CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i * redisSlots / masters), strconv.Itoa((i+1)*redisSlots/masters - 1)},
			{"CLUSTER", "MEET", host, port, c.Masters[0].bus},
		} {
			if _, err := m.Do(ctx, command...); err != nil {
				return nil, err
			}
		}
	}
	return c, c.AwaitState(ctx, "ok", c.Masters...)
}

// AwaitState waits until each of these sees the state of the cluster so.
func (c *RedisCluster) AwaitState(ctx context.Context, state string, masters ...*RedisMaster) error {
	for _, m := range masters {
		err := Await(ctx, "a cluster in state "+state, m.Process, func() bool {
			said, err := m.Do(ctx, "CLUSTER", "INFO")
			return err == nil && strings.Contains(said, "cluster_state:"+state+"\r") && strings.Contains(said, fmt.Sprintf("cluster_known_nodes:%d\r", len(c.Masters)))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Kill ends all of them.
func (c *RedisCluster) Kill() {
	for _, m := range c.Masters {
		m.Kill()
	}
}

// Start starts one again that was killed, as the same member of the cluster.
func (m *RedisMaster) Start(ctx context.Context) error {
	name, args, env := m.command(m.Addr)
	p, err := Start(m.log(), env, name, args...)
	if err != nil {
		return err
	}
	m.Process = p
	return Await(ctx, name+" on "+m.Addr, p, func() bool {
		_, err := m.Do(ctx, "PING")
		return err == nil
	})
}

// Do sends one command to this server.
func (m *RedisMaster) Do(ctx context.Context, command ...string) (string, error) {
	host, port, _ := net.SplitHostPort(m.Addr)
	answer, err := Run(ctx, nil, "redis-cli", append([]string{"-e", "-h", host, "-p", port}, command...)...)
	return strings.TrimSuffix(answer, "\n"), err
}

func (m *RedisMaster) log() string { return filepath.Join(m.dir, "redis.log") }

func (m *RedisMaster) command(addr string) (name string, args, env []string) {
	host, port, _ := net.SplitHostPort(addr)
	return "redis-server", []string{
		"--bind", host, "--port", port, "--cluster-port", m.bus, "--dir", m.dir, "--save", "", "--appendonly", "no",
		"--cluster-enabled", "yes", "--cluster-node-timeout", "60000",
	}, nil
}
