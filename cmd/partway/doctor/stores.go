package doctor

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"partway/tracking/mongo"
	"partway/tracking/redis"
)

const checkAddress = "check its URL and the network between"

func sayingOf(about string, report func(Check)) func(s Status, name, seen, do string) {
	return func(s Status, name, seen, do string) { report(Check{s, about, name, seen, do}) }
}

// Mongo examines the database that records and audit trail go to. It leaves nothing there.
func Mongo(ctx context.Context, c mongo.Config, report func(Check)) {
	say := sayingOf("mongodb", report)
	begun := time.Now()
	found, err := mongo.Inspect(ctx, c)
	if err != nil {
		say(Fail, "reachable", err.Error(), checkAddress)
		return
	}
	judgeMongo(found, begun, report)
}

// judgeMongo: asked is when the question about the time went out, which is the first.
func judgeMongo(found *mongo.Inspection, asked time.Time, report func(Check)) {
	say := sayingOf("mongodb", report)
	say(OK, "reachable", "version "+found.Version, "")
	if !found.Time.IsZero() {
		report(storeClock("mongodb", found.Time, asked))
	}
	switch {
	case found.Mongos:
		say(OK, "replication", "a sharded cluster", "")
	case found.ReplicaSet == "":
		say(Warn, "replication", "a server of its own, no replica set: while it is away nothing can be begun or completed, and its disk is the only copy",
			"run a replica set of three")
	default:
		say(OK, "replication", "replica set "+found.ReplicaSet, "")
	}
	switch {
	case found.Schema > found.Newest:
		say(Fail, "schema", fmt.Sprintf("of version %d; this program knows %d", found.Schema, found.Newest), "run the newer version, or restore the backup from before it ran")
	case found.Schema == 0:
		say(OK, "schema", "none: no gateway has used this database yet", "")
	default:
		say(OK, "schema", "of version "+strconv.FormatInt(found.Schema, 10), "")
	}
	switch {
	case len(found.Missing) == 0:
		say(OK, "indexes", "all are there", "")
	case found.Schema == 0:
		say(OK, "indexes", "made by the first gateway that starts", "")
	default:
		say(Warn, "indexes", "missing: "+strings.Join(found.Missing, ", "), "start a gateway, which makes them; its user needs the right to")
	}
	if found.Write != nil {
		say(Fail, "majority writes", found.Write.Error(), "give the user readWrite on the database, and see that a majority of the members is up, with journals")
		return
	}
	say(OK, "majority writes", "acknowledged, from the journal", "")
}

// Redis examines the cache of the sessions.
func Redis(ctx context.Context, c redis.Config, report func(Check)) {
	say := sayingOf("redis", report)
	sessions, err := redis.Open(c)
	if err != nil {
		say(Fail, "reachable", err.Error(), checkAddress)
		return
	}
	defer sessions.Close()
	begun := time.Now()
	found, err := sessions.Inspect(ctx)
	switch {
	case errors.Is(err, redis.ErrNoCluster):
		say(Fail, "reachable", err.Error(), "take redis.cluster away, or name a server of a cluster")
	case err != nil && c.Cluster:
		say(Fail, "reachable", err.Error(), checkAddress+"; the gateway goes to every master, at the address that the cluster announces for it")
	case err != nil:
		say(Fail, "reachable", err.Error(), checkAddress)
	case c.Cluster:
		say(OK, "reachable", fmt.Sprintf("a cluster, %d masters", len(found)), "")
	default:
		say(OK, "reachable", "answers", "")
	}
	if len(found) > 0 { // of a cluster, those that answer are judged beside one that does not
		judgeRedis(found, c.Cluster, begun, sessions.Probe(ctx), report)
	}
}

// judgeRedis: found are the server or, of a cluster, those of its masters that answered; tried is how a script went.
func judgeRedis(found []*redis.Inspection, cluster bool, asked time.Time, tried error, report func(Check)) {
	say := sayingOf("redis", report)
	if cluster {
		judgeCluster(found, say)
	}
	switch do := "allow its user EVALSHA, EVAL and the commands of hashes and sorted sets on partway:*"; {
	case !cluster && found[0].Cluster: // whether it takes a script depends on the key
		say(Fail, "cluster", "a Redis Cluster: redis.url names one of its servers, which has a part of the keys", "set redis.cluster: true")
	case tried == nil:
		say(OK, "scripts", "run, and may write", "")
	case cluster:
		say(Fail, "scripts", tried.Error(), "see that all masters are there and have memory left, and on each "+do)
	case found[0].Role != "master":
		say(Fail, "scripts", tried.Error(), "name the master: this one is a copy")
	default:
		say(Fail, "scripts", tried.Error(), do)
	}
	for _, server := range found {
		about := "redis"
		if cluster {
			about += " " + server.Address
		}
		judgeRedisServer(server, asked, about, report)
	}
}

// judgeCluster: each master has its own view of the whole.
func judgeCluster(found []*redis.Inspection, say func(s Status, name, seen, do string)) {
	for _, server := range found {
		if server.State != "ok" || server.Slots != redis.SlotsInAll {
			say(Fail, "cluster", fmt.Sprintf("%s says: state %s, %d of %d slots served", server.Address, server.State, server.Slots, redis.SlotsInAll),
				"see what redis-cli --cluster check "+server.Address+" says, and bring back or replace the master that is gone")
			return
		}
	}
	say(OK, "cluster", fmt.Sprintf("state ok, all %d slots served", redis.SlotsInAll), "")
}

func judgeRedisServer(found *redis.Inspection, asked time.Time, about string, report func(Check)) {
	say := sayingOf(about, report)
	report(storeClock(about, found.Time, asked))
	report(redisVersion(about, found.Version))
	switch {
	case found.Policy == "":
		say(Warn, "eviction", "it does not say", "see that maxmemory-policy is noeviction")
	case found.Policy != "noeviction":
		say(Warn, "eviction", found.Policy+": when memory is full, ledgers of open uploads go, and with them limits that are held while parts arrive (Complete still holds them)",
			"set maxmemory-policy noeviction")
	default:
		say(OK, "eviction", "noeviction, maxmemory "+found.MaxMemory, "")
	}
	persistence := "none: its restart costs a moment and the ledgers of open uploads, no upload"
	if found.AOF {
		persistence = "append-only file; a cache needs none"
	}
	say(OK, "persistence", persistence, "")
}

// Scripts that write after they asked for the time need 5.0; the tests run on 7.0.
const (
	redisNeeded = 5
	redisTested = 7
)

// redisVersion judges one; a version that is no number is let pass.
func redisVersion(about, version string) Check {
	c := Check{OK, about, "version", version, ""}
	text, _, _ := strings.Cut(version, ".")
	switch major, err := strconv.Atoi(text); {
	case err != nil || major >= redisTested:
	case major < redisNeeded:
		c.Status, c.Do = Fail, "run 7.0 or newer"
	default:
		c.Status, c.Seen, c.Do = Warn, version+": older than those that Partway is tested on", "run 7.0 or newer"
	}
	return c
}
