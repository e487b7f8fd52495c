package e2e

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"partway/e2e/harness"
)

// threeGateways on one MongoDB, Redis and storage, and a tenant whose connections a balancer spreads over them.
func threeGateways(t *testing.T, setup harness.Setup) *harness.Tenant {
	t.Helper()
	s := ownStack(t, setup)
	gateways := []*harness.Gateway{s.Gateway}
	for range 2 {
		other, err := s.Another(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := other.Stop(); err != nil {
				t.Error(err)
			}
		})
		gateways = append(gateways, other.Gateway)
	}
	var addrs []string
	for _, g := range gateways {
		addrs = append(addrs, g.Addr())
	}
	n := s.NewTenant(t)
	n.Tap.Retarget(addrs...)
	t.Cleanup(func() {
		if t.Failed() {
			for _, g := range gateways {
				t.Logf("log of the gateway on %s:\n%s", g.Addr(), g.Tail())
			}
		}
	})
	return n
}

// However many ask at once, and wherever: one effect, one answer.
func TestFiftyCompletesOverThreeGateways(t *testing.T) {
	for _, c := range []struct {
		name  string
		setup harness.Setup
	}{
		{"versitygw", harness.Setup{Mongo: harness.SecantusDB}},
		{"minio", harness.Setup{Mongo: harness.MongoJavaServer, MinIO: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := threeGateways(t, c.setup)
			h := newHistory(t, n, n.Prefix+"raced", "part")
			answers := make([]harness.Answer, 50)
			together(t, len(answers), func(i int) { answers[i] = h.completed(i, 1) })
			for i, a := range answers {
				if a.StatusCode != http.StatusOK || a.Code != "" || a.Text != answers[0].Text {
					t.Errorf("Complete %d: %s %s\nthe first: %s", i, a.Status, a.Text, answers[0].Text)
				}
			}
			// What comes after it stays: no Complete that is late, or comes again, puts the old bytes back.
			h.get(0)
			h.put(0, "later")
			together(t, 6, func(i int) {
				if a := h.completed(i, 1); a.StatusCode != http.StatusOK || a.Text != answers[0].Text {
					t.Errorf("the same Complete, later: %s %s", a.Status, a.Text)
				}
			})
			h.get(0)
			h.check()
		})
	}
}

// Completes of two lists, Aborts, writes and reads at once over three gateways: there is an order of all that explains every answer.
func TestHistoriesOverThreeGatewaysAreLinearizable(t *testing.T) {
	n := threeGateways(t, harness.Setup{Mongo: harness.SecantusDB})
	for round := range 8 {
		h := newHistory(t, n, fmt.Sprintf("%sraced%d", n.Prefix, round), strings.Repeat("a", 5*mib), "b")
		together(t, 6, func(client int) {
			for turn := range 4 {
				switch (client*3 + turn*5 + round) % 7 {
				case 0, 1:
					h.complete(client, 1)
				case 2:
					h.complete(client, 2)
				case 3:
					h.put(client, fmt.Sprintf("put by %d at %d", client, turn))
				case 4, 5:
					h.get(client)
				default:
					if round%2 == 1 {
						h.abort(client)
					}
				}
			}
		})
		h.check()
	}
}

// asked is one call of a history: of whom, and for what.
type asked struct {
	operation string // complete, abort, put or get
	value     string // the object that it would make
}

// told is its answer: a status and an S3 code, or the object.
type told struct {
	status      int
	code, value string
}

// world is one upload and the object of its key, by S3's rules.
type world struct {
	ended  string // "" while the upload is open, "aborted", or the object that it made
	object string // "" : none
}

