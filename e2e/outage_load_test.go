package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"partway/e2e/harness"
)

// Parts go on while MongoDB is away, Create and Complete say so, and not one event of all that is lost.
func TestMongoDBOutageUnderLoad(t *testing.T) { mongoOutage(t, harness.SecantusDB, 3*time.Second) }

// mongoOutage keeps clients at work before, during and after an outage of the given length.
func mongoOutage(t *testing.T, mongo string, length time.Duration) {
	s := ownStack(t, harness.Setup{Mongo: mongo})
	n := s.UncheckedTenant(t, func(scope *harness.Scope) { scope.MaxTenantBytes = 1 << 40 })
	c := n.NewClient()
	ctx := withTimeout(t, length+3*time.Minute)
	const uploads = 4
	pace := length / 10_000 // so many rounds of each client at most, for what stands in MongoDB's place reads the longer the more it holds
	type upload struct {
		key, id string
		parts   [][]byte
	}
	var all [uploads]upload
	for i := range all {
		all[i].key = fmt.Sprintf("%sthrough%d", n.Prefix, i)
		id, err := c.Create(ctx, all[i].key)
		if err != nil {
			t.Fatal(err)
		}
		all[i].id = id
	}
	n.ToMongo.Cut()
	notReady(t, n, "mongodb")

	// Each upload gets parts for as long as the outage lasts, every other by redirect; none may be refused.
	over, end := context.WithTimeout(ctx, length)
	defer end()
	var working sync.WaitGroup
	for i := range all {
		u := &all[i]
		working.Go(func() {
			for number := 1; over.Err() == nil && number <= 10_000; number++ {
				body := []byte(fmt.Sprintf("upload %d part %d", i, number))
				target := fmt.Sprintf("/%s/%s?partNumber=%d&uploadId=%s", harness.Bucket, u.key, 1, u.id)
				ask := harness.Asked{Operation: "UploadPart", Key: u.key, UploadID: u.id, PartNumber: 1}
				if i%2 == 1 {
					if a := c.Ask(ctx, ask, http.MethodPut, target, body, "x-partway-transfer", "redirect"); !a.Granted() {
						t.Errorf("part by redirect during the outage: %v", a)
						return
					}
				}
				if a := c.Ask(ctx, ask, http.MethodPut, target, body); !a.Acknowledged() {
					t.Errorf("part during the outage: %v %s", a, a.Text)
					return
				}
				u.parts = [][]byte{body} // the latest of its number is the one that counts
				pause(over, pace)
			}
		})
	}
	refused := func(a harness.Asked) {
		if a.Status != http.StatusServiceUnavailable || a.Code != "ServiceUnavailable" || a.RetryAfter == "" {
			t.Errorf("during the outage: %v, Retry-After %q", a, a.RetryAfter)
		}
	}
	first := struct{ key, id string }{all[0].key, all[0].id}
	working.Go(func() {
		for over.Err() == nil {
			key := n.Prefix + "new"
			refused(c.Ask(ctx, harness.Asked{Operation: "CreateMultipartUpload", Key: key}, http.MethodPost, "/"+harness.Bucket+"/"+key+"?uploads", nil))
			list, want, size := harness.PartList([]byte("whatever"))
			ask := harness.Asked{Operation: "CompleteMultipartUpload", Key: first.key, UploadID: first.id, Want: want, Size: size}
			refused(c.Ask(ctx, ask, http.MethodPost, "/"+harness.Bucket+"/"+first.key+"?uploadId="+first.id, []byte(list)))
			pause(over, pace)
		}
	})
	working.Wait()
	spooled, err := n.Gateway.Metric(ctx, "partway_audit_spooled_batches")
	if err != nil || spooled == 0 {
		t.Errorf("%v batches in the spool (%v): the outage was none", spooled, err)
	}
	mend(t, n, n.ToMongo)
	for _, u := range all {
		if _, err := c.Complete(ctx, u.key, u.id, u.parts...); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Create(ctx, n.Prefix+"after"); err != nil {
		t.Error(err)
	}
	clean(t, c)
	noGaps(t, s)
	t.Logf("%d requests, %v batches waited in the spool", len(c.History()), spooled)
}

// pause waits, for less if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// clean demands that nothing is lost and nothing lies.
func clean(t *testing.T, c *harness.Client) {
	t.Helper()
	violations, err := c.Violations(withTimeout(t, 2*time.Minute))
	if err != nil {
		t.Error(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
	if t.Failed() {
		t.Logf("gateway's log:\n%s", c.Tenant.Gateway.Tail())
	}
}

// Redis going, coming back and forgetting all changes no answer: not of what is in flight, and not of a limit.
func TestRedisAwayAndFlushedUnderLoad(t *testing.T) { redisOutage(t, 4) }

func redisOutage(t *testing.T, rounds int) {
	s := ownStack(t, harness.Setup{Mongo: harness.SecantusDB})
	ctx := withTimeout(t, 5*time.Minute)
	for round := range rounds {
		n := s.UncheckedTenant(t)
		c := n.NewClient()
		done := make(chan error, 1)
		go func() { done <- work(ctx, c) }()
		switch round % 4 {
		case 0: // there, and nothing else
		case 1:
			n.ToRedis.Cut()
		case 2:
			if err := n.ToRedis.Mend(); err != nil {
				t.Fatal(err)
			}
		case 3:
			flush(t, n)
		}
		if err := <-done; err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		clean(t, c)
	}
	n := s.NewTenant(t, func(scope *harness.Scope) { scope.MaxObjectBytes = 1000 })
	key := n.Prefix + "limited"
	id := create(t, n, key)
	part := func(number int) harness.Answer {
		return n.Do(t, n.Request(t, http.MethodPut, fmt.Sprintf("/%s/%s?partNumber=%d&uploadId=%s", harness.Bucket, key, number, id), strings.Repeat("x", 700)))
	}
	first := part(1)
	if a := part(2); a.Code != "EntityTooLarge" {
		t.Errorf("over the limit: %s %s", a.Status, a.Text)
	}
	flush(t, n)
	second := part(2) // nobody can know, and storage takes it
	if first.StatusCode != http.StatusOK || second.StatusCode != http.StatusOK {
		t.Fatalf("parts: %s, %s", first.Status, second.Status)
	}
	refusedAsTooLarge := complete(t, n, key, id, first.Header.Get("ETag"), second.Header.Get("ETag"))
	refused(t, n, refusedAsTooLarge, 400, "EntityTooLarge", true)
	if a := complete(t, n, key, id, first.Header.Get("ETag")); a.StatusCode != http.StatusOK {
		t.Errorf("within the limit: %s %s", a.Status, a.Text)
	}
}

// flush makes Redis forget everything.
func flush(t *testing.T, n *harness.Tenant) {
	t.Helper()
	conn, err := net.Dial("tcp", n.ToRedis.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(conn, "FLUSHALL\r\n")
	if answer, err := bufio.NewReader(conn).ReadString('\n'); answer != "+OK\r\n" {
		t.Fatalf("FLUSHALL: %q %v", answer, err)
	}
}
