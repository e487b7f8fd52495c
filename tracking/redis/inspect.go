package redis

import (
	"context"
	"fmt"
	"strings"
	"time"

	"partway/tracking"
)

// Inspection is what there is to know about a Redis before a gateway relies on it.
type Inspection struct {
	Version   string
	Time      time.Time // there, when it answered
	Role      string    // "master", "slave"
	Cluster   bool
	MaxMemory string // "0": no limit
	Policy    string // of eviction
	AOF       bool   // what it acknowledged survives its restart
}

// inspectTimeout bounds each question. It is nobody's request that waits.
const inspectTimeout = 5 * time.Second

// Inspect asks for what any user may be told: INFO and TIME, and no CONFIG, which hosted ones refuse.
func (s *Sessions) Inspect(ctx context.Context) (*Inspection, error) {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	text, err := s.client.Info(ctx).Result()
	if err != nil {
		return nil, failed("info", err)
	}
	said := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			said[name] = value
		}
	}
	if said["redis_version"] == "" {
		return nil, fmt.Errorf("redis: info: %w: the answer names no version", tracking.ErrUnavailable)
	}
	now, err := s.client.Time(ctx).Result()
	if err != nil {
		return nil, failed("time", err)
	}
	return &Inspection{
		Version: said["redis_version"], Time: now, Role: said["role"], Cluster: said["cluster_enabled"] == "1",
		MaxMemory: said["maxmemory"], Policy: said["maxmemory_policy"], AOF: said["aof_enabled"] == "1",
	}, nil
}

// Probe runs a script as each step of an upload does: a Redis that is a copy, is full or forbids scripts is ErrUnavailable.
func (s *Sessions) Probe(ctx context.Context) error {
	const id = "doctor"
	if err := s.PutState(ctx, id, tracking.StateOpen, time.Now().Add(time.Minute)); err != nil {
		return err
	}
	return s.Forget(ctx, id)
}
