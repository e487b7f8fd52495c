package proxy

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partway/auth"
	"partway/proxy/storage"
	"partway/tracking"
)

// sweeper is another gateway on the bench's store and storage, which serves nobody. change, if there, is made to its backend.
func (b *bench) sweeper(change func(*storage.Config)) *Gateway {
	b.t.Helper()
	c := storage.Config{Name: "main", Endpoint: b.s3.URL, Region: "us-east-1", PathStyle: true, Tries: 1, Exclusive: true,
		Credentials: storage.Credentials{AccessKeyID: "storage-id", SecretAccessKey: benchStorageSecret}}
	if change != nil {
		change(&c)
	}
	backend, err := storage.New(c)
	if err != nil {
		b.t.Fatal(err)
	}
	config := b.gateway.withRegistry(prometheus.NewRegistry())
	config.Backends, config.DefaultBackend = []*storage.Backend{backend}, c.Name
	g, err := New(config)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := g.Shutdown(context.Background()); err != nil {
			b.t.Error(err)
		}
	})
	return g
}

// metric is the value of a gateway's gauge or counter that has one label.
func metric(t *testing.T, g *Gateway, name, label string) int {
	t.Helper()
	families, err := g.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	return 0
}

func swept(t *testing.T, g *Gateway, result string) int {
	return metric(t, g, "partway_swept_uploads_total", result)
}

// ends are the events that ended uploads, as "operation reason outcome".
func (b *bench) ends() (ends []string) {
	b.t.Helper()
	for _, e := range b.events() {
		if e.Subject == "sweep" {
			if e.Tenant != "acme" || e.TokenID != "" || e.Bucket != "uploads" || e.Key == "" || e.Road != "none" {
				b.t.Errorf("event lacks something: %+v", e)
			}
			ends = append(ends, e.Operation+" "+e.Reason+" "+e.Outcome)
		}
	}
	return ends
}

func (b *bench) wantEnds(want ...string) {
	b.t.Helper()
	if got := b.ends(); !slices.Equal(got, want) {
		b.t.Errorf("events of the sweep: %q, want %q", got, want)
	}
}

func (b *bench) wantState(id string, want tracking.State) {
	b.t.Helper()
	if u := b.record(id); u.State != want {
		b.t.Errorf("record is %s, want %s", u.State, want)
	}
}

// leftAt moves a record to a state as of now, as a gateway that ended there left it.
func (b *bench) leftAt(id string, to ...tracking.State) {
	b.t.Helper()
	u := b.record(id)
	for _, s := range to {
		if err := b.gateway.move(context.Background(), u, s); err != nil {
			b.t.Fatal(err)
		}
	}
}

func TestTheSweepEndsUploadsPastTheirLifeAndNoOthers(t *testing.T) {
	b := newBench(t)
	g := b.sweeper(nil)
	old := b.started(key)
	b.wait(g.MaxAge / 2)
	live := b.started(key)
	g.sweep(t.Context())
	b.wantState(old, tracking.StateOpen)
	b.wait(g.MaxAge / 2)
	g.sweep(t.Context())
	b.wantState(old, tracking.StateAborted)
	b.wantState(live, tracking.StateOpen)
	b.wantEnds("AbortMultipartUpload expired ok")
	if n := b.s3.open(); n != 1 {
		t.Errorf("storage holds %d uploads", n)
	}
	b.want(b.part(key, old, 2, "late"), 404, "NoSuchUpload")
	b.want(b.complete(key, old, "hello"), 404, "NoSuchUpload")
	b.want(b.complete(key, live, "hello"), 200, "")
	g.sweep(t.Context())
	if n := b.s3.count("abort"); n != 1 {
		t.Errorf("storage was asked to abort %d times", n)
	}
}

func TestTheSweepEndsTheRecordOfAnUploadThatStorageLost(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.s3.lose()
	b.wait(b.gateway.MaxAge)
	b.sweeper(nil).sweep(t.Context())
	b.wantState(id, tracking.StateAborted)
	b.wantEnds("AbortMultipartUpload expired ok")
}

// lose is a lifecycle rule, say.
func (f *fakeS3) lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.uploads)
}

