package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partway/auth"
	"partway/tracking"
	"partway/tracking/memory"
)

// limited is a bench whose tenant may upload so many bytes in a month.
func limited(t *testing.T, bytes int64) *bench {
	t.Helper()
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.MaxTenantBytes = bytes }))
	return b
}

// beside is a second gateway on the same store and storage, with a session cache of its own.
func (b *bench) beside() *bench {
	b.t.Helper()
	return b.besideWith(func(*Config) {})
}

// besideWith is beside, with a configuration of its own.
func (b *bench) besideWith(change func(*Config)) *bench {
	b.t.Helper()
	c := b.gateway.withRegistry(prometheus.NewRegistry())
	c.Sessions = memory.New(memory.Config{})
	change(&c)
	other := *b
	var err error
	if other.gateway, err = New(c); err != nil {
		b.t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- other.gateway.Serve(l) }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	other.url = "http://localhost:" + port
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(other.gateway.Shutdown(ctx), <-served, c.Sessions.Close()); err != nil {
			b.t.Error(err)
		}
	})
	return &other
}

func (b *bench) put(key, body string, headers ...string) answer {
	b.t.Helper()
	return b.ask("PUT", "/uploads/"+key, body, headers...)
}

// wantTotal compares what acme spent this month, and how many charges are pending.
func (b *bench) wantTotal(bytes int64, pending int) {
	b.t.Helper()
	total := b.total()
	if total.Bytes != bytes || len(total.Pending) != pending {
		b.t.Fatalf("the total is %d with %v pending, want %d with %d", total.Bytes, total.Pending, bytes, pending)
	}
}

func (b *bench) total() *tracking.Spending {
	b.t.Helper()
	period, _ := b.gateway.Quota.period(time.Now())
	total, err := b.store.Spending(context.Background(), "acme", period)
	if errors.Is(err, tracking.ErrNotFound) {
		return &tracking.Spending{}
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return total
}

// leave enters a charge of acme's that was left pending so long ago.
func (b *bench) leave(id, upload string, bytes int64, age time.Duration) *tracking.Charge {
	b.t.Helper()
	period, _ := b.gateway.Quota.period(time.Now())
	c := tracking.Charge{Tenant: "acme", Period: period, ID: id}
	if _, err := b.store.Charge(context.Background(), c, tracking.Pending{Upload: upload, Bytes: bytes, At: time.Now().Add(-age)}, 1<<40); err != nil {
		b.t.Fatal(err)
	}
	return &c
}

func TestATenantIsHeldToItsTotal(t *testing.T) {
	b := limited(t, 12)
	b.want(b.put("acme/a", "hello"), 200, "")
	b.wantTotal(5, 0)
	id := b.started(key)
	b.wantTotal(5, 0)
	b.want(b.complete(key, id, "hello"), 200, "")
	b.wantTotal(10, 0)

	a := b.put("acme/c", "hello")
	b.want(a, 400, "EntityTooLarge")
	_, ends := b.gateway.Quota.period(time.Now())
	for _, want := range []string{" 10 ", " 12 ", ends.Format(time.RFC3339), "<MaxTenantBytes>12</MaxTenantBytes>"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the refusal does not say %q: %s", want, a.body)
		}
	}
	if _, made := b.s3.object("/uploads/acme/c"); made {
		t.Error("the object was made")
	}
	id = b.create("acme/d")
	b.want(b.part("acme/d", id, 1, "hello"), 400, "EntityTooLarge") // could not be completed
	b.want(b.part("acme/d", id, 1, "hi"), 200, "")
	b.want(b.complete("acme/d", id, "hi"), 200, "")
	b.wantTotal(12, 0)
	b.want(b.ask("POST", "/uploads/acme/e?uploads", ""), 400, "EntityTooLarge")
	b.want(b.put("acme/e", "x"), 400, "EntityTooLarge")
	b.want(b.put("acme/e", ""), 200, "")
	b.want(b.put("acme/e", "more", "Authorization", "Bearer "+b.operator()), 200, "")
	b.wantTotal(12, 0)
}

