package notify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"partway/tracking"
	"partway/tracking/bolt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var secret = base64.StdEncoding.EncodeToString([]byte("the secret of one receiver"))

// hook is a receiver that answers as the test says.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	heard  []http.Header
	bodies []string
	answer func(w http.ResponseWriter, r *http.Request) // nil: 200
}

func newHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.heard, h.bodies = append(h.heard, r.Header), append(h.bodies, string(body))
	answer := h.answer
	h.mu.Unlock()
	if answer != nil {
		answer(w, r)
	}
}

func (h *hook) answers(f func(http.ResponseWriter, *http.Request)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = f
}

func (h *hook) ids() (ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, header := range h.heard {
		ids = append(ids, header.Get("webhook-id"))
	}
	return ids
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// bench is a notifier on a store of its own, at a time that the test moves.
type bench struct {
	t        *testing.T
	store    *lossyStore
	now      time.Time
	registry *prometheus.Registry // of the last notifier made
	*Notifier
}

// lossyStore does not write who heard while lost is set: the gateway ended before it could.
type lossyStore struct {
	tracking.Store
	lost bool
}

func (s *lossyStore) SwapUpload(ctx context.Context, u *tracking.Upload) error {
	if s.lost && (u.Notice == nil || u.Notice.Tries > 0) {
		return tracking.ErrUnavailable
	}
	return s.Store.SwapUpload(ctx, u)
}

func newBench(t *testing.T, receivers ...Receiver) *bench {
	t.Helper()
	store, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	b := &bench{t: t, store: &lossyStore{Store: store}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	b.Notifier = b.another(receivers...)
	return b
}

// another is a notifier beside the first, as on another gateway.
func (b *bench) another(receivers ...Receiver) *Notifier {
	b.t.Helper()
	b.registry = prometheus.NewRegistry()
	n, err := New(Config{Store: b.store, Receivers: receivers, Log: slog.New(slog.DiscardHandler), Registry: b.registry,
		Now: func() time.Time { return b.now }, Timeout: 2 * time.Second})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(n.client.CloseIdleConnections)
	return n
}

func to(name string, h *hook, events ...string) Receiver {
	return Receiver{Name: name, URL: h.URL, Secret: secret, Events: events}
}

// ended is an upload that reached a state just now.
func (b *bench) ended(id string, s tracking.State) *tracking.Upload {
	b.t.Helper()
	u := &tracking.Upload{Record: "record-" + id, ID: id, Tenant: "acme", Bucket: "uploads", Key: "acme/" + id, State: s, CreatedAt: b.now.Add(-time.Hour), Bytes: 5, Parts: 1, ETag: `"e-1"`}
	u.Notice = b.Of(s)
	if err := b.store.InsertUpload(context.Background(), u); err != nil {
		b.t.Fatal(err)
	}
	return u
}

func (b *bench) notice(id string) *tracking.Notice {
	b.t.Helper()
	u, err := b.store.Upload(context.Background(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return u.Notice
}

func (b *bench) round() { b.Notifier.round(context.Background()) }

func TestWhatIsTold(t *testing.T) {
	h := newHook(t)
	b := newBench(t, to("a", h))
	u := b.ended("u1", tracking.StateCompleted)
	id := u.Notice.ID
	b.round()
	if b.notice("u1") != nil || len(h.bodies) != 1 {
		t.Fatalf("notice %+v, heard %d", b.notice("u1"), len(h.bodies))
	}
	want := `{"type":"upload.completed","timestamp":"2026-03-01T12:00:00Z","data":{"upload_id":"u1","tenant":"acme","bucket":"uploads","key":"acme/u1",` +
		`"state":"completed","bytes":5,"parts":1,"etag":"\"e-1\"","created_at":"2026-03-01T11:00:00Z"}}`
	if h.bodies[0] != want {
		t.Errorf("got  %s\nwant %s", h.bodies[0], want)
	}
	// As a receiver checks it, by the words of Standard Webhooks.
	header := h.heard[0]
	key, _ := base64.StdEncoding.DecodeString(secret)
	if got := header.Get("webhook-signature"); header.Get("webhook-id") != id || got != "v1,"+sign(key, id, strconv.FormatInt(b.now.Unix(), 10), []byte(want)) {
		t.Errorf("headers %v", header)
	}
	if !json.Valid([]byte(h.bodies[0])) || header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", header)
	}
}

// A signature of the Standard Webhooks specification's own example.
func TestTheSignatureIsTheSpecifications(t *testing.T) {
	key, err := (&Receiver{Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}).key()
	if err != nil {
		t.Fatal(err)
	}
	if got := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); got != "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Errorf("got %s", got)
	}
}

// Whatever keeps a receiver from saying that it heard, it is told again, later and later, under the same id.
func TestAReceiverThatDidNotHearIsToldAgain(t *testing.T) {
	tests := map[string]func(http.ResponseWriter, *http.Request){
		"500":       status(500),
		"a refusal": status(403),
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"its answer lost": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"it is slow":      func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"it stops halfway": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHook(t)
			b := newBench(t, to("a", h))
			b.timeout = 50 * time.Millisecond
			id := b.ended("u1", tracking.StateCompleted).Notice.ID
			h.answers(answer)
			for tries, wait := range []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second} {
				b.round()
				b.round() // it is not due yet
				n := b.notice("u1")
				if n == nil || n.Tries != tries+1 || n.Due.Sub(b.now) != wait {
					t.Fatalf("after try %d: %+v", tries+1, n)
				}
				b.now = n.Due.Add(time.Millisecond)
			}
			h.answers(nil)
			b.timeout = 10 * time.Second
			b.round()
			if b.notice("u1") != nil {
				t.Errorf("still to be told: %+v", b.notice("u1"))
			}
			if ids := h.ids(); len(ids) != 4 || slices.ContainsFunc(ids, func(got string) bool { return got != id }) {
				t.Errorf("heard %v, want %s four times", ids, id)
			}
		})
	}
	t.Run("it is down", func(t *testing.T) {
		h := newHook(t)
		b := newBench(t, to("a", h))
		h.Close()
		b.ended("u1", tracking.StateCompleted)
		b.round()
		if n := b.notice("u1"); n == nil || n.Tries != 1 {
			t.Errorf("%+v", n)
		}
	})
}

