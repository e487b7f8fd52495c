package proxy

import (
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"partway/tracking"
)

func (b *bench) abort(key, id string) answer {
	b.t.Helper()
	return b.ask("DELETE", "/uploads/"+key+"?uploadId="+id, "")
}

// uploadIDOf is the id in an answer to a Create.
func uploadIDOf(a answer) string {
	_, rest, _ := strings.Cut(a.body, "<UploadId>")
	id, _, _ := strings.Cut(rest, "</UploadId>")
	return id
}

// sansLocation is an answer without the name of the gateway that gave it.
func sansLocation(body string) string {
	before, rest, _ := strings.Cut(body, "<Location>")
	_, after, _ := strings.Cut(rest, "</Location>")
	return before + after
}

// await waits until storage was asked n times for op.
func (f *fakeS3) await(op string, n int) {
	for f.count(op) < n {
		runtime.Gosched()
	}
}

// lost is a Complete whose outcome no gateway knows: it had taken effect or not, and storage was away when asked about it.
func (b *bench) lost(key, id string, done bool) {
	b.t.Helper()
	b.s3.faults("complete", map[bool]fault{true: cutAfter, false: cut}[done])
	b.s3.alsoFaults("parts", none, cut, cut) // GET is tried twice on a connection that breaks
	b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
	b.wantState(id, tracking.StateCompleting)
	b.s3.faults("")
}

// Storage that hides the upload while it works on it: the same list, here and elsewhere, waits for the one answer.
func TestTheSameListWaitsWhileStorageHidesTheUpload(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	gateways := []*bench{b, b.beside(), b.beside()}
	b.s3.faults("complete", hide)
	defer b.s3.release() // also when the test fails before
	answers := make([]answer, 50)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = gateways[i%3].complete(key, id, "hello") })
	}
	b.s3.await("head", 2) // two gateways find neither the upload nor its object
	if u := b.record(id); u.State != tracking.StateCompleting {
		t.Errorf("record is %s", u.State)
	}
	b.want(b.abort(key, id), 409, "OperationAborted")
	b.want(gateways[1].complete(key, id, "another"), 409, "OperationAborted")
	b.s3.release()
	all.Wait()
	for i, a := range answers {
		if a.status != http.StatusOK || a.code() != "" || a.body != answers[0].body {
			t.Errorf("answer %d: %d %s", i, a.status, a.body)
		}
	}
	b.wantState(id, tracking.StateCompleted)
}

// What one gateway was refused, because another's Complete was at it, does not undo what storage acknowledged to that.
func TestStoragesWordStandsAgainstARefusalElsewhere(t *testing.T) {
	for name, between := range map[string]func(b *bench, id string){
		"reopened": func(b *bench, id string) { b.leftAt(id, tracking.StateOpen) },
		"unknown":  func(b *bench, id string) { b.leftAt(id, tracking.StateUnknown) },
		"aborting": func(b *bench, id string) { b.leftAt(id, tracking.StateUnknown, tracking.StateAborting) },
		"another list": func(b *bench, id string) {
			b.leftAt(id, tracking.StateOpen)
			u := b.record(id)
			u.Completion = &tracking.Completion{ListHash: "another", Started: b.now()}
			if err := b.gateway.move(t.Context(), u, tracking.StateCompleting); err != nil {
				t.Fatal(err)
			}
		},
		"marked by who sends it again": func(b *bench, id string) {
			u := b.record(id)
			u.UpdatedAt = u.UpdatedAt.Add(time.Minute)
			if err := b.store.SwapUpload(t.Context(), u); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.started(key)
			b.s3.faults("complete", slow)
			defer b.s3.release() // also when the test fails before
			done := make(chan answer, 1)
			go func() { done <- b.complete(key, id, "hello") }()
			<-b.s3.busy
			between(b, id)
			b.s3.release()
			b.want(<-done, 200, "")
			b.wantState(id, tracking.StateCompleted)
			b.want(b.complete(key, id, "hello"), 200, "")
			b.want(b.complete(key, id, "other"), 404, "NoSuchUpload")
		})
	}
}

// An Abort or another list, once nobody can be at work on a Complete: what became of that comes first.
func TestWhatALostCompleteDidComesBeforeAnAbortOrAnotherList(t *testing.T) {
	for _, tt := range []struct {
		name string
		done bool
		ask  func(b *bench, id string) answer
		// before: while somebody may be at work
		status int
		state  tracking.State
	}{
		{"abort, it had completed", true, func(b *bench, id string) answer { return b.abort(key, id) }, 404, tracking.StateCompleted},
		{"abort, it had not", false, func(b *bench, id string) answer { return b.abort(key, id) }, 204, tracking.StateAborted},
		{"another list, it had completed", true, func(b *bench, id string) answer { return b.complete(key, id, "hello", "more") }, 404, tracking.StateCompleted},
		{"another list, it had not", false, func(b *bench, id string) answer { return b.complete(key, id, "hello", "more") }, 200, tracking.StateCompleted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			id := b.started(key)
			b.want(b.part(key, id, 2, "more"), 200, "")
			b.lost(key, id, tt.done)
			b.wait(completeTimeout)
			b.want(tt.ask(b, id), 409, "OperationAborted")
			b.wantState(id, tracking.StateCompleting)
			b.wait(resendMark)
			if a := tt.ask(b, id); a.status != tt.status {
				t.Errorf("got %d %s, want %d", a.status, a.body, tt.status)
			}
			b.wantState(id, tt.state)
			if tt.done {
				b.want(b.complete(key, id, "hello"), 200, "")
			}
		})
	}
}