// rules say which answers a world may give, and what becomes of it. Whoever is refused because another is at work (409) changed nothing; nor did
// whoever is told that there is no such upload. A 5xx says nothing: the call took effect or not, then or later.
var rules = porcupine.NondeterministicModel{
	Init: func() []any { return []any{world{}} },
	Step: func(state, input, output any) []any {
		w, in, out := state.(world), input.(asked), output.(told)
		after, legal := w, false
		switch {
		case out.status >= http.StatusInternalServerError:
			return []any{w, in.effect(w)}
		case in.operation == "get" && out.status == http.StatusOK:
			legal = out.value == w.object
		case in.operation == "get":
			legal = out.code == "NoSuchKey" && w.object == ""
		case out.code == "OperationAborted":
			legal = in.operation != "put"
		case out.code == "NoSuchUpload": // the same list again is told what it was told before
			legal = w.ended != "" && w.ended != in.value
		case in.operation == "complete" && w.ended == in.value:
			legal = out.status == http.StatusOK
		case out.status/100 == 2:
			after, legal = in.effect(w), in.operation == "put" || w.ended == ""
		}
		if !legal {
			return nil
		}
		return []any{after}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%v -> %v", input, output) },
	DescribeState:     func(state any) string { return fmt.Sprintf("%+v", state) },
}

// effect is what becomes of a world in which the call succeeds.
func (in asked) effect(w world) world {
	switch {
	case in.operation == "put":
		w.object = in.value
	case in.operation == "complete" && w.ended == "":
		w = world{in.value, in.value}
	case in.operation == "abort" && w.ended == "":
		w.ended = "aborted"
	}
	return w
}

// history is what several clients asked of one upload and its key, and were told.
type history struct {
	t      *testing.T
	n      *harness.Tenant
	object string // path
	id     string
	parts  []string
	etags  []string

	mu         sync.Mutex
	calls      []porcupine.Operation
	unanswered int
}

// newHistory begins with an open upload that has all its parts.
func newHistory(t *testing.T, n *harness.Tenant, key string, parts ...string) *history {
	t.Helper()
	h := &history{t: t, n: n, object: "/" + harness.Bucket + "/" + key, id: create(t, n, key), parts: parts}
	for i, p := range parts {
		put := n.Do(t, n.Request(t, http.MethodPut, fmt.Sprintf("%s?partNumber=%d&uploadId=%s", h.object, i+1, h.id), p))
		if put.StatusCode != http.StatusOK {
			t.Fatalf("part %d: %s %s", i+1, put.Status, put.Text)
		}
		h.etags = append(h.etags, put.Header.Get("ETag"))
	}
	return h
}

func (h *history) complete(client, parts int) harness.Answer {
	made := strings.Join(h.parts[:parts], "")
	return h.call(client, asked{"complete", made}, http.MethodPost, "?uploadId="+h.id, partList(h.etags[:parts]...))
}

// completed asks until it is told something; a slow MongoDB makes it 503 now and then.
func (h *history) completed(client, parts int) (a harness.Answer) {
	for range 20 {
		if a = h.complete(client, parts); a.StatusCode < http.StatusInternalServerError {
			break
		}
	}
	return a
}

func (h *history) abort(client int) {
	h.call(client, asked{"abort", ""}, http.MethodDelete, "?uploadId="+h.id, "")
}

func (h *history) put(client int, value string) {
	h.call(client, asked{"put", value}, http.MethodPut, "", value)
}

func (h *history) get(client int) { h.call(client, asked{"get", ""}, http.MethodGet, "", "") }

func (h *history) call(client int, in asked, method, query, body string) harness.Answer {
	began := time.Now().UnixNano()
	a := h.n.Do(h.t, h.n.Request(h.t, method, h.object+query, body))
	out := told{status: a.StatusCode, code: a.Code}
	if in.operation == "get" && a.StatusCode == http.StatusOK {
		out.value = a.Text
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	ended := time.Now().UnixNano()
	if out.status >= http.StatusInternalServerError {
		ended = math.MaxInt64
		h.unanswered++
		client = 1000 + h.unanswered // who goes on while the call may yet take effect is another
	}
	h.calls = append(h.calls, porcupine.Operation{ClientId: client, Input: in, Call: began, Output: out, Return: ended})
	return a
}

// check looks for an order of the calls that explains every answer. It writes once more at the end, so that the audit need not know
// which of several writes at once was last.
func (h *history) check() {
	h.t.Helper()
	h.put(0, "last")
	if verdict := porcupine.CheckOperationsTimeout(rules.ToModel(), h.calls, time.Minute); verdict != porcupine.Ok {
		for _, call := range h.calls {
			in, out := call.Input.(asked), call.Output.(told)
			h.t.Logf("%d..%d client %d: %s %.20q, %d bytes: %d %s %.20q, %d bytes", call.Call, call.Return, call.ClientId,
				in.operation, in.value, len(in.value), out.status, out.code, out.value, len(out.value))
		}
		h.t.Fatalf("%s: %s: no order of the calls is found that explains their answers", h.object, verdict)
	}
}

// A model that allows everything proves nothing until it was seen to refuse.
func TestTheRulesRefuseWhatCannotBe(t *testing.T) {
	complete := func(value string) asked { return asked{"complete", value} }
	call := func(client, at int, in asked, status int, code, value string) porcupine.Operation {
		return porcupine.Operation{ClientId: client, Input: in, Call: int64(10 * at), Output: told{status, code, value}, Return: int64(10*at + 5)}
	}
	for _, c := range []struct {
		name  string
		legal bool
		calls []porcupine.Operation
	}{
		{"one effect, one answer", true, []porcupine.Operation{call(0, 1, complete("a"), 200, "", ""), call(1, 2, complete("a"), 200, "", ""), call(0, 3, asked{"get", ""}, 200, "", "a")}},
		{"two lists both succeed", false, []porcupine.Operation{call(0, 1, complete("a"), 200, "", ""), call(1, 2, complete("b"), 200, "", "")}},
		{"the old bytes come back", false, []porcupine.Operation{call(0, 1, complete("a"), 200, "", ""), call(0, 2, asked{"put", "p"}, 200, "", ""),
			call(1, 3, complete("a"), 200, "", ""), call(0, 4, asked{"get", ""}, 200, "", "a")}},
		{"acknowledged and not there", false, []porcupine.Operation{call(0, 1, complete("a"), 200, "", ""), call(0, 2, asked{"get", ""}, 404, "NoSuchKey", "")}},
		{"its own success denied", false, []porcupine.Operation{call(0, 1, complete("a"), 200, "", ""), call(0, 2, complete("a"), 404, "NoSuchUpload", "")}},
		{"completed and aborted", false, []porcupine.Operation{call(0, 1, complete("a"), 200, "", ""), call(1, 2, asked{"abort", ""}, 204, "", "")}},
		{"no upload, and nobody ended it", false, []porcupine.Operation{call(0, 1, complete("a"), 404, "NoSuchUpload", "")}},
		{"a 5xx may have taken effect", true, []porcupine.Operation{call(0, 1, complete("a"), 503, "ServiceUnavailable", ""), call(0, 2, asked{"get", ""}, 200, "", "a")}},
		{"or not", true, []porcupine.Operation{call(0, 1, complete("a"), 503, "ServiceUnavailable", ""), call(0, 2, asked{"get", ""}, 404, "NoSuchKey", "")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := porcupine.CheckOperations(rules.ToModel(), c.calls); got != c.legal {
				t.Errorf("legal: %t", got)
			}
		})
	}
}