// The gateway ends between the answer and writing it down. Nothing was kept in memory: another one tells it again, under the same id.
func TestAGatewayThatEndsInBetweenLeavesItToBeToldAgain(t *testing.T) {
	h := newHook(t)
	b := newBench(t, to("a", h))
	id := b.ended("u1", tracking.StateCompleted).Notice.ID
	b.store.lost = true
	b.round()
	b.store.lost = false
	other := b.another(to("a", h))
	other.round(context.Background()) // the claim still holds
	if ids := h.ids(); len(ids) != 1 {
		t.Fatalf("heard %v", ids)
	}
	b.now = b.now.Add(time.Minute)
	other.round(context.Background())
	if ids := h.ids(); len(ids) != 2 || ids[0] != id || ids[1] != id || b.notice("u1") != nil {
		t.Errorf("heard %v; left %+v", ids, b.notice("u1"))
	}
}

func TestManyGatewaysTellEachNoticeOnce(t *testing.T) {
	h := newHook(t)
	b := newBench(t, to("a", h))
	const uploads = 150 // more than a page
	for i := range uploads {
		b.ended(fmt.Sprint("u", i), tracking.StateAborted)
	}
	var all sync.WaitGroup
	for range 3 {
		n := b.another(to("a", h))
		all.Go(func() { n.round(context.Background()) })
	}
	all.Wait()
	ids := h.ids()
	slices.Sort(ids)
	if len(ids) != uploads || len(slices.Compact(ids)) != uploads {
		t.Errorf("%d notices of %d uploads", len(ids), uploads)
	}
}

