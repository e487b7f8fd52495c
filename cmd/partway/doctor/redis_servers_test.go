//go:build servers

package doctor

import (
	"maps"
	"strings"
	"testing"
	"time"

	"partway/tracking/redis"
	"partway/tracking/trackingtest/servers"
)

// Each check is said once. A master that does not answer is a failure, and the others are judged all the same.
func TestWhatIsSaidOfARedisThatIsThere(t *testing.T) {
	cluster := servers.RedisCluster(t, false)
	alone := servers.Redis(t)
	ofServer := []string{"clock", "version", "eviction", "persistence"}
	examine := func(t *testing.T, uri string, asCluster bool) map[string]Status {
		t.Helper()
		got := map[string]Status{}
		Redis(t.Context(), redis.Config{URL: uri, Cluster: asCluster, Timeout: 10 * time.Second}, func(c Check) {
			name := c.About + ": " + c.Name
			if _, twice := got[name]; twice {
				t.Errorf("said twice: %+v", c)
			}
			got[name] = c.Status
		})
		return got
	}
	for _, c := range []struct {
		name    string
		uri     string
		cluster bool
		before  func()
		want    map[string]Status
		judged  []string // servers
	}{
		{"a server", alone.URI, false, nil, map[string]Status{"redis: reachable": OK, "redis: scripts": OK}, []string{""}},
		{"that is no cluster", alone.URI, true, nil, map[string]Status{"redis: reachable": Fail}, nil},
		{"a cluster", cluster.URI, true, nil, map[string]Status{"redis: reachable": OK, "redis: cluster": OK, "redis: scripts": OK},
			[]string{cluster.Masters[0].URI, cluster.Masters[1].URI, cluster.Masters[2].URI}},
		{"that lacks a master", cluster.URI, true, cluster.Masters[2].Kill, map[string]Status{"redis: reachable": Fail, "redis: cluster": OK, "redis: scripts": Fail},
			[]string{cluster.Masters[0].URI, cluster.Masters[1].URI}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.before != nil {
				c.before()
			}
			for _, uri := range c.judged {
				about := strings.TrimSpace("redis " + strings.TrimPrefix(uri, "redis://"))
				for _, check := range ofServer {
					c.want[about+": "+check] = OK
				}
			}
			if got := examine(t, c.uri, c.cluster); !maps.Equal(got, c.want) {
				t.Errorf("said %v, want %v", got, c.want)
			}
		})
	}
}
