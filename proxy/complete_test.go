package proxy

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"partway/tracking"
)

const key = "acme/big.bin"

func TestCompleteRecordsWhatStorageHolds(t *testing.T) {
	b := newBench(t)
	id := b.create(key)
	b.want(b.part(key, id, 1, "hello "), 200, "")
	b.want(b.part(key, id, 2, "world"), 200, "")
	a := b.complete(key, id, "hello ", "world")
	b.want(a, 200, "")
	if !strings.Contains(a.body, "<Location>"+b.url+"/uploads/"+key+"</Location>") {
		t.Errorf("the answer names storage: %s", a.body)
	}
	if o, _ := b.s3.object("/uploads/" + key); string(o.body) != "hello world" {
		t.Errorf("object is %q", o.body)
	}
	u := b.record(id)
	if u.State != tracking.StateCompleted || u.Bytes != 11 || u.Parts != 2 || u.ETag == "" || u.Tenant != "acme" {
		t.Errorf("record is %+v", u)
	}
}

func TestTheSameListGetsTheSameAnswer(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	first := b.complete(key, id, "hello")
	b.want(first, 200, "")
	if again := b.complete(key, id, "hello"); again.status != 200 || again.body != first.body {
		t.Errorf("second answer: %d %s", again.status, again.body)
	}
	if n := b.s3.count("complete"); n != 1 {
		t.Errorf("storage was asked %d times", n)
	}
	var reasons []string
	for _, e := range b.events() {
		if e.Operation == "CompleteMultipartUpload" {
			reasons = append(reasons, e.Outcome+" "+e.Reason)
		}
	}
	if want := []string{"ok ", "ok repeated"}; !slices.Equal(reasons, want) {
		t.Errorf("the trail has %q, want %q", reasons, want)
	}
	b.want(b.complete(key, id, "another"), 404, "NoSuchUpload")
	b.want(b.part(key, id, 2, "late"), 404, "NoSuchUpload")
}

func TestARefusedCompleteGoesBackToOpen(t *testing.T) {
	for name, f := range map[string]fault{"4xx": refuse, "error in a 200": errorIn200} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.started(key)
			b.s3.faults("complete", f)
			if a := b.complete(key, id, "hello"); a.status < 400 || a.code() == "" || strings.Contains(a.body, "Endpoint") {
				t.Fatalf("got %d %s", a.status, a.body)
			}
			if u := b.record(id); u.State != tracking.StateOpen || u.ResultCode == "" {
				t.Errorf("record is %s %q", u.State, u.ResultCode)
			}
			b.want(b.part(key, id, 2, "more"), 200, "")
			b.want(b.complete(key, id, "hello", "more"), 200, "")
		})
	}
}

// What a Complete can meet at storage, and how it ends.
func TestCompleteFindsOutWhatNobodySaw(t *testing.T) {
	tests := []struct {
		name   string
		faults []fault
		status int
		state  tracking.State
	}{
		{"the connection broke before", []fault{cut}, 200, tracking.StateCompleted},
		{"the connection broke after", []fault{cutAfter}, 200, tracking.StateCompleted},
		{"broke twice before", []fault{cut, cut}, 503, tracking.StateCompleting},
		{"broke before, then after", []fault{cut, cutAfter}, 200, tracking.StateCompleted},
		{"failed once", []fault{fail}, 200, tracking.StateCompleted},
		{"failed twice", []fault{fail, fail}, 500, tracking.StateCompleting},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			id := b.started(key)
			b.s3.faults("complete", tt.faults...)
			a := b.complete(key, id, "hello")
			if a.status != tt.status {
				t.Fatalf("got %d %s, want %d", a.status, a.body, tt.status)
			}
			if u := b.record(id); u.State != tt.state {
				t.Fatalf("record is %s, want %s", u.State, tt.state)
			}
			again := b.complete(key, id, "hello")
			b.want(again, 200, "")
			if u := b.record(id); u.State != tracking.StateCompleted || u.ETag != multipartETag([]listedPart{{1, etagOf([]byte("hello"))}}) {
				t.Errorf("record is %s %s", u.State, u.ETag)
			}
		})
	}
}

