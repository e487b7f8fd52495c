//go:build soak

package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"time"

	"partway/e2e/harness"
)

func TestSoakMongoDBOutage(t *testing.T) {
	mongoOutage(t, harness.MongoJavaServer, time.Duration(setting(t, "PARTWAY_SOAK_OUTAGE", 600))*time.Second)
}

// paced is from the begin of one pass to that of the next, or what the pass takes if that is more: some 20,000 batches in an hour, which is what
// the servers in MongoDB's place still read.
const paced = 3 * time.Second

// Mixed load with every server failing now and then: nothing is lost, nothing lies, and once it settles the gateway holds no more than it
// held before.
func TestSoakMixedLoad(t *testing.T) {
	seed := uint64(setting(t, "PARTWAY_SOAK_SEED", int(rand.Int64())))
	t.Logf("PARTWAY_SOAK_SEED=%d", seed)
	draw := rand.New(rand.NewPCG(seed, 2))
	length := time.Duration(setting(t, "PARTWAY_SOAK_LOAD", 3600)) * time.Second
	admin, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	s := ownStack(t, harness.Setup{Mongo: harness.MongoJavaServer, Lines: true, Config: []string{"server: {admin_listen: '" + admin + "'}"}})
	var load mixed
	for range 12 {
		load.tenants = append(load.tenants, s.UncheckedTenant(t))
	}
	load.passes(t, 2*len(load.tenants)) // fill what is kept for good: pools, caches
	before := settled(t, s, admin)

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
		next := time.Now().Add(paced)
		load.passes(t, 1)
		pause(over, time.Until(next))
	}
	faults.Wait()
	load.passes(t, len(load.tenants)) // without faults, as before
	noGaps(t, s)
	after := settled(t, s, admin)
	t.Logf("%v, %d passes of the clients, %d violations, faults: %v", length, load.passed, load.violations, counts)
	t.Logf("before: %v", before)
	t.Logf("after:  %v", after)
	if after.goroutines > before.goroutines+5 || after.files > before.files+5 || after.heap > before.heap*1.1 {
		t.Error("the gateway holds more than before")
	}
}

// mixed is the load of tenants that come again and again.
type mixed struct {
	tenants            []*harness.Tenant
	passed, violations int
}

// passes are the next tenants' work, one after the other, each held to what it was told.
func (m *mixed) passes(t *testing.T, times int) {
	for range times {
		n := m.tenants[m.passed%len(m.tenants)]
		c := n.NewClient()
		c.Prefix = fmt.Sprintf("%spass-%d/", n.Prefix, m.passed)
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
		m.passed, m.violations = m.passed+1, m.violations+len(found)
	}
}

// footprint is what a process holds.
type footprint struct{ goroutines, files, heap, resident float64 }

func (f footprint) String() string {
	return fmt.Sprintf("%v goroutines, %v file descriptors, %.2f MiB of the heap alive, %.1f MiB resident", f.goroutines, f.files, f.heap/mib, f.resident/mib)
}

// settled waits until idle connections are gone and the numbers stay as they are: the least of each over two minutes, after collections.
func settled(t *testing.T, s *harness.Stack, admin string) (least footprint) {
	t.Helper()
	end := time.Now().Add(2 * time.Minute)
	for i := 0; time.Now().Before(end); i++ {
		collect(t, admin)
		var now footprint
		for name, value := range map[string]*float64{
			"go_goroutines": &now.goroutines, "process_open_fds": &now.files,
			"go_gc_heap_live_bytes": &now.heap, "process_resident_memory_bytes": &now.resident,
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
		least = footprint{
			min(least.goroutines, now.goroutines), min(least.files, now.files), min(least.heap, now.heap), min(least.resident, now.resident),
		}
		pause(t.Context(), time.Second)
	}
	return least
}

// collect has the gateway collect its garbage, which it otherwise lets lie: it asks for a profile of what is alive.
func collect(t *testing.T, admin string) {
	t.Helper()
	resp, err := http.Get("http://" + admin + "/debug/pprof/heap?gc=1")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("profile of the heap: %s %v", resp.Status, err)
	}
}
