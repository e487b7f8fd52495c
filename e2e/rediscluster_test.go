package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"partway/e2e/harness"
)

// A cluster is one Redis to the gateway: parts that are sent while its servers hand the upload's slot on are all in the ledger, and a master that
// is lost costs what an absent Redis costs, and no upload.
func TestUploadsOnARedisCluster(t *testing.T) {
	s := ownStack(t, harness.Setup{Mongo: harness.SecantusDB, RedisCluster: true})
	t.Run("a slot moves", func(t *testing.T) { slotMoves(t, s.NewTenant(t)) })
	t.Run("a master is lost", func(t *testing.T) { masterIsLost(t, s.NewTenant(t)) })
}

func slotMoves(t *testing.T, n *harness.Tenant) {
	ctx := withTimeout(t, time.Minute)
	key := n.Prefix + "moved"
	id := create(t, n, key)
	from, session := sessionOf(t, n)
	to := n.Redis.Masters[(slices.Index(n.Redis.Masters, from)+1)%len(n.Redis.Masters)]
	slot := do(t, from, "CLUSTER", "KEYSLOT", session)

	parts := 0
	done := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() {
		for ; parts < 10_000; parts++ {
			select {
			case <-done:
				return
			default:
			}
			r := n.Request(t, http.MethodPut, fmt.Sprintf("/%s/%s?partNumber=%d&uploadId=%s", harness.Bucket, key, parts+1, id), "part")
			if parts%2 == 0 {
				granted(t, n, redirected(r))
			} else if a := n.Do(t, r); a.StatusCode != http.StatusOK {
				t.Errorf("part %d: %s %s", parts+1, a.Status, a.Text)
			}
		}
	})
	err := func() error {
		defer sending.Wait()
		defer close(done)
		if err := handOn(ctx, from, to, slot, session); err != nil {
			return err
		}
		return awaitSentOn(ctx, from, "MOVED")
	}()
	if err != nil {
		t.Fatal(err)
	}
	inLedger := 0
	for _, field := range strings.Fields(do(t, to, "HKEYS", session)) {
		if _, err := strconv.Atoi(field); err == nil {
			inLedger++
		}
	}
	if missing := parts - inLedger; missing > stalled(t, n) {
		t.Errorf("%d of %d parts are not in the ledger", missing, parts)
	}
	if sum := do(t, to, "HGET", session, "sum"); sum != strconv.Itoa(inLedger*len("part")) {
		t.Errorf("the ledger counts %s bytes in %d parts", sum, inLedger)
	}
	t.Logf("%d parts meanwhile", parts)
	finish(t, n, key, id)
}

// stalled is how many parts did without the ledger because a quarter of a second was over, which is the machine's doing and not the cluster's.
func stalled(t *testing.T, n *harness.Tenant) (times int) {
	t.Helper()
	log, err := os.ReadFile(n.Gateway.Log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "parts not in the ledger") && (strings.Contains(line, "deadline exceeded") || strings.Contains(line, "i/o timeout")) {
			times++
		}
	}
	return times
}

// handOn moves a slot, whose keys are those of one upload, as redis-cli --cluster reshard does, but waits for a step to be sent after the keys.
func handOn(ctx context.Context, from, to *harness.RedisMaster, slot, session string) error {
	fromID, err := from.Do(ctx, "CLUSTER", "MYID")
	if err != nil {
		return err
	}
	toID, err := to.Do(ctx, "CLUSTER", "MYID")
	if err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(to.Addr)
	for _, step := range []struct {
		at      *harness.RedisMaster
		command []string
		sentOn  string
	}{
		{to, []string{"CLUSTER", "SETSLOT", slot, "IMPORTING", fromID}, ""},
		{from, []string{"CLUSTER", "SETSLOT", slot, "MIGRATING", toID}, ""},
		{from, []string{"MIGRATE", host, port, "", "0", "5000", "KEYS", session, strings.TrimSuffix(session, "session") + "grants"}, "ASK"},
		{to, []string{"CLUSTER", "SETSLOT", slot, "NODE", toID}, ""},
		{from, []string{"CLUSTER", "SETSLOT", slot, "NODE", toID}, ""},
	} {
		if _, err := step.at.Do(ctx, step.command...); err != nil {
			return err
		}
		if step.sentOn != "" {
			if err := awaitSentOn(ctx, from, step.sentOn); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitSentOn waits until a server has told a client to ask another one.
func awaitSentOn(ctx context.Context, by *harness.RedisMaster, how string) error {
	var said string
	err := harness.Await(ctx, how, by.Process, func() bool {
		said, _ = by.Do(ctx, "INFO", "errorstats")
		return strings.Contains(said, "errorstat_"+how+":")
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return nil
}

// sessionOf is the key of the only upload's session, and the master that has it.
func sessionOf(t *testing.T, n *harness.Tenant) (at *harness.RedisMaster, key string) {
	t.Helper()
	for _, m := range n.Redis.Masters {
		if keys := strings.Fields(do(t, m, "KEYS", "partway:*:session")); len(keys) > 0 {
			at, key = m, keys[0]
		}
	}
	if at == nil {
		t.Fatal("the cluster holds no session")
	}
	return at, key
}

func masterIsLost(t *testing.T, n *harness.Tenant) {
	ctx := withTimeout(t, time.Minute)
	lost, left := n.Redis.Masters[0], n.Redis.Masters[1:]
	for _, m := range n.Redis.Masters {
		do(t, m, "FLUSHALL") // of the test before
	}
	before := uploadsOn(t, n, "before", n.Redis.Masters...)
	lost.Kill()
	says(t, n, http.StatusOK, `"status":"degraded"`, `"redis":"down"`)
	for key, id := range before {
		finish(t, n, key, id)
	}
	everyStep(t, n, "at-first/")
	for _, m := range left {
		do(t, m, "CONFIG", "SET", "cluster-node-timeout", "500")
	}
	if err := n.Redis.AwaitState(ctx, "fail", left...); err != nil {
		t.Fatal(err)
	}
	says(t, n, http.StatusOK, `"status":"degraded"`, `"redis":"down"`)
	everyStep(t, n, "given-up/")

	if err := errors.Join(lost.Start(ctx), n.Redis.AwaitState(ctx, "ok", n.Redis.Masters...)); err != nil {
		t.Fatal(err)
	}
	says(t, n, http.StatusOK, `"status":"ok"`)
	for key, id := range uploadsOn(t, n, "after", lost) {
		finish(t, n, key, id)
	}
}

// uploadsOn begins uploads until each of these masters has a session; each goes where chance has it.
func uploadsOn(t *testing.T, n *harness.Tenant, name string, masters ...*harness.RedisMaster) map[string]string {
	t.Helper()
	ids := map[string]string{}
	for i := range 200 {
		if !slices.ContainsFunc(masters, func(m *harness.RedisMaster) bool { return do(t, m, "KEYS", "partway:*:session") == "" }) {
			return ids
		}
		key := n.Prefix + name + strconv.Itoa(i)
		ids[key] = create(t, n, key)
	}
	t.Fatal("a master has no session")
	return nil
}

// do sends a command to one server of the cluster.
func do(t *testing.T, m *harness.RedisMaster, command ...string) string {
	t.Helper()
	answer, err := m.Do(t.Context(), command...)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