func TestTheSweepGoesOnWithAnAbortThatBrokeOff(t *testing.T) {
	b := newBench(t)
	g := b.sweeper(nil)
	id := b.started(key)
	b.leftAt(id, tracking.StateAborting)
	g.sweep(t.Context()) // its client's request may still be on its way
	b.wantState(id, tracking.StateAborting)
	if n := b.s3.count("abort"); n != 0 {
		t.Errorf("storage was asked to abort %d times", n)
	}
	b.wait(abortRetry)
	for _, f := range []fault{cut, fail, refuse, cutAfter} { // whatever storage says, the upload is not open again
		b.s3.faults("abort", f)
		g.sweep(t.Context())
		b.wantState(id, tracking.StateAborting)
		b.wait(abortRetry)
	}
	b.wantEnds()
	g.sweep(t.Context())
	b.wantState(id, tracking.StateAborted)
	b.wantEnds("AbortMultipartUpload broke-off ok")
	if failed := swept(t, g, "failed"); failed != 4 {
		t.Errorf("%d failures counted", failed)
	}
}

// The event comes before the end of the record: what nobody could write down is done again.
func TestTheSweepEndsNothingUnrecorded(t *testing.T) {
	b := newBench(t)
	g := b.sweeper(nil)
	id := b.started(key)
	b.wait(g.MaxAge)
	b.store.trailIsAway.Store(true)
	g.sweep(t.Context())
	b.wantState(id, tracking.StateAborting)
	b.store.trailIsAway.Store(false)
	for b.writer.Record(t.Context(), tracking.Event{Operation: "mark"}) != nil { // the writer tries its batch again by and by
		runtime.Gosched()
	}
	b.wait(abortRetry)
	g.sweep(t.Context())
	b.wantState(id, tracking.StateAborted)
}

func TestTheSweepFindsOutHowACompleteEnded(t *testing.T) {
	const asLongAsAtWork = completeTimeout + resendMark
	// broke is a Complete whose gateway ended while storage was at it. done: it had taken effect.
	broke := func(b *bench, done bool) string {
		id := b.started(key)
		b.s3.faults("complete", map[bool]fault{true: cutAfter, false: cut}[done], cut)
		b.s3.alsoFaults("parts", none, cut, cut)
		b.want(b.complete(key, id, "hello"), 503, "ServiceUnavailable")
		b.wantState(id, tracking.StateCompleting)
		b.s3.faults("")
		return id
	}
	t.Run("it had taken effect", func(t *testing.T) {
		b := newBench(t)
		g := b.sweeper(nil)
		id := broke(b, true)
		g.sweep(t.Context()) // somebody may be at work on it
		b.wantState(id, tracking.StateCompleting)
		b.wait(asLongAsAtWork)
		g.sweep(t.Context())
		b.wantState(id, tracking.StateCompleted)
		b.wantEnds("CompleteMultipartUpload found-out ok")
		u := b.record(id)
		if want := multipartETag([]listedPart{{1, etagOf([]byte("hello"))}}); u.ETag != want || u.Bytes != 5 || u.Parts != 1 {
			t.Errorf("record is %+v", u)
		}
		b.want(b.complete(key, id, "hello"), 200, "")
		if swept(t, g, "completed") != 1 {
			t.Error("not counted")
		}
	})
	t.Run("storage has it still: it waits for its client, until its life is over", func(t *testing.T) {
		b := newBench(t)
		g := b.sweeper(nil)
		id := broke(b, false)
		b.wait(asLongAsAtWork)
		g.sweep(t.Context())
		b.wantState(id, tracking.StateCompleting)
		b.wait(g.MaxAge)
		g.sweep(t.Context())
		b.wantState(id, tracking.StateAborted)
		b.wantEnds("AbortMultipartUpload expired ok")
		if b.s3.open() != 0 {
			t.Error("storage has it still")
		}
	})
	t.Run("its client comes back in time", func(t *testing.T) {
		b := newBench(t)
		id := broke(b, false)
		b.wait(asLongAsAtWork)
		b.sweeper(nil).sweep(t.Context())
		b.want(b.complete(key, id, "hello"), 200, "")
	})
	t.Run("another object is there", func(t *testing.T) {
		b := newBench(t)
		id := broke(b, true)
		b.want(b.ask("PUT", "/uploads/"+key, "another"), 200, "")
		b.wait(asLongAsAtWork)
		b.sweeper(nil).sweep(t.Context())
		b.wantState(id, tracking.StateSuperseded)
		b.want(b.complete(key, id, "hello"), 200, "")
	})
	t.Run("nothing fits: never a guess, and aborted only when its life is over", func(t *testing.T) {
		b := newBench(t)
		g := b.sweeper(nil)
		id := broke(b, false)
		b.s3.lose()
		b.wait(asLongAsAtWork)
		for range 2 {
			g.sweep(t.Context())
			b.wantState(id, tracking.StateUnknown)
		}
		b.wantEnds()
		b.wait(g.MaxAge)
		g.sweep(t.Context())
		b.wantState(id, tracking.StateAborted)
		b.wantEnds("AbortMultipartUpload expired ok")
	})
	t.Run("its object turns up late", func(t *testing.T) {
		b := newBench(t)
		g := b.sweeper(nil)
		id := broke(b, true)
		object := b.s3.hideObject("/uploads/" + key)
		b.wait(asLongAsAtWork)
		g.sweep(t.Context())
		b.wantState(id, tracking.StateUnknown)
		object()
		g.sweep(t.Context())
		b.wantState(id, tracking.StateCompleted)
	})
}

