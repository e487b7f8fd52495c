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
		{"nothing yet", 0, 0, 16 * mib, 15 * mib},
		{"an idle gateway", 4 * mib, 1 * mib, 16 * mib, 15 * mib},
		{"a thousand bodies, with their stacks", 12 * mib, 13 * mib, 16 * mib, 15 * mib},
		{"a thousand over TLS", 42 * mib, 21 * mib, 56 * mib, 55 * mib},
		{"many open uploads", 90 * mib, 2 * mib, 120 * mib, 118 * mib},
		{"very many", 300 * mib, 4 * mib, 536 * mib, 530 * mib},
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
