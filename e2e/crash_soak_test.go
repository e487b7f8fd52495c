//go:build soak

package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"partway/e2e/harness"
)

// writes are the steps of which crashes and faults are drawn, and how often one pass of the clients takes each at least.
var writes = []struct {
	step  string
	times int
}{
	{"InsertUpload", 5}, {"Upload", 11}, {"SwapUpload.open", 5}, {"SwapUpload.completing", 4}, {"SwapUpload.completed", 4},
	{"SwapUpload.aborting", 1}, {"SwapUpload.aborted", 1}, {"AppendBatch", 12}, {"Reserve", 6}, {"Land", 5},
	{"Charge", 6}, {"Settle", 5},
	{"PutState.open", 5}, {"PutState.completing", 4}, {"PutState.completed", 4},
	{"storage.CreateMultipartUpload", 5}, {"storage.UploadPart", 6}, {"storage.ListParts", 4}, {"storage.CompleteMultipartUpload", 4},
	{"storage.AbortMultipartUpload", 1}, {"storage.PutObject", 2},
}

// crashesOfAStack is how many a gateway's stores live through before they are looked at as a whole and the next ones are begun with. MongoDB's
// stand-in reads the longer the more it holds.
const crashesOfAStack = 50

// Killed hundreds of times at steps drawn at random, also while it takes up what a crash before left, and with calls that fail on the way.
func TestSoakCrashes(t *testing.T) {
	seed := uint64(setting(t, "PARTWAY_SOAK_SEED", int(rand.Int64())))
	t.Logf("PARTWAY_SOAK_SEED=%d", seed)
	draw := rand.New(rand.NewPCG(seed, 1))
	point := func(faults ...string) harness.Failpoint {
		w := writes[draw.IntN(len(writes))]
		return harness.Failpoint{Step: w.step, Nth: 1 + draw.IntN(w.times), Fault: faults[draw.IntN(len(faults))]}
	}
	want := setting(t, "PARTWAY_SOAK_CRASHES", 500)
	crashes, rounds := 0, 0
	at := map[string]int{}
	for until := 0; crashes < want && !t.Failed(); {
		until = min(until+crashesOfAStack, want)
		t.Run(fmt.Sprintf("to %d", until), func(t *testing.T) {
			stacks := []*harness.Stack{crashing(t, ""), crashing(t, harness.SecantusDB)}
			for ; crashes < until; rounds++ {
				first := []harness.Failpoint{point("crash-before", "crash-after")}
				if draw.IntN(2) == 0 {
					first = append(first, point("fail", "lost"))
				}
				sequence := [][]harness.Failpoint{first}
				for draw.IntN(3) == 0 {
					sequence = append(sequence, []harness.Failpoint{point("crash-before", "crash-after"), point("fail", "lost")})
				}
				n, reached := outlive(t, stacks[rounds%len(stacks)], sequence...)
				if crashes += n; n > 0 && reached {
					at[fmt.Sprintf("%s %s", first[0].Fault, first[0].Step)]++
				}
			}
			for _, s := range stacks {
				noGaps(t, s)
				sweptClean(t, s)
			}
			t.Logf("%d crashes so far, in %d rounds", crashes, rounds)
		})
	}
	if t.Failed() {
		return
	}
	t.Logf("%d crashes in %d rounds, without a violation", crashes, rounds)
	for name, n := range at {
		t.Logf("%4d %s", n, name)
	}
}