// hideObject takes an object away until back is called.
func (f *fakeS3) hideObject(path string) (back func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o := f.objects[path]
	delete(f.objects, path)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.objects[path] = o
	}
}

func TestTwoSweepsAtOnceEndEachUploadOnce(t *testing.T) {
	b := newBench(t)
	var ids []string
	for range 10 {
		ids = append(ids, b.started(key), b.started(key))
		b.leftAt(ids[len(ids)-1], tracking.StateAborting)
	}
	b.wait(b.gateway.MaxAge)
	var all sync.WaitGroup
	for range 4 {
		g := b.sweeper(nil)
		all.Go(func() { g.sweep(t.Context()) })
	}
	all.Wait()
	for _, id := range ids {
		b.wantState(id, tracking.StateAborted)
	}
	if aborts, events := b.s3.count("abort"), len(b.ends()); aborts != len(ids) || events != len(ids) {
		t.Errorf("%d aborts and %d events for %d uploads", aborts, events, len(ids))
	}
}

func TestTheSweepLeavesAloneWhatIsOnNoStorageItKnows(t *testing.T) {
	b := newBench(t)
	id := b.started(key)
	b.wait(b.gateway.MaxAge)
	b.sweeper(func(c *storage.Config) { c.Name = "other" }).sweep(t.Context())
	b.wantState(id, tracking.StateOpen)
}

// A storage that is away is asked once in a round, and the others' uploads do not wait for it.
func TestTheSweepDoesNotWaitForStorageThatIsAway(t *testing.T) {
	b := newBench(t)
	g := b.sweeper(nil)
	for range 3 {
		b.started(key)
	}
	b.wait(g.MaxAge)
	b.s3.faults("abort", cut, cut, cut)
	g.sweep(t.Context())
	if n := b.s3.count("abort"); n != 1 {
		t.Errorf("storage was asked %d times", n)
	}
	b.wait(abortRetry)
	b.s3.faults("")
	g.sweep(t.Context())
	if n := b.s3.open(); n != 0 {
		t.Errorf("storage holds %d uploads", n)
	}
}

// intent is a Create whose gateway ended after storage had made the upload.
func (b *bench) intent(key string) (storageID string) {
	b.t.Helper()
	before := b.s3.ids()
	b.s3.faults("create", cutAfter)
	b.want(b.ask("POST", "/uploads/"+key+"?uploads", ""), 503, "ServiceUnavailable")
	b.s3.faults("")
	for id := range b.s3.ids() {
		if !before[id] {
			return id
		}
	}
	b.t.Fatal("storage made no upload")
	return ""
}

func (f *fakeS3) ids() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := map[string]bool{}
	for id := range f.uploads {
		ids[id] = true
	}
	return ids
}

func (f *fakeS3) initiate(id string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uploads[id].initiated = at
}

