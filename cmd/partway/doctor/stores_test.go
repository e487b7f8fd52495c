package doctor

import (
	"errors"
	"maps"
	"testing"
	"time"

	"partway/tracking/mongo"
	"partway/tracking/redis"
)

// judged are the statuses by check.
func judged(t *testing.T, judge func(func(Check))) map[string]Status {
	t.Helper()
	got := map[string]Status{}
	judge(func(c Check) {
		got[c.Name] = c.Status
		if c.Seen == "" || c.Status == OK && c.Do != "" || c.Status != OK && c.Do == "" {
			t.Errorf("unclear: %+v", c)
		}
	})
	return got
}

func TestWhatIsSaidOfMongoDB(t *testing.T) {
	asked := time.Now()
	for _, c := range []struct {
		name   string
		change func(*mongo.Inspection)
		want   map[string]Status // beside OK
	}{
		{"a replica set in use", func(*mongo.Inspection) {}, nil},
		{"a sharded cluster", func(i *mongo.Inspection) { i.ReplicaSet, i.Mongos = "", true }, nil},
		{"a server of its own", func(i *mongo.Inspection) { i.ReplicaSet = "" }, map[string]Status{"replication": Warn}},
		{"clock ahead", func(i *mongo.Inspection) { i.Time = asked.Add(time.Minute) }, map[string]Status{"clock": Warn}},
		{"clock behind", func(i *mongo.Inspection) { i.Time = asked.Add(-time.Minute) }, map[string]Status{"clock": Warn}},
		{"a new database", func(i *mongo.Inspection) { i.Schema, i.Missing = 0, []string{"uploads.id"} }, nil},
		{"an index is gone", func(i *mongo.Inspection) { i.Missing = []string{"uploads.id"} }, map[string]Status{"indexes": Warn}},
		{"of a newer version", func(i *mongo.Inspection) { i.Schema = 2 }, map[string]Status{"schema": Fail}},
		{"no majority", func(i *mongo.Inspection) { i.Write = errors.New("not enough data-bearing nodes") }, map[string]Status{"majority writes": Fail}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := &mongo.Inspection{Version: "8.0", Time: asked, ReplicaSet: "rs0", Schema: 1, Newest: 1}
			c.change(found)
			want := map[string]Status{"reachable": OK, "clock": OK, "replication": OK, "schema": OK, "indexes": OK, "majority writes": OK}
			maps.Copy(want, c.want)
			if got := judged(t, func(say func(Check)) { judgeMongo(found, asked, say) }); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestWhatIsSaidOfRedis(t *testing.T) {
	asked := time.Now()
	for _, c := range []struct {
		name   string
		change func(*redis.Inspection)
		tried  error
		want   map[string]Status // beside OK
	}{
		{"a cache", func(*redis.Inspection) {}, nil, nil},
		{"on disk", func(i *redis.Inspection) { i.AOF = true }, nil, nil},
		{"clock ahead", func(i *redis.Inspection) { i.Time = asked.Add(31 * time.Second) }, nil, map[string]Status{"clock": Warn}},
		{"too old", func(i *redis.Inspection) { i.Version = "4.0.9" }, nil, map[string]Status{"version": Fail}},
		{"old", func(i *redis.Inspection) { i.Version = "6.2.1" }, nil, map[string]Status{"version": Warn}},
		{"evicts", func(i *redis.Inspection) { i.Policy = "allkeys-lru" }, nil, map[string]Status{"eviction": Warn}},
		{"says no policy", func(i *redis.Inspection) { i.Policy = "" }, nil, map[string]Status{"eviction": Warn}},
		{"a server of a cluster", func(i *redis.Inspection) { i.Cluster = true }, errors.New("MOVED"), map[string]Status{"cluster": Fail}},
		{"a copy", func(i *redis.Inspection) { i.Role = "slave" }, errors.New("READONLY"), map[string]Status{"scripts": Fail}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := &redis.Inspection{Version: "7.0.15", Time: asked, Role: "master", MaxMemory: "0", Policy: "noeviction"}
			c.change(found)
			want := map[string]Status{"clock": OK, "version": OK, "scripts": OK, "eviction": OK, "persistence": OK}
			maps.Copy(want, c.want)
			if found.Cluster {
				delete(want, "scripts")
			}
			if got := judged(t, func(say func(Check)) { judgeRedis([]*redis.Inspection{found}, false, asked, c.tried, say) }); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestWhatIsSaidOfARedisCluster(t *testing.T) {
	asked := time.Now()
	for _, c := range []struct {
		name   string
		change func(*redis.Inspection) // of the second of two masters
		tried  error
		want   map[string]Status // beside OK
	}{
		{"a whole one", func(*redis.Inspection) {}, nil, nil},
		{"down", func(i *redis.Inspection) { i.State = "fail" }, nil, map[string]Status{"redis: cluster": Fail}},
		{"that lacks a slot", func(i *redis.Inspection) { i.Slots-- }, nil, map[string]Status{"redis: cluster": Fail}},
		{"one evicts", func(i *redis.Inspection) { i.Policy = "allkeys-lru" }, nil, map[string]Status{"redis b:1: eviction": Warn}},
		{"the clock of one is ahead", func(i *redis.Inspection) { i.Time = asked.Add(time.Minute) }, nil, map[string]Status{"redis b:1: clock": Warn}},
		{"one is too old", func(i *redis.Inspection) { i.Version = "4.0.9" }, nil, map[string]Status{"redis b:1: version": Fail}},
		{"one takes no scripts", func(*redis.Inspection) {}, errors.New("NOPERM"), map[string]Status{"redis: scripts": Fail}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := map[string]Status{"redis: cluster": OK, "redis: scripts": OK}
			var found []*redis.Inspection
			for _, address := range []string{"a:1", "b:1"} {
				found = append(found, &redis.Inspection{
					Address: address, Version: "7.0.15", Time: asked, Role: "master", MaxMemory: "0", Policy: "noeviction",
					Cluster: true, State: "ok", Slots: redis.SlotsInAll,
				})
				for _, check := range []string{"clock", "version", "eviction", "persistence"} {
					want["redis "+address+": "+check] = OK
				}
			}
			c.change(found[1])
			maps.Copy(want, c.want)
			got := judged(t, func(say func(Check)) {
				judgeRedis(found, true, asked, c.tried, func(c Check) { c.Name = c.About + ": " + c.Name; say(c) })
			})
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