func TestOneReceiverThatIsAwayDoesNotHoldUpTheOthers(t *testing.T) {
	well, away := newHook(t), newHook(t)
	b := newBench(t, to("well", well), to("away", away))
	away.answers(status(503))
	for i := range 20 {
		b.ended(fmt.Sprint("u", i), tracking.StateCompleted)
	}
	b.round()
	if n := len(well.ids()); n != 20 {
		t.Errorf("the one that is well heard %d of 20", n)
	}
	if n := len(away.ids()); n > atOnce {
		t.Errorf("the one that is away was tried %d times in one round", n)
	}
	for i := range 20 {
		if n := b.notice(fmt.Sprint("u", i)); n == nil || !slices.Equal(n.Left, []string{"away"}) {
			t.Errorf("left: %+v", n)
		}
	}
	away.answers(nil)
	b.now = b.now.Add(2 * awayWait)
	b.round()
	if n := len(well.ids()); n != 20 {
		t.Errorf("the one that is well heard %d of 20, some twice", n)
	}
	for i := range 20 {
		if n := b.notice(fmt.Sprint("u", i)); n != nil {
			t.Errorf("left: %+v", n)
		}
	}
}

func TestAfterThreeDaysItIsGivenUpAloud(t *testing.T) {
	h := newHook(t)
	b := newBench(t, to("a", h))
	h.answers(status(500))
	b.ended("u1", tracking.StateCompleted)
	b.round()
	for n := b.notice("u1"); !n.Due.IsZero(); n = b.notice("u1") {
		if wait := n.Due.Sub(b.now); wait > lastWait || b.now.Sub(n.Since) > patience {
			t.Fatalf("after %s it waits another %s", b.now.Sub(n.Since), wait)
		}
		b.now = n.Due.Add(time.Millisecond)
		b.round()
	}
	n := b.notice("u1")
	if gone := b.now.Sub(n.Since); gone < patience {
		t.Errorf("given up after %s", gone)
	}
	families, err := b.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if said := fmt.Sprint(families); !strings.Contains(said, `label:{name:"outcome"  value:"gave-up"}  counter:{value:1`) && !strings.Contains(said, `label:{name:"outcome" value:"gave-up"} counter:{value:1`) {
		t.Errorf("the metrics say %s", said)
	}
	before := len(h.ids())
	b.now = b.now.Add(patience)
	b.round()
	if len(h.ids()) != before {
		t.Error("it is told again")
	}
}

func TestWhoIsToldOfWhat(t *testing.T) {
	all, some := newHook(t), newHook(t)
	b := newBench(t, to("all", all), to("some", some, Completed, Failed))
	for state, want := range map[tracking.State][]string{
		tracking.StateCompleted: {"all", "some"}, tracking.StateSuperseded: {"all", "some"}, tracking.StateUnknown: {"all", "some"},
		tracking.StateAborted: {"all"}, tracking.StateOpen: nil, tracking.StateCompleting: nil, tracking.StateAborting: nil, tracking.StatePaused: nil,
	} {
		var left []string
		if n := b.Of(state); n != nil {
			left = n.Left
		}
		if !slices.Equal(left, want) {
			t.Errorf("%s is for %v, want %v", state, left, want)
		}
	}
	var nobody *Notifier
	if nobody.Of(tracking.StateCompleted) != nil {
		t.Error("without receivers there is something to tell")
	}
	nobody.Wake()
}

// What is unknown may be found out by a retry: then that is told.
func TestAnUnknownOutcomeIsToldAfterAWhile(t *testing.T) {
	h := newHook(t)
	b := newBench(t, to("a", h))
	u := b.ended("u1", tracking.StateUnknown)
	b.round()
	u.State, u.Notice = tracking.StateCompleted, b.Of(tracking.StateCompleted)
	if err := b.store.SwapUpload(context.Background(), u); err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(2 * grace)
	b.ended("u2", tracking.StateUnknown)
	b.now = b.now.Add(2 * grace)
	b.round()
	slices.Sort(h.bodies)
	if len(h.bodies) != 2 || !strings.Contains(h.bodies[0], Completed) || !strings.Contains(h.bodies[1], Failed) {
		t.Errorf("heard %q", h.bodies)
	}
}

