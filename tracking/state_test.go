package tracking

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var states = []State{
	StateOpen, StatePaused, StateCompleting, StateCompleted, StateAborting, StateAborted, StateSuperseded, StateUnknown,
}

func TestMovesAreTheDocumentedOnes(t *testing.T) {
	allowed := map[State]string{
		StateOpen: "paused completing aborting", StatePaused: "open aborting", StateCompleting: "open completed superseded unknown",
		StateAborting: "open aborted", StateUnknown: "open completed superseded aborting",
	}
	for _, from := range states {
		var got []string
		for _, to := range states {
			if from.CanMove(to) {
				got = append(got, string(to))
			}
		}
		want := strings.Fields(allowed[from])
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s moves to %v, want %v", from, got, want)
		}
	}
}

// A walk of any length never leaves a terminal state, never completes what it did not ask storage to complete, and never
// aborts what it did not ask storage to abort.
func TestWalksKeepTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		walk := []State{StateOpen}
		for _, to := range rapid.SliceOfN(rapid.SampledFrom(states), 1, 50).Draw(t, "wishes") {
			from := walk[len(walk)-1]
			if !from.CanMove(to) {
				continue
			}
			walk = append(walk, to)
			switch {
			case from.Terminal() || from == to:
				t.Fatalf("moved %v", walk)
			case (to == StateCompleted || to == StateSuperseded || to == StateUnknown) && !slices.Contains(walk, StateCompleting):
				t.Fatalf("ended without completing: %v", walk)
			case to == StateAborted && from != StateAborting:
				t.Fatalf("aborted without aborting: %v", walk)
			}
		}
		last := walk[len(walk)-1]
		leaves := slices.ContainsFunc(states, last.CanMove)
		if leaves == last.Terminal() {
			t.Fatalf("%s: terminal %t, leaves %t", last, last.Terminal(), leaves)
		}
	})
}
