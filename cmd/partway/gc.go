package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The collector's own rule, to let the heap double, is at odds with a gateway twice: with few megabytes alive it runs hundreds of times a second
// under a load of small requests (a fifth of a redirect's CPU), and with a thousand bodies under way it lets as much garbage lie as is alive. So
// the heap may grow to heapFloor whatever is alive, and beyond that by a third. What exceeds largeHeap, as a hundred thousand open uploads do, may
// double again: it takes so long to look through that requests would pay for it.
const (
	heapFloor = 16 << 20
	largeHeap = 64 << 20
)

// tuneGC holds the collector to that from here on, unless GOGC or GOMEMLIMIT say what their owner wants.
func tuneGC() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		afterGC()
	}
}

// afterGC sets what the next collection waits for, and is called again by the finalizer of something that it finds dead.
func afterGC() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(sample)
	debug.SetGCPercent(gcPercent(sample[0].Value.Uint64(), sample[1].Value.Uint64()+sample[2].Value.Uint64()))
	runtime.SetFinalizer(&struct{ _ [16]byte }{}, func(any) { afterGC() })
}

// gcPercent is the GOGC by which the heap reaches its bound; GOGC counts stacks and globals as well as the live heap, and the runtime collects no
// heap below 4 MiB times GOGC.
func gcPercent(live, others uint64) int {
	garbage := live / 3
	if live < heapFloor {
		garbage = max(garbage, heapFloor-live)
	}
	if live > largeHeap {
		garbage = max(garbage, live-largeHeap)
	}
	return int(min(100*garbage/max(live+others, 1), 100*heapFloor/(4<<20)))
}