// However many gateways, requests and ways there are, and without any session cache: what became objects is within the limit.
func TestManyAtOnceNeverPassTheTotal(t *testing.T) {
	const limit, each = 103, "hello"
	b := limited(t, limit)
	gateways := []*bench{b, b.beside()}
	ids := make([]string, 20)
	for i := range ids {
		ids[i] = b.started(fmt.Sprintf("acme/m%d", i))
	}
	if err := b.gateway.Sessions.Close(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range ids {
		key := fmt.Sprintf("acme/m%d", i)
		for _, g := range gateways { // each Complete twice
			all.Go(func() {
				a := g.ask("POST", "/uploads/"+key+"?uploadId="+ids[i], partList(each))
				if a.status != http.StatusOK && a.code() != "EntityTooLarge" && a.code() != "OperationAborted" {
					t.Errorf("%s: %d %s", key, a.status, a.body)
				}
			})
		}
		all.Go(func() {
			if a := gateways[i%2].put(fmt.Sprintf("acme/p%d", i), each); a.status != http.StatusOK && a.code() != "EntityTooLarge" {
				t.Errorf("put: %d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if made := b.s3.bytes(); made > limit {
		t.Errorf("%d bytes became objects of %d", made, limit)
	}
	// Some were refused because of a charge that was taken back a moment later: there is room for them now.
	for i := range ids {
		b.complete(fmt.Sprintf("acme/m%d", i), ids[i], each)
	}
	made := b.s3.bytes()
	if made > limit || made < limit-len(each) {
		t.Errorf("%d bytes became objects of %d", made, limit)
	}
	b.wantTotal(int64(made), 0)
}

// bytes is the size of all objects.
func (f *fakeS3) bytes() (sum int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range f.objects {
		sum += len(o.body)
	}
	return sum
}

// Each write of the record, failed and failed but persisted: the retry ends right, and the upload counts once.
func TestARetriedCompleteIsChargedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		record  []storeFault
		storage []fault
		first   int
	}{
		"nothing fails":                        {first: 200},
		"completing written, not known":        {record: []storeFault{storeFailsButPersists}, first: 503},
		"completed not written":                {record: []storeFault{storeOK, storeFails}, first: 503},
		"completed written, but not known":     {record: []storeFault{storeOK, storeFailsButPersists}, first: 503},
		"storage's answers were lost":          {storage: []fault{cutAfter}, first: 200},
		"storage was away":                     {storage: []fault{cut, cut}, first: 503},
		"unknown to another gateway meanwhile": {record: []storeFault{storeOK, storeIsUnknownMeanwhile}, first: 200},
		"refused to another gateway meanwhile": {record: []storeFault{storeOK, storeIsOpenMeanwhile}, first: 200},
		"and ended by a third":                 {record: []storeFault{storeOK, storeIsOpenMeanwhile, storeIsEndedMeanwhile}, first: 200},
	} {
		t.Run(name, func(t *testing.T) {
			b := limited(t, 5)
			id := b.started(key)
			if c.record != nil {
				b.store.swapFaults(c.record...)
			}
			b.s3.faults("complete", c.storage...)
			if a := b.complete(key, id, "hello"); a.status != c.first {
				t.Fatalf("first: %d %s", a.status, a.body)
			}
			if total := b.total(); total.Bytes != 5 {
				t.Fatalf("after the first the total is %d", total.Bytes)
			}
			b.want(b.beside().complete(key, id, "hello"), 200, "")
			b.wantTotal(5, 0)
		})
	}
}

// Two gateways charge the same upload before either has moved its record. There is room for one charge, and one is all that counts, so
// neither caller is refused.
func TestOneUploadAtTwoGatewaysFitsWhereItFitsOnce(t *testing.T) {
	b := limited(t, 5)
	id := b.started(key)
	gateways := []*bench{b, b.beside(), b.beside()}
	var all sync.WaitGroup
	for i := range 30 {
		all.Go(func() {
			if a := gateways[i%3].complete(key, id, "hello"); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	b.wantTotal(5, 0)
}

func TestARefusedCompleteIsRefunded(t *testing.T) {
	for name, f := range map[string]fault{"4xx": refuse, "error in a 200": errorIn200} {
		t.Run(name, func(t *testing.T) {
			b := limited(t, 5)
			id := b.started(key)
			b.s3.faults("complete", f)
			if a := b.complete(key, id, "hello"); a.status < 400 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			b.wantTotal(0, 0)
			b.want(b.complete(key, id, "hello"), 200, "")
			b.wantTotal(5, 0)
		})
	}
}

// Another list takes over where a Complete was left; the upload was still there, so the first made nothing.
func TestAnotherListAfterALostCompleteIsChargedInItsPlace(t *testing.T) {
	b := limited(t, 12)
	id := b.started(key)
	b.want(b.part(key, id, 2, "more"), 200, "")
	b.s3.faults("complete", cut, cut)
	b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
	b.wantTotal(5, 1)
	b.age(id)
	b.want(b.complete(key, id, "hello", "more"), 200, "")
	b.wantTotal(9, 0)
}

// age makes a Complete that is under way so old that no gateway can be at it.
func (b *bench) age(id string) {
	b.t.Helper()
	u := b.record(id)
	u.Completion.Started, u.UpdatedAt = u.Completion.Started.Add(-completeTimeout-resendMark), u.UpdatedAt.Add(-completeTimeout-resendMark)
	if err := b.store.SwapUpload(context.Background(), u); err != nil {
		b.t.Fatal(err)
	}
}

func TestAbortAfterALostComplete(t *testing.T) {
	for name, c := range map[string]struct {
		complete []fault
		status   int
		total    int64
	}{
		"which made nothing is refunded":   {[]fault{cut, cut}, 204, 0},
		"which had made the object counts": {[]fault{cut, cutAfter}, 404, 5},
	} {
		t.Run(name, func(t *testing.T) {
			b := limited(t, 12)
			id := b.started(key)
			b.s3.faults("complete", c.complete...)
			b.store.swapFaults(storeOK, storeFails, storeFails)
			b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
			b.store.swapFaults()
			b.age(id)
			if a := b.ask("DELETE", "/uploads/"+key+"?uploadId="+id, ""); a.status != c.status {
				t.Fatalf("%d %s", a.status, a.body)
			}
			b.wantTotal(c.total, 0)
		})
	}
}

// What a process leaves that ends halfway, and what becomes of it when the tenant is at its limit.
func TestWhatAProcessLeavesBehind(t *testing.T) {
	tests := []struct {
		name  string
		leave func(b *bench, id string)
		total int64 // behind a PUT of 5 bytes that there is room for only if 5 are given back
		left  int
		put   int
	}{
		{"charged and the record not moved: given back", func(b *bench, id string) { b.leave("LEFT", id, 5, time.Hour) }, 10, 0, 200},
		{"the same a moment ago: it may be about to move", func(b *bench, id string) { b.leave("LEFT", id, 5, time.Second) }, 10, 1, 400},
		{"charged and completing: it counts", func(b *bench, id string) {
			b.moved(id, b.leave("LEFT", id, 5, time.Hour), tracking.StateCompleting)
		}, 10, 1, 400},
		{"completing under another charge: given back", func(b *bench, id string) {
			b.leave("LEFT", id, 5, time.Hour)
			b.moved(id, &tracking.Charge{Tenant: "acme", Period: "2026-03", ID: "OTHER"}, tracking.StateCompleting)
		}, 10, 0, 200},
		{"charged and completed: it counts for good", func(b *bench, id string) {
			b.moved(id, b.leave("LEFT", id, 5, time.Hour), tracking.StateCompleting, tracking.StateCompleted)
		}, 10, 0, 400},
		{"charged and unknown: it counts for good", func(b *bench, id string) {
			b.moved(id, b.leave("LEFT", id, 5, time.Hour), tracking.StateCompleting, tracking.StateUnknown)
		}, 10, 0, 400},
		{"opened again: given back", func(b *bench, id string) {
			b.moved(id, b.leave("LEFT", id, 5, time.Hour), tracking.StateCompleting)
			u := b.record(id)
			u.State, u.Completion = tracking.StateOpen, nil
			if err := b.store.SwapUpload(context.Background(), u); err != nil {
				b.t.Fatal(err)
			}
		}, 10, 0, 200},
		{"its record is gone: nobody can know", func(b *bench, _ string) { b.leave("LEFT", "no such upload", 5, time.Hour) }, 10, 0, 400},
		{"a body in one PUT, an hour ago: it may be under way", func(b *bench, _ string) { b.leave("LEFT", "", 5, time.Hour) }, 10, 1, 400},
		{"a body in one PUT, long ago: nobody can know", func(b *bench, _ string) { b.leave("LEFT", "", 5, 25*time.Hour) }, 10, 0, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := limited(t, 10)
			id := b.started(key)
			b.want(b.put("acme/first", "12345"), 200, "")
			tt.leave(b, id)
			if a := b.put("acme/x", "hello"); a.status != tt.put {
				t.Errorf("the PUT: %d %s, want %d", a.status, a.body, tt.put)
			}
			b.wantTotal(tt.total, tt.left)
		})
	}
}

// moved takes a record through states, with a completion that names c.
func (b *bench) moved(id string, c *tracking.Charge, states ...tracking.State) {
	b.t.Helper()
	u := b.record(id)
	u.Completion = &tracking.Completion{Started: time.Now(), Charge: c}
	for _, s := range states {
		if err := b.gateway.move(context.Background(), u, s); err != nil {
			b.t.Fatal(err)
		}
	}
}

// What was left pending does not keep a tenant out whose clients send nothing but parts, and so charge nothing until they are let in.
func TestWhatWasLeftPendingDoesNotKeepATenantOut(t *testing.T) {
	for _, left := range []int64{6, 10} { // too much for the part, for anything
		b := limited(t, 10)
		id := b.started(key)
		b.leave("LEFT", id, left, time.Hour)
		b.ahead.Add(int64(spentLife))
		b.want(b.part("acme/b", b.create("acme/b"), 1, "hello"), 200, "")
		b.wantTotal(0, 0)
	}
}

// A Complete that was charged, slept, and wakes when its charge was given back must not go on.
func TestWhoseChargeWasGivenBackCannotMoveTheRecord(t *testing.T) {
	b := limited(t, 10)
	id := b.started(key)
	sleeper := b.record(id)
	c := b.leave("LEFT", id, 5, time.Hour)
	if !b.gateway.tidyUpload(context.Background(), c, id) {
		t.Fatal("the charge was not given back")
	}
	sleeper.Completion = &tracking.Completion{Charge: c}
	if err := b.gateway.move(context.Background(), sleeper, tracking.StateCompleting); !errors.Is(err, tracking.ErrConflict) {
		t.Fatalf("the sleeper's move: %v", err)
	}
}

func TestPutsCountByWhatBecameOfThem(t *testing.T) {
	tests := []struct {
		name    string
		fault   fault
		headers []string
		status  int
		total   int64
	}{
		{"stored", none, nil, 200, 5},
		{"refused by storage", refuse, nil, 403, 0},
		{"stored and the answer lost", cutAfter, nil, 503, 5},
		{"storage failed: nobody can know", fail, nil, 500, 5},
		{"redirected: granted", none, []string{"x-partway-transfer", "redirect"}, 307, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := limited(t, 10)
			b.s3.faults("put", tt.fault)
			if a := b.put("acme/a", "hello", tt.headers...); a.status != tt.status {
				t.Fatalf("%d %s", a.status, a.body)
			}
			b.wantTotal(tt.total, 0)
		})
	}
	t.Run("a body that broke off made nothing", func(t *testing.T) {
		b := limited(t, 10)
		conn, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "PUT /uploads/acme/a HTTP/1.1\r\nHost: gw\r\nContent-Length: 5\r\nAuthorization: Bearer %s\r\n\r\nhel", b.tenant)
		_ = conn.Close()
		for ended := false; !ended; { // its event comes after its charge has ended
			ended = slices.ContainsFunc(b.events(), func(e tracking.Event) bool { return e.Operation == "PutObject" })
		}
		b.wantTotal(0, 0)
	})
}

func TestCopiesCountTheirSource(t *testing.T) {
	b := limited(t, 10)
	b.want(b.put("acme/a", "12345"), 200, "")
	copyTo := func(key string) answer { return b.put(key, "", "x-amz-copy-source", "/uploads/acme/a") }
	b.s3.faults("put", refuse)
	b.want(copyTo("acme/b"), 403, "AccessDenied")
	b.wantTotal(5, 0)
	if a := copyTo("acme/b"); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := b.s3.last().Get("X-Amz-Copy-Source-If-Match"); got != etagOf([]byte("12345")) {
		t.Errorf("storage may copy another source than was charged: if-match %q", got)
	}
	b.wantTotal(10, 0)
	b.want(copyTo("acme/c"), 400, "EntityTooLarge")
	b.want(b.put("acme/d", "", "x-amz-copy-source", "/uploads/acme/none"), 404, "NoSuchKey")
	b.wantTotal(10, 0)
}

// Without the store nobody can say what is left, so nothing is let through that would count; parts are, and count at their Complete.
func TestWithoutTheStoreNothingIsLetPastTheTotal(t *testing.T) {
	b := limited(t, 10)
	id := b.started(key)
	b.gateway.Store = &chargesFail{Store: b.gateway.Store, persist: true}
	b.want(b.put("acme/a", "hello"), 503, "ServiceUnavailable")
	b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
	b.want(b.part(key, id, 2, "more"), 200, "")
	if _, made := b.s3.object("/uploads/acme/a"); made || b.s3.count("complete") > 0 {
		t.Error("storage was asked")
	}
	b.wantTotal(0, 0) // what entered all the same was taken back
}

// chargesFail cannot charge; with persist it can, and does not know it.
type chargesFail struct {
	tracking.Store
	persist bool
}

func (s *chargesFail) Charge(ctx context.Context, c tracking.Charge, p tracking.Pending, limit int64) (*tracking.Spending, error) {
	if s.persist {
		if _, err := s.Store.Charge(ctx, c, p, limit); err != nil {
			return nil, err
		}
	}
	return nil, tracking.ErrUnavailable
}

// With the session cache away every part passes, and the Complete is held to both limits all the same.
func TestWithoutTheLedgerTheCompleteHolds(t *testing.T) {
	for name, change := range map[string]func(*scope){
		"of the object": func(s *scope) { s.MaxObjectBytes = 8 },
		"of the tenant": func(s *scope) { s.MaxTenantBytes = 8 },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.tenant = b.bearer("acme", scopeOf("acme", change))
			if err := b.gateway.Sessions.Close(); err != nil {
				t.Fatal(err)
			}
			id := b.started(key)
			b.want(b.part(key, id, 2, "hello"), 200, "")
			b.want(b.complete(key, id, "hello", "hello"), 400, "EntityTooLarge")
			b.want(b.complete(key, id, "hello"), 200, "")
		})
	}
}

// The ledger counts the largest grant of a part while it can be used; the Complete counts what the list names, as storage has it.
func TestTheLedgerCountsGrantsAndTheCompleteParts(t *testing.T) {
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.MaxObjectBytes = 10 }))
	id := b.create(key)
	grant := func(n int, body string) answer {
		return b.ask("PUT", fmt.Sprintf("/uploads/%s?partNumber=%d&uploadId=%s", key, n, id), body, "x-partway-transfer", "redirect")
	}
	if a := grant(1, "12345678"); a.status != 307 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	b.want(b.part(key, id, 1, "123"), 200, "")
	b.want(b.part(key, id, 2, "1234"), 400, "EntityTooLarge")
	if a := grant(2, "1234"); a.code() != "EntityTooLarge" {
		t.Errorf("a grant: %d %s", a.status, a.body)
	}
	b.want(b.part(key, id, 2, "12"), 200, "")
	b.want(b.complete(key, id, "123"), 200, "") // one of the two
	if u := b.record(id); u.Bytes != 3 {
		t.Errorf("%d bytes", u.Bytes)
	}
}