// The record moves on while its notice is told: what is new is told as well, and the move is not undone.
func TestARecordThatMovesOnMeanwhileKeepsItsNewNotice(t *testing.T) {
	h := newHook(t)
	b := newBench(t, to("a", h))
	b.ended("u1", tracking.StateUnknown)
	b.now = b.now.Add(2 * grace)
	h.answers(func(http.ResponseWriter, *http.Request) {
		u, err := b.store.Upload(context.Background(), "u1")
		if err != nil || u.State == tracking.StateCompleted {
			return
		}
		u.State, u.Notice = tracking.StateCompleted, b.Of(tracking.StateCompleted)
		if err := b.store.SwapUpload(context.Background(), u); err != nil {
			t.Error(err)
		}
	})
	b.round()
	if n := b.notice("u1"); n == nil || n.Event != Completed {
		t.Fatalf("left: %+v", n)
	}
	b.now = b.now.Add(time.Millisecond)
	b.round()
	if ids := h.ids(); len(ids) != 2 || ids[0] == ids[1] || b.notice("u1") != nil {
		t.Errorf("heard %v; left %+v", ids, b.notice("u1"))
	}
}

func TestAReceiverThatIsConfiguredNoMoreIsDropped(t *testing.T) {
	h := newHook(t)
	b := newBench(t, to("a", h), to("b", h))
	b.ended("u1", tracking.StateCompleted)
	b.another(to("b", h)).round(context.Background())
	if len(h.ids()) != 1 || b.notice("u1") != nil {
		t.Errorf("heard %v; left %+v", h.ids(), b.notice("u1"))
	}
}

func TestRunTellsWhenItIsWokenAndEndsWithItsContext(t *testing.T) {
	h := newHook(t)
	b := newBench(t, to("a", h))
	heard := make(chan struct{}, 1)
	h.answers(func(http.ResponseWriter, *http.Request) { heard <- struct{}{} })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.Run(ctx); close(done) }()
	b.ended("u1", tracking.StateUnknown) // which is not due at once
	b.ended("u2", tracking.StateCompleted)
	b.Wake()
	<-heard
	cancel()
	<-done
}

func TestReceiversAreChecked(t *testing.T) {
	good := Receiver{Name: "a", URL: "https://hooks.example.com/x?token=topsecret", Secret: secret}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Receiver){
		"no name":               func(r *Receiver) { r.Name = "" },
		"a name of two words":   func(r *Receiver) { r.Name = "a b" },
		"no URL":                func(r *Receiver) { r.URL = "" },
		"plain http":            func(r *Receiver) { r.URL = "http://hooks.example.com/topsecret" },
		"plain http, deceptive": func(r *Receiver) { r.URL = "http://localhost.example.com/topsecret" },
		"another scheme":        func(r *Receiver) { r.URL = "file:///topsecret" },
		"a user in the URL":     func(r *Receiver) { r.URL = "https://me:topsecret@hooks.example.com" },
		"no URL at all":         func(r *Receiver) { r.URL = "https://[topsecret" },
		"a short secret":        func(r *Receiver) { r.Secret = base64.StdEncoding.EncodeToString([]byte("topsecret")) },
		"a secret in no base64": func(r *Receiver) { r.Secret = "topsecret topsecret topsecret topsecret" },
		"an unknown event":      func(r *Receiver) { r.Events = []string{"upload.created"} },
	} {
		r := good
		change(&r)
		err := r.Check()
		if err == nil {
			t.Errorf("%s is taken", name)
			continue
		}
		if strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: the error shows it: %v", name, err)
		}
	}
	for _, url := range []string{"http://localhost:1/x", "http://127.0.0.1:1", "http://[::1]:1/x"} {
		r := good
		r.URL = url
		if err := r.Check(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	if _, err := New(Config{Receivers: []Receiver{good, good}}); err == nil {
		t.Error("two of one name are taken")
	}
	if n, err := New(Config{}); n != nil || err != nil {
		t.Errorf("without receivers: %v, %v", n, err)
	}
}

// A receiver's URL may hold a secret: errors, which are logged, do not show it.
func TestErrorsDoNotShowTheURL(t *testing.T) {
	h := newHook(t)
	r := to("a", h)
	r.URL += "/topsecret"
	b := newBench(t, r)
	h.Close()
	err := b.post(context.Background(), b.receivers["a"], b.ended("u1", tracking.StateCompleted))
	if err == nil || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("%v", err)
	}
	if errors.Is(err, tracking.ErrConflict) {
		t.Error(err)
	}
}