// Who sends the same list again is at work on it anew.
func TestSendingACompleteAgainKeepsOthersFromIt(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.lost(key, id, false)
	b.wait(completeTimeout)
	b.s3.faults("complete", slow)
	defer b.s3.release() // also when the test fails before
	done := make(chan answer, 1)
	go func() { done <- b.complete(key, id, "hello") }()
	<-b.s3.busy
	b.wait(resendMark)
	b.want(b.abort(key, id), 409, "OperationAborted")
	g := b.sweeper(nil)
	b.wait(completeTimeout / 2)
	g.sweep(t.Context())
	b.wantState(id, tracking.StateCompleting)
	b.s3.release()
	b.want(<-done, 200, "")
}

// Another object in the upload's place is evidence only when no Complete can be under way: its own may fail yet.
func TestSupersededOnlyOnceNobodyCanBeAtWork(t *testing.T) {
	b := newBench(t)
	b.gateway.hidden = 0
	id := b.started(key)
	b.lost(key, id, true)
	b.want(b.put(key, "another"), 200, "")
	b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
	b.wantState(id, tracking.StateCompleting)
	b.wait(completeTimeout + resendMark)
	b.want(b.complete(key, id, "hello"), 200, "")
	u := b.record(id)
	if u.State != tracking.StateSuperseded || u.ETag != u.Completion.ETag {
		t.Errorf("record is %+v", u)
	}
	if o, _ := b.s3.object("/uploads/" + key); string(o.body) != "another" {
		t.Errorf("object is %q", o.body)
	}
}

// A condition that fails because our own Complete, whose answer was lost, made the object.
func TestAPreconditionThatOurOwnCompleteMadeFail(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.s3.faults("complete", cutAfterStaying, condition)
	b.want(b.complete(key, id, "hello"), 200, "")
	b.wantState(id, tracking.StateCompleted)

	second := b.started(key)
	b.s3.faults("complete", condition) // the first and only one: somebody else's object
	b.want(b.complete(key, second, "hello"), 412, "PreconditionFailed")
	b.wantState(second, tracking.StateOpen)
}

// Parts whose ETags are no MD5s foretell no ETag: size and number of parts are what is known of the object.
func TestAnObjectOfPartsWithoutMD5s(t *testing.T) {
	for name, other := range map[string]bool{"ours": false, "another's": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.gateway.hidden = 0
			id := b.started(key)
			b.lost(key, id, true)
			u := b.record(id)
			u.Completion.ETag = ""
			if err := b.store.SwapUpload(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			if other {
				b.want(b.put(key, "hello"), 200, "")
				b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
				return
			}
			b.want(b.complete(key, id, "hello"), 200, "")
			b.wantState(id, tracking.StateCompleted)
		})
	}
}

// A Complete that takes long is answered in time, ends without its client, and a late refusal is an <Error> in the 200.
func TestACompleteThatTakesLong(t *testing.T) {
	for name, after := range map[string]fault{"completes": none, "is refused": refuse} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.gateway.patience = time.Millisecond
			id := b.started(key)
			b.s3.faults("parts", slow)
			b.s3.alsoFaults("complete", after)
			defer b.s3.release() // also when the test fails before
			done := make(chan answer, 1)
			go func() { done <- b.complete(key, id, "hello") }()
			<-b.s3.busy
			time.AfterFunc(50*time.Millisecond, b.s3.release)
			a := <-done
			if a.status != 200 || !strings.HasPrefix(a.body, "<?xml") || strings.Count(a.body, "<?xml") != 1 {
				t.Errorf("%d %q", a.status, a.body)
			}
			if want := map[fault]string{none: "", refuse: "AccessDenied"}[after]; a.code() != want {
				t.Errorf("code %q, want %q", a.code(), want)
			}
			b.wantState(id, map[fault]tracking.State{none: tracking.StateCompleted, refuse: tracking.StateOpen}[after])
		})
	}
}

func TestAbortByTheAPI(t *testing.T) {
	b := newBench(t)
	operator := "Bearer " + b.operator()
	reader := "Bearer " + b.bearer("acme", scopeOf("acme", func(s *scope) { s.Actions = []string{"s3:GetObject"} }))
	other := "Bearer " + b.bearer("other", scopeOf("acme", func(*scope) {}))
	own := "Bearer " + b.tenant
	id := b.started(key)
	for _, tt := range []struct {
		name, who string
		status    int
		says      string
	}{
		{"a token that may not", reader, 403, "AccessDenied"},
		{"another tenant", other, 404, "NoSuchUpload"},
		{"its own tenant", own, 200, `"state":"aborted"`},
		{"again", own, 404, "NoSuchUpload"},
	} {
		if a := b.ask("POST", "/_partway/uploads/"+id+"/abort", "", "Authorization", tt.who); a.status != tt.status || !strings.Contains(a.body, tt.says) {
			t.Errorf("%s: %d %s", tt.name, a.status, a.body)
		}
	}
	b.wantState(id, tracking.StateAborted)
	second := b.started(key)
	if a := b.ask("POST", "/_partway/uploads/"+second+"/abort", "", "Authorization", operator); a.status != 200 {
		t.Errorf("an operator: %d %s", a.status, a.body)
	}
	if n := b.s3.open(); n != 0 {
		t.Errorf("storage holds %d uploads", n)
	}
	events := b.events()
	if e := events[len(events)-1]; e.Operation != "AbortMultipartUpload" || e.Outcome != "ok" || e.UploadID != second || e.Key != key || e.Tenant != "ops" {
		t.Errorf("event is %+v", e)
	}
}
