//go:build soak

package e2e

import (
	"os"
	"strconv"
	"testing"
)

// The long forms of what the other tests do in seconds, each bounded by variables of the environment:
//
//	PARTWAY_SOAK_SEED      of what is drawn at random; a run says which it took
//	PARTWAY_SOAK_CRASHES   that TestSoakCrashes counts to [500]
//	PARTWAY_SOAK_OUTAGE    seconds of TestSoakMongoDBOutage [600]
//	PARTWAY_SOAK_LOAD      seconds of TestSoakMixedLoad [3600]
//	PARTWAY_SOAK_OPEN      uploads that TestSoakOpenUploads has open at most [3000]
//	PARTWAY_SOAK_ROLLS     rounds of TestSoakRollingRestarts [20]

// setting is a number from the environment.
func setting(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
