package proxy

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"partway/tracking"
)

// world is uploads of one key, what their clients were told, and what the test does to them: requests at any of three gateways, with storage
// and store failing before or after they did what was asked, sweeps, and time. What a gateway that is killed leaves behind is what
// a store that fails from some step on leaves behind.
type world struct {
	*rapid.T
	gateways []*bench
	sweepers []*Gateway
	key      string
	uploads  []*modelled
}

// modelled is what a client knows of its upload.
type modelled struct {
	id, storage string
	parts       []string         // bodies, by part number from 1
	answers     map[string]heard // that its Completes got, by list
	aborted     bool
	end         tracking.State // once it was seen
}

type heard struct {
	body string
	at   time.Time
}

var (
	storageFaults = []fault{none, none, none, cut, cutAfter, fail, refuse}
	storeFaults   = []storeFault{storeOK, storeOK, storeOK, storeFails, storeFailsButPersists}
)

func draw[T any](w *world, name string, from []T, most int) []T {
	return rapid.SliceOfN(rapid.SampledFrom(from), 0, most).Draw(w.T, name)
}

func (w *world) gateway() *bench {
	return w.gateways[rapid.IntRange(0, len(w.gateways)-1).Draw(w.T, "gateway")]
}

func (w *world) upload() *modelled {
	if len(w.uploads) == 0 {
		w.Skip("no upload yet")
	}
	return w.uploads[rapid.IntRange(0, len(w.uploads)-1).Draw(w.T, "upload")]
}

// faulty lets the next request meet faults at storage and, when it moves the record, in the store.
func (w *world) faulty(op string) {
	b, faults := w.gateways[0], storageFaults
	if op == "complete" {
		faults = append(slices.Clip(faults), errorIn200)
	}
	b.s3.faults(op, draw(w, "storage", faults, 3)...)
	b.s3.alsoFaults("parts", draw(w, "parts", []fault{none, none, none, cut, fail}, 4)...)
	b.s3.alsoFaults("head", draw(w, "head", []fault{none, none, cut, fail}, 2)...)
	b.store.swapFaults(draw(w, "store", storeFaults, 3)...)
}

func (w *world) allWell() {
	w.gateways[0].s3.faults("")
	w.gateways[0].store.swapFaults()
}

func (w *world) create() {
	if len(w.uploads) == 3 {
		w.Skip("enough")
	}
	w.faulty("create")
	a := w.gateway().ask("POST", "/uploads/"+w.key+"?uploads", "")
	w.allWell()
	if a.status != http.StatusOK {
		return
	}
	id := uploadIDOf(a)
	u := w.gateways[0].record(id)
	w.uploads = append(w.uploads, &modelled{id: id, storage: u.StorageID, answers: map[string]heard{}})
}

func (w *world) part() {
	u := w.upload()
	w.faulty("part")
	n := rapid.IntRange(1, 2).Draw(w.T, "number")
	if n > len(u.parts)+1 {
		n = len(u.parts) + 1
	}
	body := rapid.SampledFrom([]string{"a", "b"}).Draw(w.T, "body")
	a := w.gateway().part(w.key, u.id, n, body)
	w.allWell()
	if a.status != http.StatusOK {
		return
	}
	if n > len(u.parts) {
		u.parts = append(u.parts, "")
	}
	u.parts[n-1] = body
}

// list is one that the upload's client may send: what it knows storage to hold, a part that storage has not, or less than all.
func (w *world) list(u *modelled) []string {
	if len(u.parts) == 0 {
		return []string{"nothing"}
	}
	return rapid.SampledFrom([][]string{u.parts, u.parts, u.parts, u.parts[:1], {"wrong"}}).Draw(w.T, "list")
}

func (w *world) complete() {
	u := w.upload()
	list := w.list(u)
	w.faulty("complete")
	a := w.gateway().complete(w.key, u.id, list...)
	w.allWell()
	w.completed(u, list, a)
}

// completed checks an answer to a Complete against what storage did and what was answered before.
func (w *world) completed(u *modelled, list []string, a answer) {
	name := fmt.Sprint(list)
	before, again := u.answers[name]
	ok := a.status == http.StatusOK && a.code() == ""
	switch {
	case ok && !w.gateways[0].s3.made(u.storage):
		w.Fatalf("200 to a Complete that storage never did: %s", a.body)
	case ok && u.aborted:
		w.Fatalf("200 to a Complete of what was aborted")
	case ok && len(u.answers) > 0 && !again:
		w.Fatalf("200 to another list as well: %s", a.body)
	case ok && again && sansLocation(a.body) != sansLocation(before.body):
		w.Fatalf("the same list was answered %s and then %s", before.body, a.body)
	case !ok && again && a.status < 500 && w.gateways[0].now().Sub(before.at) < completeMemory:
		w.Fatalf("the same list got a 200 and then %d %s", a.status, a.body)
	case ok && !again:
		u.answers[name] = heard{a.body, w.gateways[0].now()}
	}
}

func (w *world) abort() {
	u := w.upload()
	w.faulty("abort")
	a := w.gateway().abort(w.key, u.id)
	w.allWell()
	w.abortedBy(u, a)
}