func (b *bench) countIntents() int {
	b.t.Helper()
	page, err := b.store.Intents(context.Background(), tracking.IntentQuery{Before: b.now().Add(time.Hour), Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	return len(page)
}

func TestTheSweepEndsWhatStorageMadeForABrokenCreate(t *testing.T) {
	tests := []struct {
		name      string
		backend   func(*storage.Config)
		prepare   func(b *bench, orphan string)
		uploads   int // at storage afterwards
		intents   int
		result    string
		wantsEnds []string
	}{
		{"old enough", nil, nil, 0, 0, "orphan", []string{"AbortMultipartUpload intent ok"}},
		{"not exclusive: reported", func(c *storage.Config) { c.Exclusive = false }, nil, 1, 0, "left", []string{"partway:FoundUpload not-exclusive ok"}},
		{"storage made nothing", nil, func(b *bench, _ string) { b.s3.lose() }, 0, 0, "", nil},
		{"storage is away: later", nil, func(b *bench, _ string) { b.s3.faults("uploads", cut, cut, cut) }, 1, 1, "failed", nil},
		{"made before its window", nil, func(b *bench, id string) { b.s3.initiate(id, b.now().Add(-intentAge-clockTolerance-time.Minute)) }, 1, 0, "", nil},
		{"made after its window", nil, func(b *bench, id string) {
			b.s3.initiate(id, b.now().Add(-intentAge+createTimeout+clockTolerance+time.Minute))
		}, 1, 0, "", nil},
		{"clocks differ a little", nil, func(b *bench, id string) { b.s3.initiate(id, b.now().Add(-intentAge-clockTolerance+time.Minute)) }, 0, 0, "orphan", []string{"AbortMultipartUpload intent ok"}},
		{"one that was handed over has an owner", nil, func(b *bench, _ string) {
			b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.Resume = true }))
			b.create(key)
			b.s3.initiate(b.record(b.create(key)).StorageID, b.now().Add(-intentAge))
		}, 1, 0, "orphan", []string{"AbortMultipartUpload intent ok"}},
		{"a younger intent of the key may be its owner", nil, func(b *bench, _ string) { b.intent(key) }, 2, 2, "", nil},
		{"one of another key may not", nil, func(b *bench, _ string) { b.intent(key + "/x") }, 1, 1, "orphan", []string{"AbortMultipartUpload intent ok"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			g := b.sweeper(tt.backend)
			orphan := b.intent(key)
			g.sweep(t.Context()) // its Create may still be on its way
			if b.s3.open() != 1 || b.countIntents() != 1 {
				t.Fatal("a young intent was taken up")
			}
			b.wait(intentAge + time.Second)
			if tt.prepare != nil {
				tt.prepare(b, orphan)
			}
			g.sweep(t.Context())
			if n := b.s3.open(); n != tt.uploads {
				t.Errorf("storage holds %d uploads, want %d", n, tt.uploads)
			}
			if n := b.countIntents(); n != tt.intents {
				t.Errorf("%d intents, want %d", n, tt.intents)
			}
			if tt.result != "" && swept(t, g, tt.result) != 1 {
				t.Errorf("%s was not counted", tt.result)
			}
			b.wantEnds(tt.wantsEnds...)
		})
	}
}

func TestTheSweepNeverAbortsWhatARecordOwns(t *testing.T) {
	b := newBench(t)
	// Sealed under a key that is not the active one any more.
	masters := []auth.MasterKey{{Version: 1, Secret: benchMaster}, {Version: 2, Secret: append([]byte("another "), benchMaster...), Active: true}}
	sealer, err := auth.NewSealer(masters)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]*auth.Sealer{"the active key": b.gateway.Sealer, "an older key": sealer} {
		t.Run(name, func(t *testing.T) {
			g := b.sweeper(nil)
			g.Sealer = s
			orphan := b.intent(key)
			live := b.started(key) // in the intent's window
			b.wait(intentAge + time.Second)
			g.sweep(t.Context())
			if b.s3.ids()[orphan] {
				t.Error("the upload without a record is there still")
			}
			b.want(b.complete(key, live, "hello"), 200, "")
		})
	}
}

// A Create that slept through all that time finds its intent taken, and tells nobody of an upload that is gone.
func TestACreateWhoseIntentWasTakenFails(t *testing.T) {
	b := newBench(t)
	g := b.sweeper(nil)
	b.s3.faults("create", slow)
	defer b.s3.release() // also when the test fails before
	done := make(chan answer, 1)
	go func() { done <- b.ask("POST", "/uploads/"+key+"?uploads", "") }()
	<-b.s3.busy
	b.wait(intentAge + time.Second)
	g.sweep(t.Context())
	b.s3.release()
	b.want(<-done, 503, "ServiceUnavailable")
	if b.s3.open() != 0 || b.countIntents() != 0 || len(b.uploads()) != 0 {
		t.Errorf("%d uploads at storage, %d intents, %d records", b.s3.open(), b.countIntents(), len(b.uploads()))
	}
}

