//go:build soak

package e2e

import "testing"

func TestSoakRollingRestarts(t *testing.T) { rollUnderLoad(t, setting(t, "PARTWAY_SOAK_ROLLS", 20)) }