func TestMaxPartBytes(t *testing.T) {
	b := newBench(t)
	unlimited := b.tenant
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.MaxPartBytes = 5 }))
	b.want(b.put("acme/source", "123456"), 200, "") // no part
	id := b.started(key)
	b.want(b.part(key, id, 2, "123456"), 400, "EntityTooLarge")
	part2 := "/uploads/" + key + "?partNumber=2&uploadId=" + id
	copied := []string{"x-amz-copy-source", "/uploads/acme/source"}
	b.want(b.ask("PUT", part2, "", copied...), 400, "EntityTooLarge")
	b.want(b.ask("PUT", part2, "", append(copied, "x-amz-copy-source-range", "bytes=0-5")...), 400, "EntityTooLarge")
	b.want(b.ask("PUT", part2, "", append(copied, "x-amz-copy-source-range", "bytes=5-")...), 400, "InvalidArgument")
	b.want(b.ask("PUT", part2, "", append(copied, "x-amz-copy-source-range", "bytes=0-4")...), 200, "")
	// What came by another way is held to it when it is named.
	b.want(b.ask("PUT", part2, "123456", "Authorization", "Bearer "+unlimited), 200, "")
	b.want(b.complete(key, id, "hello", "123456"), 400, "EntityTooLarge")
	b.want(b.complete(key, id, "hello"), 200, "")
}

