package proxy

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// uploadModel is one upload to its clients: open until a list completes it, which is from then on answered the same, or an Abort ends it. What
// was answered with no more than "try again" may have taken effect or not.
var uploadModel = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{modelState{}} },
	Step: func(state, input, output any) []any {
		now, asked, got := state.(modelState), input.(string), output.(answer)
		end := modelState{end: asked, body: sansLocation(got.body)}
		ok := (got.status == http.StatusOK || got.status == http.StatusNoContent) && got.code() == ""
		switch {
		case ok && (now.end == "" || now.end == asked && asked != "abort" && (now.body == "" || now.body == end.body)):
			return []any{end}
		case ok:
			return nil
		case got.code() == errNoSuchUpload.Code && (now.end != "" && now.end != asked || now.end == "abort"):
			return []any{now}
		case got.code() == errOperationAborted.Code:
			return []any{now}
		case got.status >= http.StatusInternalServerError && now.end == "":
			return []any{now, modelState{end: asked}} // it may have, and its answer is not known yet
		case got.status >= http.StatusInternalServerError:
			return []any{now}
		}
		return nil
	},
}).ToModel()

type modelState struct{ end, body string }

// Histories of many clients at three gateways, at storage that takes two Completes at once for one, or shows the upload no more while it is at it.
func TestHistoriesAreLinearizable(t *testing.T) {
	b := newBench(t)
	gateways := []*bench{b, b.beside(), b.beside()}
	for round := range 12 {
		id := b.started(key)
		b.want(b.part(key, id, 2, "more"), 200, "")
		faults := []fault{none, cut, cutAfter, fail, hide}
		b.s3.reset()
		b.s3.faults("complete", faults[rand.N(len(faults))], faults[rand.N(len(faults))], faults[rand.N(len(faults))])
		b.s3.alsoFaults("parts", none, cut, cut, none, fail)
		var (
			clock   atomic.Int64
			mu      sync.Mutex
			history []porcupine.Operation
			all     sync.WaitGroup
		)
		for client := range 50 {
			asked := "hello"
			switch {
			case round%3 == 1 && client%10 == 0:
				asked = "hello more"
			case round%3 == 2 && client%10 == 0:
				asked = "abort"
			}
			all.Go(func() {
				g := gateways[client%3]
				began := clock.Add(1)
				var a answer
				if asked == "abort" {
					a = g.abort(key, id)
				} else {
					a = g.complete(key, id, strings.Fields(asked)...)
				}
				op := porcupine.Operation{ClientId: client, Input: asked, Call: began, Output: a, Return: clock.Add(1)}
				mu.Lock()
				defer mu.Unlock()
				history = append(history, op)
			})
		}
		release := time.AfterFunc(100*time.Millisecond, func() { b.s3.release() })
		all.Wait()
		release.Stop()
		b.s3.release()
		b.s3.faults("")
		if result := porcupine.CheckOperationsTimeout(uploadModel, history, 20*time.Second); result != porcupine.Ok {
			for _, op := range history {
				t.Logf("%d-%d client %d %s: %d %s", op.Call, op.Return, op.ClientId, op.Input, op.Output.(answer).status, op.Output.(answer).body)
			}
			t.Fatalf("round %d: %s", round, result)
		}
		if n := b.s3.count("made " + b.record(id).StorageID); n > 1 {
			t.Errorf("round %d: %d effects", round, n)
		}
	}
}
