package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// mapEvery is how often a cluster in use is asked which server has which slots. A server that sends a call elsewhere makes the client ask
// at once; one that is gone tells nobody which copy took its place.
const mapEvery = time.Second

// newCluster bounds a call as newClient does. The client counts a MOVED or ASK that it follows, a step that is to be tried again (TRYAGAIN,
// CLUSTERDOWN, LOADING) and a connection that broke by one number; the last may have lost the answer of a script that was run. So that number
// is 1: a script is run twice at most, as on one server, and a call that needs more goes without an answer while the client learns.
func newCluster(c Config) (*goredis.ClusterClient, error) {
	if err := checkClusterURL(c.URL); err != nil {
		return nil, err
	}
	o, err := goredis.ParseClusterURL(c.URL)
	if err != nil {
		return nil, err
	}
	o.ContextTimeoutEnabled = true
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout, c.Timeout
	o.DialerRetries = 1
	o.MaxRedirects = 1
	o.MaxRetries = -1                                                   // of each server's own client, within that
	o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false // what a copy says is late
	o.DisableRoutingPolicies = true                                     // they begin with COMMAND, which has a patience of its own
	o.ClusterStateReloadInterval = mapEvery
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return goredis.NewClusterClient(o), nil
}

// checkClusterURL refuses what the client would pass over, and addresses that it would print, whatever they hold.
func checkClusterURL(text string) error {
	if u, err := url.Parse(text); err == nil {
		for _, addr := range u.Query()["addr"] {
			if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "" || strings.Contains(host, "@") {
				return errors.New("addr is not HOST:PORT; user and password stand before the first host, for all")
			}
		}
	}
	u, err := parseURL(text)
	if err != nil {
		return err
	}
	if database := strings.Trim(u.Path, "/"); database != "" && database != "0" {
		return errors.New("names a database: a cluster has none but 0")
	}
	return nil
}

// eachMaster asks every master at once. One error is returned; a cluster that nobody has divided yet is one.
func (s *Sessions) eachMaster(ctx context.Context, ask func(ctx context.Context, master *goredis.Client) error) error {
	var asked atomic.Int32
	err := s.cluster.ForEachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		asked.Add(1)
		if err := ask(ctx, master); err != nil {
			return fmt.Errorf("%s: %w", master.Options().Addr, err)
		}
		return nil
	})
	if err == nil && asked.Load() == 0 {
		err = errors.New("no server of the cluster has any slots")
	}
	return err
}

// healthy asks a master what it thinks of its cluster: by default each refuses every step while nobody serves some slot.
func healthy(ctx context.Context, master *goredis.Client) error {
	text, err := master.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	if state := fields(text)["cluster_state"]; state != "ok" {
		return fmt.Errorf("the state of the cluster is %q", state)
	}
	return nil
}