// Each write of the record, failed and failed but persisted: a retry ends right, and 200 is never said without an object.
func TestCompleteWhenTheRecordCannotBeWritten(t *testing.T) {
	for name, list := range map[string][]storeFault{
		"completing not written":              {storeFails},
		"completing written, not known":       {storeFailsButPersists},
		"completed not written":               {storeOK, storeFails},
		"completed written, but not known so": {storeOK, storeFailsButPersists},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			id := b.started(key)
			b.store.swapFaults(list...)
			b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
			b.want(b.complete(key, id, "hello"), 200, "")
			if o, ok := b.s3.object("/uploads/" + key); !ok || string(o.body) != "hello" {
				t.Errorf("object is %q", o.body)
			}
			if u := b.record(id); u.State != tracking.StateCompleted {
				t.Errorf("record is %s", u.State)
			}
		})
	}
}

func TestWhatStorageSaidStandsAgainstWhatAnotherGatewayCouldNotFindOut(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.store.swapFaults(storeOK, storeIsUnknownMeanwhile)
	b.want(b.complete(key, id, "hello"), 200, "")
	if u := b.record(id); u.State != tracking.StateCompleted || u.ETag == "" {
		t.Errorf("record is %+v", u)
	}
}

func TestAnUploadThatVanishedIsNeverCalledCompleted(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.s3.faults("complete", cut, cut)
	b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
	b.s3.mu.Lock()
	clear(b.s3.uploads) // a lifecycle rule, say
	b.s3.mu.Unlock()
	b.gateway.hidden = 0
	b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
	if u := b.record(id); u.State != tracking.StateCompleting { // storage may hide it while it works on it
		t.Errorf("record is %s", u.State)
	}
	b.wait(completeTimeout + resendMark)
	b.want(b.complete(key, id, "hello"), 500, "InternalError")
	if u := b.record(id); u.State != tracking.StateUnknown {
		t.Errorf("record is %s", u.State)
	}
	// An object of before the Complete is no evidence either.
	b.s3.mu.Lock()
	b.s3.objects["/uploads/"+key] = fakeObject{[]byte("old"), etagOf([]byte("old")), time.Now().Add(-time.Hour)}
	b.s3.mu.Unlock()
	b.want(b.complete(key, id, "hello"), 500, "InternalError")
}

func TestAnUploadThatEndedAtStorageBeforeItsComplete(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.s3.mu.Lock()
	clear(b.s3.uploads)
	b.s3.mu.Unlock()
	b.want(b.complete(key, id, "hello"), 404, "NoSuchUpload")
	if u := b.record(id); u.State != tracking.StateAborted {
		t.Errorf("record is %s", u.State)
	}
}

func TestAnotherListWhileCompleting(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.s3.faults("complete", cut, cut)
	b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
	b.want(b.complete(key, id, "other"), 409, "OperationAborted")
	b.want(b.ask("DELETE", "/uploads/"+key+"?uploadId="+id, ""), 409, "OperationAborted")
}

func TestConcurrentCompletesHaveOneEffectAndOneAnswer(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	answers := make([]answer, 12)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = b.complete(key, id, "hello") })
	}
	all.Wait()
	for i, a := range answers {
		if a.status != 200 || a.body != answers[0].body {
			t.Errorf("answer %d: %d %s", i, a.status, a.body)
		}
	}
	if u := b.record(id); u.State != tracking.StateCompleted {
		t.Errorf("record is %s", u.State)
	}
}

func TestCompleteHoldsTheTokensLimit(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.MaxObjectBytes = 4 }))
	b.want(b.complete(key, id, "hello"), 400, "EntityTooLarge")
	if u := b.record(id); u.State != tracking.StateOpen {
		t.Errorf("record is %s", u.State)
	}
	b.want(b.part(key, id, 2, "hello"), 400, "EntityTooLarge")
}

func TestAbort(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	abort := func() answer { return b.ask("DELETE", "/uploads/"+key+"?uploadId="+id, "") }
	b.s3.faults("abort", refuse)
	b.want(abort(), 403, "AccessDenied")
	if u := b.record(id); u.State != tracking.StateOpen {
		t.Fatalf("after a refusal the record is %s", u.State)
	}
	b.s3.faults("abort", cutAfter)
	b.want(abort(), 503, "ServiceUnavailable")
	b.want(b.complete(key, id, "hello"), 404, "NoSuchUpload")
	if a := abort(); a.status != 204 {
		t.Fatalf("the retry: %d %s", a.status, a.body)
	}
	if u := b.record(id); u.State != tracking.StateAborted {
		t.Errorf("record is %s", u.State)
	}
	b.want(abort(), 404, "NoSuchUpload")
	b.want(b.part(key, id, 1, "late"), 404, "NoSuchUpload")
}
