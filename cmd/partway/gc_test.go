package main

import "testing"

func TestGarbageIsBoundedByWhatIsAlive(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		name         string
		live, others uint64
		atMost       uint64 // the heap at the next collection
		atLeast      uint64
	}{
		{"nothing yet", 0, 0, 20 * mib, 19 * mib},
		{"an idle gateway", 4 * mib, 1 * mib, 20 * mib, 19 * mib},
		{"a thousand bodies, with their stacks", 16 * mib, 12 * mib, 24 * mib, 23 * mib},
		{"many open uploads", 100 * mib, 2 * mib, 150 * mib, 148 * mib},
	} {
		t.Run(c.name, func(t *testing.T) {
			percent := uint64(gcPercent(c.live, c.others))
			next := max(4*mib*percent/100, c.live+(c.live+c.others)*percent/100)
			if next > c.atMost || next < c.atLeast {
				t.Errorf("the next collection begins at %d MiB, want %d to %d", next/mib, c.atLeast/mib, c.atMost/mib)
			}
		})
	}
}