func TestAnUndeclaredLengthCountsAsTheLargestThatItCanBe(t *testing.T) {
	const gib = 1 << 30
	for name, c := range map[string]struct {
		part, limit, declared, want int64
	}{
		"declared":                          {7, 100, 3, 3},
		"no limit at all":                   {0, 0, -1, -1},
		"max_part_bytes":                    {7, 100, -1, 7},
		"max_part_bytes alone":              {7, 0, -1, 7},
		"a limit below S3's":                {0, 100, -1, 100},
		"S3's largest part below the limit": {0, 100 * gib, -1, 5 * gib},
	} {
		t.Run(name, func(t *testing.T) {
			if got := counted(&auth.Scope{MaxPartBytes: c.part}, c.declared, c.limit); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

func TestPeriodsAreThoseOfUTC(t *testing.T) {
	east := time.FixedZone("", 14*60*60)
	for _, c := range []struct {
		daily      bool
		now        time.Time
		name, ends string
	}{
		{false, time.Date(2026, 12, 31, 23, 59, 59, 999, time.UTC), "2026-12", "2027-01-01T00:00:00Z"},
		{false, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), "2027-01", "2027-02-01T00:00:00Z"},
		{false, time.Date(2026, 3, 1, 13, 59, 0, 0, east), "2026-02", "2026-03-01T00:00:00Z"},
		{true, time.Date(2028, 2, 28, 12, 0, 0, 0, time.UTC), "2028-02-28", "2028-02-29T00:00:00Z"},
		{true, time.Date(2026, 3, 1, 13, 59, 0, 0, east), "2026-02-28", "2026-03-01T00:00:00Z"},
	} {
		name, ends := Quota{Daily: c.daily}.period(c.now)
		if name != c.name || ends.Format(time.RFC3339) != c.ends {
			t.Errorf("%s: %s until %s, want %s until %s", c.now, name, ends.Format(time.RFC3339), c.name, c.ends)
		}
	}
}

func TestTheConfiguredTotalIsForTokensWithoutOne(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	b.gateway.Quota = Quota{Bytes: 5, Daily: true}
	yesterday, _ := b.gateway.Quota.period(now.AddDate(0, 0, -1))
	if _, err := b.store.Charge(t.Context(), tracking.Charge{Tenant: "acme", Period: yesterday, ID: "A"}, tracking.Pending{Bytes: 5, At: now}, 5); err != nil {
		t.Fatal(err)
	}
	more := "Bearer " + b.bearer("acme", scopeOf("acme", func(s *scope) { s.MaxTenantBytes = 8 }))
	b.want(b.put("acme/a", "hello"), 200, "")
	b.want(b.put("acme/a", "hi"), 400, "EntityTooLarge")
	b.want(b.put("acme/a", "hi", "Authorization", more), 200, "")
	b.want(b.put("acme/a", "hi", "Authorization", more), 400, "EntityTooLarge")
	b.want(b.put("acme/a", "hi", "Authorization", "Bearer "+b.bearer("other", scopeOf("acme", func(*scope) {}))), 200, "")
	_, ends := b.gateway.Quota.period(now)
	usageOf := func(query string) answer { return b.ask("GET", "/_partway/usage"+query, "") }
	if a := usageOf(""); a.status != 200 || !strings.Contains(a.body, `"bytes":7,"pending_bytes":0,"max_bytes":5`) || !strings.Contains(a.body, ends.Format(time.RFC3339)) {
		t.Errorf("usage: %d %s", a.status, a.body)
	}
	if a := usageOf("?tenant=other"); a.status != 403 {
		t.Errorf("another's usage: %d %s", a.status, a.body)
	}
	operator := []string{"Authorization", "Bearer " + b.operator()}
	if a := b.ask("GET", "/_partway/usage?tenant=other", "", operator...); a.status != 200 || !strings.Contains(a.body, `"bytes":2,`) {
		t.Errorf("usage for an operator: %d %s", a.status, a.body)
	}
	if a := b.ask("GET", "/_partway/usage", "", operator...); a.status != 400 {
		t.Errorf("nobody's usage: %d %s", a.status, a.body)
	}
}

// After any history of faults the total is what records and audit trail add up to, once what was left pending is looked into.
func TestTheTotalIsWhatRecordsAndTrailAddUpTo(t *testing.T) {
	b := limited(t, 1<<20)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(list ...fault) fault { return list[random.IntN(len(list))] }
	for i := range 60 {
		key, body := fmt.Sprintf("acme/%d", i), strings.Repeat("x", 1+random.IntN(100))
		if i%2 == 0 {
			b.s3.faults("put", pick(none, none, refuse))
			b.put(key, body)
			continue
		}
		id := b.create(key)
		b.want(b.part(key, id, 1, body), 200, "")
		b.s3.faults("complete", pick(none, cut, cutAfter, refuse, errorIn200, fail), pick(none, cut, cutAfter))
		records := []storeFault{storeOK, storeFailsButPersists}
		b.store.swapFaults(records[random.IntN(2)], []storeFault{storeOK, storeFails, storeFailsButPersists}[random.IntN(3)])
		for range 4 {
			if b.complete(key, id, body).status == http.StatusOK {
				break
			}
		}
	}
	var sum int64
	for cursor := ""; ; {
		page, next, err := b.store.ListUploads(context.Background(), tracking.UploadQuery{Tenant: "acme", Limit: 1000, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page {
			if u.State != tracking.StateCompleted {
				t.Errorf("%s is %s", u.Key, u.State)
			}
			sum += u.Bytes
		}
		if cursor = next; cursor == "" {
			break
		}
	}
	for _, e := range b.events() {
		if e.Operation == "PutObject" && e.Outcome == "ok" {
			sum += e.Bytes
		}
	}
	// The answer to a move was lost behind which a charge would have been refunded: that is done later.
	b.gateway.Now = func() time.Time { return time.Now().Add(2 * tidyAfter) }
	for b.gateway.tidy(context.Background(), b.total()) {
	}
	b.wantTotal(sum, 0)
	if made := b.s3.bytes(); int64(made) != sum {
		t.Errorf("storage has %d bytes, the total is %d", made, sum)
	}
}

// An erased record names no charge any more. One of it that is still pending counts: the object is there.
func TestAChargeOfAnErasedUploadCounts(t *testing.T) {
	b := limited(t, 100)
	id := b.started(key)
	b.want(b.complete(key, id, "hello"), 200, "")
	period, _ := b.gateway.Quota.period(time.Now())
	late := tracking.Charge{Tenant: "acme", Period: period, ID: "LATE"}
	if _, err := b.store.Charge(t.Context(), late, tracking.Pending{Upload: id, Bytes: 5, At: time.Now().Add(-time.Hour)}, 100); err != nil {
		t.Fatal(err)
	}
	u := b.record(id)
	u.Subject, u.Key, u.Completion = "", "", nil
	if err := b.store.SwapUpload(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if b.gateway.tidy(t.Context(), b.total()) || b.total().Bytes != 10 || len(b.total().Pending) != 0 {
		t.Errorf("the total is %+v", b.total())
	}
}
