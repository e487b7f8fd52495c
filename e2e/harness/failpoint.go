package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// Failpoint is a fault at one step of what the gateway does.
type Failpoint struct {
	Step string // "storage." and an S3 operation, or a method of the gateway's stores; see cmd/partway/failpoints.go
	Nth  int    // which call of it, counted from when the failpoint is armed
	// Fault is crash-before or crash-after (kill -9 before the call, or once it took effect), fail (no effect, an error) or lost (it took
	// effect, an error).
	Fault string
}

func (f Failpoint) String() string { return fmt.Sprintf("%s of %s %d", f.Fault, f.Step, f.Nth) }

var names atomic.Int64

// Arm sets failpoints; those before are gone. The stack was set up with Failpoints and runs a binary that has them.
func (s *Stack) Arm(points ...Failpoint) error {
	g := s.Gateway // this run of it
	s.storageFaults.disarm()
	s.armed = nil
	var plan strings.Builder
	for _, p := range points {
		if operation, ok := strings.CutPrefix(p.Step, "storage."); ok {
			s.storageFaults.arm(operation, p.Nth, p.Fault, g.Kill)
			continue
		}
		name := fmt.Sprint("fp", names.Add(1))
		s.armed = append(s.armed, name)
		fmt.Fprintf(&plan, "%s %s %d %s\n", name, p.Step, p.Nth, p.Fault)
	}
	// In one step, so that no half of a plan is read.
	next := filepath.Join(s.Dir, "failpoint.next")
	if err := os.WriteFile(next, []byte(plan.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.failpoint())
}

// Reached reports whether every failpoint that is armed was reached.
func (s *Stack) Reached() bool {
	text, _ := os.ReadFile(s.failpoint() + ".reached") // not there: none was
	reached := strings.Fields(string(text))
	return s.storageFaults.reached() && !slices.ContainsFunc(s.armed, func(name string) bool { return !slices.Contains(reached, name) })
}

func (s *Stack) failpoint() string { return filepath.Join(s.Dir, "failpoint") }
