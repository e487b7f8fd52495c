package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"partway/tracking"
)

// Inspection is what there is to know about a Redis before a gateway relies on it.
type Inspection struct {
	Address   string
	Version   string
	Time      time.Time // there, when it answered
	Role      string    // "master", "slave"
	MaxMemory string    // "0": no limit
	Policy    string    // of eviction
	AOF       bool      // what it acknowledged survives its restart

	Cluster bool   // it is a server of one
	State   string // of the cluster, as this server sees it: "ok", "fail"
	Slots   int    // that it knows to be served, of SlotsInAll
}

// SlotsInAll is how many slots a cluster divides among its masters.
const SlotsInAll = 16384

// inspectTimeout bounds each question. It is nobody's request that waits.
const inspectTimeout = 5 * time.Second

// ErrNoCluster is of a server that is configured as a cluster's and belongs to none.
var ErrNoCluster = errors.New("no Redis Cluster")

// Inspect asks for what any user may be told: INFO, CLUSTER INFO and TIME, and no CONFIG, which hosted ones refuse. Of a cluster it asks every
// master; those that answered are returned beside the error of those that did not.
func (s *Sessions) Inspect(ctx context.Context) ([]*Inspection, error) {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	if s.cluster == nil {
		found, err := inspect(ctx, s.client)
		if err != nil {
			return nil, err
		}
		return []*Inspection{found}, nil
	}
	var (
		mu    sync.Mutex
		all   []*Inspection
		wrong []error
	)
	err := s.eachMaster(ctx, func(ctx context.Context, master *goredis.Client) error {
		found, err := inspect(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", master.Options().Addr, err))
			return nil
		}
		found.Address = master.Options().Addr
		all = append(all, found)
		return nil
	})
	if goredis.HasErrorPrefix(err, "This instance has cluster support disabled") {
		return nil, fmt.Errorf("redis: cluster slots: %w", ErrNoCluster)
	}
	slices.SortFunc(all, func(a, b *Inspection) int { return cmp.Compare(a.Address, b.Address) })
	return all, errors.Join(append(wrong, failed("cluster slots", err))...)
}

func inspect(ctx context.Context, server goredis.UniversalClient) (*Inspection, error) {
	text, err := server.Info(ctx).Result()
	if err != nil {
		return nil, failed("info", err)
	}
	said := fields(text)
	if said["redis_version"] == "" {
		return nil, fmt.Errorf("redis: info: %w: the answer names no version", tracking.ErrUnavailable)
	}
	found := &Inspection{
		Version: said["redis_version"], Role: said["role"], Cluster: said["cluster_enabled"] == "1",
		MaxMemory: said["maxmemory"], Policy: said["maxmemory_policy"], AOF: said["aof_enabled"] == "1",
	}
	if found.Time, err = server.Time(ctx).Result(); err != nil {
		return nil, failed("time", err)
	}
	if !found.Cluster {
		return found, nil
	}
	if text, err = server.ClusterInfo(ctx).Result(); err != nil {
		return nil, failed("cluster info", err)
	}
	said = fields(text)
	found.State = said["cluster_state"]
	found.Slots, _ = strconv.Atoi(said["cluster_slots_ok"]) // 0 is what is worth a look
	return found, nil
}

// fields of what INFO and CLUSTER INFO answer.
func fields(text string) map[string]string {
	said := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			said[name] = value
		}
	}
	return said
}

// Probe runs a script as each step of an upload does, of a cluster on every master: a Redis that is a copy, is full or forbids scripts is
// ErrUnavailable.
func (s *Sessions) Probe(ctx context.Context) error {
	ids, err := s.idsOnEach(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.PutState(ctx, id, tracking.StateOpen, time.Now().Add(time.Minute)); err != nil {
			return err
		}
		if err := s.Forget(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// idsOnEach are ids of uploads whose keys lie on different servers, one on each that has slots enough to be met by chance.
func (s *Sessions) idsOnEach(ctx context.Context) ([]string, error) {
	if s.cluster == nil {
		return []string{"doctor"}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	const draws = 1000
	var ids []string
	met := map[string]bool{}
	for i := range draws {
		id := "doctor-" + strconv.Itoa(i)
		master, err := s.cluster.MasterForKey(ctx, keys(id)[0])
		if err != nil {
			return nil, failed("cluster slots", err)
		}
		if addr := master.Options().Addr; !met[addr] {
			met[addr] = true
			ids = append(ids, id)
		}
	}
	return ids, nil
}
