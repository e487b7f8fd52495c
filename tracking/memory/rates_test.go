package memory

import (
	"fmt"
	"testing"
	"time"
)

func TestRatesForgetTenantsThatAreQuiet(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	r := NewRates(10, func() time.Time { return now })
	for i := range 10 * firstSweep {
		if within, err := r.Take(t.Context(), fmt.Sprint("tenant-", i)); err != nil || !within {
			t.Fatalf("tenant %d: %v, %v", i, within, err)
		}
		now = now.Add(time.Millisecond)
	}
	// Each is due a tenth of a second after its only request: some hundred are.
	if n := len(r.due); n > firstSweep {
		t.Errorf("%d tenants are remembered", n)
	}
}