func (w *world) abortedBy(u *modelled, a answer) {
	if a.status != http.StatusNoContent {
		return
	}
	if len(u.answers) > 0 || w.gateways[0].s3.made(u.storage) {
		w.Fatalf("an Abort of what completed was acknowledged")
	}
	u.aborted = true
}

// race is several requests for one upload at the same moment.
func (w *world) race() {
	u := w.upload()
	list := w.list(u)
	w.faulty("complete")
	type request struct {
		at    *bench
		abort bool
		list  []string
		a     answer
	}
	requests := make([]request, rapid.IntRange(2, 5).Draw(w.T, "requests"))
	for i := range requests {
		requests[i] = request{at: w.gateway(), abort: rapid.IntRange(0, 3).Draw(w.T, "abort") == 0, list: list}
	}
	var all sync.WaitGroup
	for i := range requests {
		all.Go(func() {
			r := &requests[i]
			if r.abort {
				r.a = r.at.abort(w.key, u.id)
			} else {
				r.a = r.at.complete(w.key, u.id, r.list...)
			}
		})
	}
	all.Wait()
	w.allWell()
	for _, r := range requests { // the order among them is not known: what was acknowledged must not contradict itself
		if !r.abort && r.a.status == http.StatusOK {
			w.completed(u, r.list, r.a)
		}
	}
	for _, r := range requests {
		if r.abort {
			w.abortedBy(u, r.a)
		}
	}
}

func (w *world) sweep() {
	w.faulty("abort")
	w.gateways[0].s3.alsoFaults("uploads", draw(w, "list", []fault{none, cut, fail}, 2)...)
	w.round()
	w.allWell()
}

func (w *world) round() {
	var all sync.WaitGroup
	for _, g := range w.sweepers {
		all.Go(func() { g.sweep(w.gateways[0].t.Context()) })
	}
	all.Wait()
}

func (w *world) time() {
	d := rapid.SampledFrom([]time.Duration{time.Second, resendMark, abortRetry, intentAge + time.Second, completeTimeout + resendMark}).Draw(w.T, "time")
	for _, b := range w.gateways {
		b.tenant = w.gateways[0].tenant
	}
	w.wait(d)
}

func (w *world) wait(d time.Duration) {
	w.gateways[0].wait(d)
	for _, b := range w.gateways {
		b.tenant = w.gateways[0].tenant
	}
}

// check is what holds after every step.
func (w *world) check() {
	for _, u := range w.uploads {
		now := w.gateways[0].record(u.id)
		switch {
		case u.end != "" && now.State != u.end:
			w.Fatalf("a record that had ended as %s is %s", u.end, now.State)
		case len(u.answers) > 0 && now.State != tracking.StateCompleted && now.State != tracking.StateSuperseded:
			w.Fatalf("the record of an acknowledged Complete is %s", now.State)
		case u.aborted && now.State != tracking.StateAborted:
			w.Fatalf("the record of an acknowledged Abort is %s", now.State)
		}
		if now.State.Terminal() {
			u.end = now.State
		}
	}
}

// settle lets all be well, time pass and the sweep run: then nothing is left that no record has, and every record has ended as storage did.
func (w *world) settle() {
	b := w.gateways[0]
	w.wait(b.gateway.MaxAge + completeTimeout + resendMark)
	w.wait(intentAge)
	for range 3 {
		w.round()
		w.wait(abortRetry)
	}
	for range b.countIntents() { // those of one key end one after the other, the youngest first
		w.round()
	}
	for _, u := range w.uploads {
		state, made := b.record(u.id).State, b.s3.made(u.storage)
		if completed := state == tracking.StateCompleted || state == tracking.StateSuperseded; completed != made || !state.Terminal() {
			w.Fatalf("the record is %s; storage completed it: %v", state, made)
		}
	}
	if n := b.s3.openOf("/uploads/" + w.key); n != 0 {
		w.Fatalf("storage holds %d uploads", n)
	}
	if n := b.countIntents(); n != 0 {
		w.Fatalf("%d intents are left", n)
	}
	w.check()
}

// openOf is how many uploads of one object storage holds.
func (f *fakeS3) openOf(path string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.uploads {
		if u.path == path {
			n++
		}
	}
	return n
}

// made reports whether storage completed an upload.
func (f *fakeS3) made(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.completed, id)
}

func TestUploadsAgainstAModel(t *testing.T) {
	b := newBench(t)
	gateways := []*bench{b, b.beside(), b.beside()}
	for _, g := range gateways {
		g.gateway.hidden = 0
	}
	sweepers := []*Gateway{b.sweeper(nil), b.sweeper(nil)}
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue { // a few hundred steps; -rapid.checks asks for more
		_ = checks.Value.Set("25")
		defer checks.Value.Set(checks.DefValue)
	}
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		w := &world{T: t, gateways: gateways, sweepers: sweepers, key: fmt.Sprintf("acme/%d", n)}
		step := func(f func(*world)) func(*rapid.T) {
			return func(t *rapid.T) { w.T = t; f(w) }
		}
		defer w.allWell()
		t.Repeat(map[string]func(*rapid.T){
			"create": step((*world).create), "part": step((*world).part), "complete": step((*world).complete), "complete again": step((*world).complete),
			"abort": step((*world).abort), "race": step((*world).race), "sweep": step((*world).sweep), "time": step((*world).time),
			"": step((*world).check),
		})
		w.T = t
		w.settle()
	})
}