// From the moment that its upload is being aborted an intent can gain no id.
func TestTheSweepTakesAnIntentBeforeItsUpload(t *testing.T) {
	b := newBench(t)
	g := b.sweeper(nil)
	b.intent(key)
	b.wait(intentAge + time.Second)
	page, err := b.store.Intents(t.Context(), tracking.IntentQuery{Before: b.now(), Limit: 1})
	if err != nil || len(page) != 1 {
		t.Fatalf("%v, %v", page, err)
	}
	b.s3.faults("abort", slow)
	defer b.s3.release() // also when the test fails before
	ended := make(chan struct{})
	go func() { g.sweep(t.Context()); close(ended) }()
	<-b.s3.busy
	page[0].ID = "late"
	if err := b.store.SwapUpload(t.Context(), &page[0]); !errors.Is(err, tracking.ErrConflict) {
		t.Errorf("the Create records its upload: %v", err)
	}
	b.s3.release()
	<-ended
	if n := b.countIntents(); n != 0 {
		t.Errorf("%d intents", n)
	}
}

func TestTheSweepCountsWhatIsUnfinished(t *testing.T) {
	b := newBench(t)
	g := b.sweeper(nil)
	one, two := b.started(key), b.started(key)
	b.intent(key)
	b.want(b.complete(key, two, "hello"), 200, "")
	count := func(s tracking.State) int { return metric(t, g, "partway_uploads", string(s)) }
	g.countUploads(t.Context())
	if count(tracking.StateOpen) != 1 || count(tracking.StateAborting) != 0 {
		t.Errorf("%d open, %d aborting", count(tracking.StateOpen), count(tracking.StateAborting))
	}
	if n := metric(t, g, "partway_uploads_bytes", string(tracking.StateOpen)); n != len("hello") {
		t.Errorf("%d bytes wait in open uploads", n)
	}
	b.leftAt(one, tracking.StateAborting)
	g.countUploads(t.Context())
	if count(tracking.StateOpen) != 0 || count(tracking.StateAborting) != 1 {
		t.Errorf("%d open, %d aborting", count(tracking.StateOpen), count(tracking.StateAborting))
	}
	if n := metric(t, g, "partway_uploads_bytes", string(tracking.StateOpen)); n != 0 {
		t.Errorf("%d bytes wait in open uploads, of which there are none", n)
	}
}

// The pauses between rounds vary around the interval, and the sweep ends with its gateway.
func TestTheSweepGoesOnUntilItsGatewayEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rounds := &roundsStore{}
		g := &Gateway{Config: Config{Store: rounds, Now: time.Now, Log: slog.New(slog.DiscardHandler)}, base: t.Context()}
		g.metrics = newMetrics(prometheus.NewRegistry(), g)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { g.sweepEvery(ctx, time.Minute); close(ended) }()
		time.Sleep(100 * time.Minute)
		cancel()
		<-ended
		if n := len(rounds.at); n < 80 || n > 134 {
			t.Fatalf("%d rounds in 100 intervals", n)
		}
		lengths := map[time.Duration]bool{}
		for i := 1; i < len(rounds.at); i++ {
			pause := rounds.at[i].Sub(rounds.at[i-1])
			if lengths[pause] = true; pause < 45*time.Second || pause > 75*time.Second {
				t.Errorf("a pause of %v", pause)
			}
		}
		if len(lengths) < 10 {
			t.Errorf("the pauses do not vary: %v", lengths)
		}
	})
}

// roundsStore notes when each round began.
type roundsStore struct {
	tracking.Store
	at []time.Time
}

func (s *roundsStore) CountUnfinished(context.Context) (map[tracking.State]int64, error) {
	return nil, nil
}

func (s *roundsStore) DueUploads(_ context.Context, q tracking.DueQuery) ([]tracking.Upload, error) {
	if q.State == tracking.StateOpen && !q.Before.After(time.Now()) { // else it is being weighed
		s.at = append(s.at, time.Now())
	}
	return nil, nil
}

func (s *roundsStore) Intents(context.Context, tracking.IntentQuery) ([]tracking.Upload, error) {
	return nil, nil
}
