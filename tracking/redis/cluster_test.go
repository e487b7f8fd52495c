//go:build servers

package redis_test

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"partway/tracking"
	"partway/tracking/redis"
	"partway/tracking/trackingtest/servers"
)

// patience is for a machine that is busy, where it is not the test how soon a cluster is given up on.
const patience = 10 * time.Second

const (
	sessionKey = "partway:{u1}:session"
	grantsKey  = "partway:{u1}:grants"
)

// While a slot goes from one server to another, each step of its uploads is done once, wherever their keys are by then.
func TestLedgerGoesAlongWithItsSlot(t *testing.T) {
	t.Parallel()
	c := servers.RedisCluster(t, false)
	s, err := redis.Open(redis.Config{URL: c.URI, Cluster: true, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	from := c.Owner(t, sessionKey)
	to := c.Masters[(slices.Index(c.Masters, from)+1)%len(c.Masters)]
	slot := c.Slot(t, sessionKey)
	var want []int
	step := func(stage string) {
		t.Helper()
		want = append(want, len(want)+1)
		if err := reserve(t.Context(), s, tracking.Part{Number: len(want), Bytes: 10, Road: "relay"}); err != nil {
			t.Errorf("%s: %v", stage, err)
		}
		got, err := s.Session(t.Context(), "u1")
		if err != nil || got.Bytes != int64(10*len(want)) || len(got.Parts) != len(want) {
			t.Errorf("%s: session %+v, %v, want %d parts", stage, got, err, len(want))
		}
	}
	step("before")
	lapsing := tracking.Part{Number: 100, Bytes: 1000, Road: "sign", Until: time.Now().Add(-time.Minute)}
	to.Do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", from.ID(t))
	from.Do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", to.ID(t))
	step("begun")
	for _, n := range []int{1, 2} { // the second takes the first away, the last grant that there was
		lapsing.Number = 100 * n
		if err := reserve(t.Context(), s, lapsing); err != nil {
			t.Errorf("a grant that lapses at once: %v", err)
		}
	}
	step("after grants that lapsed")

	host, port, _ := net.SplitHostPort(strings.TrimPrefix(to.URI, "redis://"))
	from.Do(t, "MIGRATE", host, port, "", 0, 5000, "KEYS", sessionKey)
	mustBeUnavailable(t, "with one key gone on ahead", func() error { return reserve(t.Context(), s, tracking.Part{Number: 1}) })
	from.Do(t, "MIGRATE", host, port, "", 0, 5000, "KEYS", grantsKey)
	step("moved")
	if asks := refusals(t, from, "ASK"); asks == 0 {
		t.Error("nothing was sent on by ASK")
	}
	for _, m := range []*servers.Server{to, from} {
		m.Do(t, "CLUSTER", "SETSLOT", slot, "NODE", to.ID(t))
	}
	step("handed over")
	if refusals(t, from, "MOVED") == 0 {
		t.Error("nothing was sent on by MOVED")
	}
	step("known")
	moved := refusals(t, from, "MOVED")
	eventually(t, "the client to know", func() error {
		step("afterwards")
		if now := refusals(t, from, "MOVED"); now != moved {
			moved = now
			return errors.New("it asks where the slot was")
		}
		return nil
	})
}

// refusals of one kind that a server has answered with.
func refusals(t *testing.T, s *servers.Server, kind string) int {
	t.Helper()
	return counted(t, s, "errorstats", "errorstat_"+kind+":count=")
}

// counted is a number in what INFO says, 0 where it says none.
func counted(t *testing.T, s *servers.Server, section, before string) int {
	t.Helper()
	_, after, _ := strings.Cut(fmt.Sprint(s.Do(t, "INFO", section)), before)
	digits := strings.IndexFunc(after+"\r", func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.Atoi(after[:digits])
	if digits > 0 && err != nil {
		t.Fatal(err)
	}
	return n
}

// A master that is gone costs the uploads whose slots it has, and nothing else until the others give it up; then its copy is asked.
func TestClusterWithoutAMaster(t *testing.T) {
	t.Parallel()
	c := servers.RedisCluster(t, true)
	s := openCluster(t, c.URI)
	on := func(m *servers.Server) func() error { // a step of an upload there
		for i := 0; ; i++ {
			if id := fmt.Sprint("u", i); c.Owner(t, "partway:{"+id+"}:session") == m {
				return func() error { return s.PutState(t.Context(), id, tracking.StateOpen, inAnHour) }
			}
		}
	}
	first, second := on(c.Masters[0]), on(c.Masters[1])
	for name, call := range map[string]func() error{"first": first, "second": second, "Ping": func() error { return s.Ping(t.Context()) }} {
		eventually(t, name, call)
	}

	c.Masters[0].Hang(t)
	mustBeUnavailable(t, "on the master that hangs", first)
	c.Masters[0].Kill()
	mustBeUnavailable(t, "on the master that is gone", first)
	mustBeUnavailable(t, "Ping", func() error { return s.Ping(t.Context()) })
	eventually(t, "another master", second)
	c.Replica.Do(t, "CLUSTER", "FAILOVER", "TAKEOVER")
	eventually(t, "the copy", first)
	eventually(t, "Ping", func() error { return s.Ping(t.Context()) })

	// One without a copy: all refuse everything once they have given it up, and take it up again when it is back.
	c.Masters[1].Kill()
	for _, m := range []*servers.Server{c.Masters[2], c.Replica} {
		m.Do(t, "CONFIG", "SET", "cluster-node-timeout", 500)
	}
	eventually(t, "a cluster that is down", func() error {
		mustBeUnavailable(t, "Ping", func() error { return s.Ping(t.Context()) })
		mustBeUnavailable(t, "on the master that is gone", second)
		if first() == nil {
			return errors.New("it serves what it has")
		}
		return nil
	})
	mustBeUnavailable(t, "on a master that is there", first)
	c.Masters[1].Start(t)
	for name, call := range map[string]func() error{"Ping": func() error { return s.Ping(t.Context()) }, "first": first, "second": second} {
		eventually(t, name, call)
	}
}

// What the connection lost may have been done: a script is run twice at most, whatever the client makes of it.
func TestScriptWhoseAnswerIsLostRunsTwiceAtMost(t *testing.T) {
	t.Parallel()
	for _, cluster := range []bool{false, true} {
		t.Run(fmt.Sprintf("cluster=%v", cluster), func(t *testing.T) {
			line := listen(t)
			var server *servers.Server
			if cluster {
				server = servers.RedisClusterOfOne(t, line.port())
			} else {
				server = servers.Redis(t)
			}
			go line.serve(strings.TrimPrefix(server.URI, "redis://"))
			url := "redis://" + line.addr() + "?max_retries=5"
			if cluster {
				url += "&max_redirects=5"
			}
			s, err := redis.Open(redis.Config{URL: url, Cluster: cluster, Timeout: patience})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			rate := s.Rates(1000)
			if ok, err := rate.Take(t.Context(), "t"); err != nil || !ok {
				t.Fatal(ok, err)
			}
			before := counted(t, server, "commandstats", "cmdstat_evalsha:calls=")
			line.losing.Store(true)
			if _, err := rate.Take(t.Context(), "t"); !errors.Is(err, tracking.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
			if runs := counted(t, server, "commandstats", "cmdstat_evalsha:calls=") - before; runs != 2 {
				t.Errorf("run %d times", runs)
			}
		})
	}
}

// lossy passes bytes on to a Redis, until it loses: then it lets a script through and closes the connection in place of its answer.
type lossy struct {
	net.Listener
	losing atomic.Bool
}

func (l *lossy) addr() string { return l.Addr().String() }
func (l *lossy) port() int    { return l.Addr().(*net.TCPAddr).Port }

func listen(t *testing.T) *lossy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &lossy{Listener: l}
}

func (l *lossy) serve(to string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		go l.pass(client, to)
	}
}

// pass ends with the client, and ends the client.
func (l *lossy) pass(client net.Conn, to string) {
	defer client.Close()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	var lose atomic.Bool
	go func() {
		defer server.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if err != nil {
				return
			}
			if l.losing.Load() && strings.Contains(string(buf[:n]), "evalsha") {
				lose.Store(true)
			}
			if _, err := server.Write(buf[:n]); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil || lose.Load() {
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}
