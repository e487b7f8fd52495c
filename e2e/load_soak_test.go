//go:build soak

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"partway/e2e/harness"
)

func TestSoakMongoDBOutage(t *testing.T) {
	mongoOutage(t, harness.MongoJavaServer, time.Duration(setting(t, "PARTWAY_SOAK_OUTAGE", 600))*time.Second)
}

// Mixed load with every server failing now and then: nothing is lost, nothing lies, and once it settles the gateway holds no more than it
// held before.
func TestSoakMixedLoad(t *testing.T) {
	seed := uint64(setting(t, "PARTWAY_SOAK_SEED", int(rand.Int64())))
	t.Logf("PARTWAY_SOAK_SEED=%d", seed)
	draw := rand.New(rand.NewPCG(seed, 2))
	length := time.Duration(setting(t, "PARTWAY_SOAK_LOAD", 3600)) * time.Second
	s := ownStack(t, harness.Setup{Mongo: harness.MongoJavaServer, Lines: true}) // SecantusDB reads too slowly what half an hour leaves
	// The first passes fill what is kept for good: pools, caches, the heap's working size.
	rounds, violations := pass(t, s, 5)
	before := settled(t, s)

	over, end := context.WithTimeout(t.Context(), length)
	defer end()
	var faults sync.WaitGroup
	counts := map[string]int{}
	faults.Go(func() {
		for over.Err() == nil {
			server := []string{"redis", "mongodb", "storage"}[draw.IntN(3)]
			fault := []string{harness.Down, harness.Slow, harness.Reset, harness.HalfOpen}[draw.IntN(4)]
			if err := s.Lines[server].Break(fault); err != nil {
				t.Error(err)
				return
			}
			counts[server+" "+fault]++
			pause(over, time.Duration(1+draw.IntN(4))*time.Second)
			if err := s.Lines[server].Mend(); err != nil {
				t.Error(err)
				return
			}
			pause(over, time.Duration(1+draw.IntN(6))*time.Second)
		}
	})
	for over.Err() == nil && !t.Failed() {
		n, v := pass(t, s, 1)
		rounds, violations = rounds+n, violations+v
	}
	faults.Wait()
	n, v := pass(t, s, 5) // without faults, as before
	rounds, violations = rounds+n, violations+v
	noGaps(t, s)
	after := settled(t, s)
	t.Logf("%v, %d passes of the clients, %d violations, faults: %v", length, rounds, violations, counts)
	t.Logf("before: %v", before)
	t.Logf("after:  %v", after)
	if after.goroutines > before.goroutines+5 || after.files > before.files+5 || after.memory > before.memory*1.1 {
		t.Error("the gateway holds more than before")
	}
}

// pass is so many tenants' work, one after the other, each held to what it was told.
func pass(t *testing.T, s *harness.Stack, times int) (passes, violations int) {
	for range times {
		c := s.UncheckedTenant(t).NewClient()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		if err := work(ctx, c); err != nil {
			t.Error(err)
		}
		found, err := c.Violations(ctx)
		cancel()
		if err != nil {
			t.Error(err)
		}
		for _, v := range found {
			t.Error(v)
		}
		passes, violations = passes+1, violations+len(found)
	}
	return passes, violations
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// footprint is what a process holds.
type footprint struct{ goroutines, files, memory float64 }

func (f footprint) String() string {
	return fmt.Sprintf("%v goroutines, %v file descriptors, %.1f MiB in use of the heap", f.goroutines, f.files, f.memory/mib)
}

// settled waits until idle connections are gone and the numbers stay as they are: the least of each over two minutes.
func settled(t *testing.T, s *harness.Stack) (least footprint) {
	t.Helper()
	end := time.Now().Add(2 * time.Minute)
	for i := 0; time.Now().Before(end); i++ {
		var now footprint
		for name, value := range map[string]*float64{
			"go_goroutines": &now.goroutines, "process_open_fds": &now.files, "go_memstats_heap_alloc_bytes": &now.memory,
		} {
			n, err := s.Gateway.Metric(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			*value = n
		}
		if i == 0 {
			least = now
		}
		least = footprint{min(least.goroutines, now.goroutines), min(least.files, now.files), min(least.memory, now.memory)}
		pause(t.Context(), time.Second)
	}
	return least
}
