package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"partway/e2e/harness"
)

// failpoints is the binary that has them, built by the first test that needs it.
var failpoints = sync.OnceValues(func() (string, error) { return harness.BuildFailpoints(buildDir) })

// crashing is a stack of a gateway that can be told where to die.
func crashing(t *testing.T, mongo string) *harness.Stack {
	t.Helper()
	bin, err := failpoints()
	if err != nil {
		t.Fatal(err)
	}
	s, err := harness.NewServe(t.Context(), bin, t.TempDir(), harness.Setup{Mongo: mongo, Failpoints: true, Config: []string{"sweep: {interval: 1s}"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Killed at any step, the gateway has lost nothing that it acknowledged and says nothing after it that it did not say before.
func TestKilledAtEveryStep(t *testing.T) {
	const before, after = "crash-before", "crash-after"
	steps := map[string][]harness.Failpoint{
		"": {
			{Step: "InsertUpload", Nth: 2, Fault: after},
			{Step: "SwapUpload.open", Nth: 1, Fault: before},
			{Step: "SwapUpload.open", Nth: 2, Fault: after},
			{Step: "SwapUpload.completing", Nth: 1, Fault: after},
			{Step: "SwapUpload.completed", Nth: 1, Fault: before},
			{Step: "Settle", Nth: 2, Fault: before},
			{Step: "SwapUpload.aborted", Nth: 1, Fault: before},
			{Step: "AppendBatch", Nth: 1, Fault: before},
			{Step: "AppendBatch", Nth: 3, Fault: after},
			{Step: "storage.CompleteMultipartUpload", Nth: 2, Fault: after},
		},
		harness.SecantusDB: {
			{Step: "InsertUpload", Nth: 1, Fault: before},
			{Step: "SwapUpload.completing", Nth: 2, Fault: before},
			{Step: "SwapUpload.completed", Nth: 1, Fault: before},
			{Step: "SwapUpload.aborting", Nth: 1, Fault: after},
			{Step: "AppendBatch", Nth: 4, Fault: after},
			{Step: "Charge", Nth: 2, Fault: after},
			{Step: "storage.CreateMultipartUpload", Nth: 1, Fault: after},
			{Step: "storage.UploadPart", Nth: 2, Fault: after},
			{Step: "storage.CompleteMultipartUpload", Nth: 1, Fault: before},
			{Step: "storage.AbortMultipartUpload", Nth: 1, Fault: after},
		},
	}
	for mongo, points := range steps {
		name := mongo
		if name == "" {
			name = "embedded"
		}
		t.Run(name, func(t *testing.T) {
			s := crashing(t, mongo)
			for _, p := range points {
				survives(t, s, p)
			}
			noGaps(t, s)
			sweptClean(t, s)
		})
	}
}

// What failed, and what took effect without anybody's being told, ends as well as what was answered.
func TestFailedAndFailedButPersisted(t *testing.T) {
	for _, mongo := range []string{"", harness.SecantusDB} {
		name := mongo
		if name == "" {
			name = "embedded"
		}
		t.Run(name, func(t *testing.T) {
			s := crashing(t, mongo)
			for _, step := range []string{
				"InsertUpload", "Upload", "SwapUpload.open", "SwapUpload.completing", "SwapUpload.completed", "SwapUpload.aborting", "SwapUpload.aborted",
				"AppendBatch", "Charge", "Settle", "Reserve", "Land", "PutState.open", "PutState.completed",
				"storage.CreateMultipartUpload", "storage.UploadPart", "storage.ListParts", "storage.CompleteMultipartUpload",
				"storage.AbortMultipartUpload", "storage.PutObject",
			} {
				for _, fault := range []string{"fail", "lost"} {
					survives(t, s, harness.Failpoint{Step: step, Nth: 1, Fault: fault})
				}
			}
			noGaps(t, s)
		})
	}
}

// survives lets clients work while failpoints are armed, starts the gateway again if it ended, and holds all that the clients were told to
// what is there once they have their answers.
func survives(t *testing.T, s *harness.Stack, points ...harness.Failpoint) {
	t.Helper()
	if crashes, reached := outlive(t, s, points); !reached {
		t.Errorf("%v: not reached (%d crashes)", points, crashes)
	}
}

// outlive is survives for a sequence of crashes: what comes after the first is armed when the gateway has started again after the one before.
// It says how often the gateway ended, and whether the first failpoints were reached.
func outlive(t *testing.T, s *harness.Stack, sequence ...[]harness.Failpoint) (crashes int, reached bool) {
	t.Helper()
	n := s.UncheckedTenant(t, func(scope *harness.Scope) { scope.MaxTenantBytes = 1 << 30 })
	c := n.NewClient()
	ctx := withTimeout(t, 5*time.Minute)
	if err := s.Arm(sequence[0]...); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- work(ctx, c) }()
	for working := true; working; {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%v: %v", sequence, err)
			}
			reached = reached || crashes == 0 && s.Reached()
			if err := s.Arm(); err != nil {
				t.Fatal(err)
			}
			working = false
		case <-s.Gateway.Done():
			reached = reached || s.Reached()
			crashes++
			var next []harness.Failpoint
			if crashes < len(sequence) {
				next = sequence[crashes]
			}
			goOn(ctx, t, n, next)
		}
	}
	violations, err := c.Violations(ctx)
	for err != nil {
		select {
		case <-s.Gateway.Done(): // by the event of something that nobody waits for
			crashes++
			goOn(ctx, t, n, nil)
			violations, err = c.Violations(ctx)
		default:
			t.Fatalf("%v: %v", sequence, err)
		}
	}
	for _, v := range violations {
		t.Errorf("%v: %s", sequence, v)
	}
	if t.Failed() {
		for _, a := range c.History() {
			t.Log(a)
		}
		t.Fatalf("gateway's log:\n%s", s.Gateway.Tail())
	}
	return crashes, reached
}

// goOn starts a gateway that ended again, with other failpoints.
func goOn(ctx context.Context, t *testing.T, n *harness.Tenant, points []harness.Failpoint) {
	t.Helper()
	if err := errors.Join(n.Arm(), n.Restart(ctx)); err != nil {
		t.Fatal(err)
	}
	n.Tap.Retarget(n.Gateway.Addr())
	if err := n.Arm(points...); err != nil {
		t.Fatal(err)
	}
}

// noGaps holds the trail to the numbers that its writers gave, and to its seals.
func noGaps(t *testing.T, s *harness.Stack) {
	t.Helper()
	gaps, err := s.ChainGaps(t.Context())
	if err != nil {
		t.Error(err)
	}
	for _, g := range gaps {
		t.Error(g)
	}
	env := []string{"PARTWAY_ENDPOINT=" + s.Gateway.Endpoint, "PARTWAY_TOKEN=" + s.Gateway.Operator}
	if out, err := harness.Run(t.Context(), env, s.Bin, "audit", "verify"); err != nil {
		t.Errorf("%s%v", out, err)
	}
}

// sweptClean starts the gateway again a quarter of an hour later by its own clock, and waits until storage holds no upload that no record
// knows: what crashes left there is tied to its intent and aborted.
func sweptClean(t *testing.T, s *harness.Stack) {
	t.Helper()
	ctx := withTimeout(t, 60*time.Second)
	strays, err := s.Strays(ctx)
	if err != nil {
		t.Fatal(err)
	}
	left := len(strays)
	s.Gateway.Kill()
	if err := s.RestartAhead(ctx, 16*time.Minute); err != nil {
		t.Fatal(err)
	}
	err = harness.Await(ctx, "the sweep", s.Gateway.Process, func() bool {
		now, err := s.Strays(ctx)
		if err == nil {
			strays = now
		}
		return err == nil && len(now) == 0
	})
	if err != nil {
		t.Fatalf("%v; storage holds uploads that no record knows, as last seen: %v\n%s", err, strays, s.Gateway.Tail())
	}
	t.Logf("the sweep ended %d uploads that no record knew", left)
}

// work is five clients at once, each on keys of its own: between them they take every step that a write can take.
func work(ctx context.Context, c *harness.Client) error {
	body := func(i, n int) []byte {
		b := make([]byte, n)
		for j := range b {
			b[j] = byte(i + j*7)
		}
		return b
	}
	upload := func(key string, redirected bool, parts ...[]byte) error {
		id, err := c.Create(ctx, key)
		if err != nil {
			return err
		}
		for i, part := range parts {
			if _, err := c.Part(ctx, key, id, i+1, part, redirected); err != nil {
				return err
			}
		}
		for range 2 { // the second gets the same answer
			if _, err := c.Complete(ctx, key, id, parts...); err != nil {
				return err
			}
		}
		return nil
	}
	key := func(name string) string { return c.Prefix + name }
	clients := []func() error{
		func() error {
			return errors.Join(upload(key("twice"), false, body(1, 1000)), upload(key("twice"), false, body(2, 2000)))
		},
		func() error { return upload(key("parts"), false, body(3, 5*mib), body(4, 100)) },
		func() error { return upload(key("redirected"), true, body(5, 3000)) },
		func() error {
			return errors.Join(c.Put(ctx, key("put"), body(6, 10)), c.Put(ctx, key("put"), body(7, 70_000)))
		},
		func() error {
			id, err := c.Create(ctx, key("given-up"))
			if err != nil {
				return err
			}
			if _, err := c.Part(ctx, key("given-up"), id, 1, body(8, 500), false); err != nil {
				return err
			}
			return c.Abort(ctx, key("given-up"), id)
		},
	}
	errs := make([]error, len(clients))
	var all sync.WaitGroup
	for i, client := range clients {
		all.Go(func() {
			if err := client(); err != nil {
				errs[i] = fmt.Errorf("client %d: %w", i, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
