package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

// Two writers on one key, who die and start again, change their files meanwhile and leave signed URLs that are used late: whatever is acknowledged is one
// of the sources. Without a resuming token each of them succeeds besides.
func TestTwoWritersNeverMixTheirFiles(t *testing.T) {
	trials(t, ownStack(t, harness.Setup{Mongo: harness.SecantusDB, Config: []string{resumeConfig}}), 10, 4)
}

// trials draws half of its trials step by step, one writer after the other, and lets the writers of the others run as they will.
func trials(t *testing.T, s *harness.Stack, with, without int) {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("PARTWAY_E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("PARTWAY_E2E_SEED=%d", seed)
	pieces := make([][]byte, 4) // what files are made of: two for each part
	for i := range pieces {
		pieces[i] = make([]byte, []int{5 * mib, 100_000}[i%2])
		rand.NewChaCha8([32]byte{byte(i)}).Read(pieces[i])
	}
	for name, count := range map[string]int{"with resume": with, "without": without} {
		resume := name == "with resume"
		n := s.UncheckedTenant(t, func(s *harness.Scope) { s.Resume = resume })
		t.Run(name, func(t *testing.T) {
			var acknowledged, skipped, late, refused int
			for i := range count {
				trial := &race{t: t, n: n, key: fmt.Sprint(n.Prefix, "trial-", i), pieces: pieces, resume: resume, draw: rand.New(rand.NewPCG(seed, uint64(i)))}
				trial.run()
				acknowledged, skipped, late, refused = acknowledged+trial.acknowledged, skipped+trial.skipped, late+trial.late, refused+trial.refused
				if t.Failed() {
					t.Fatalf("in trial %d", i)
				}
			}
			t.Logf("%d trials: %d Completes acknowledged, %d parts did not travel, %d came late by a URL, %d calls refused", count, acknowledged, skipped, late, refused)
			if acknowledged == 0 {
				t.Error("nobody ever succeeded")
			}
		})
	}
}

// race is one trial.
type race struct {
	t      *testing.T
	n      *harness.Tenant
	key    string
	pieces [][]byte
	resume bool
	draw   *rand.Rand

	mu                                   sync.Mutex
	acknowledged, skipped, late, refused int
	files                                map[string][]byte // that were acknowledged, by ETag
}

// turns lets one of several goroutines run at a time, up to its next step.
type turns struct {
	turn chan struct{}
	back chan bool // taken; false: and there will be no more
}

func (r *race) run() {
	ctx := r.t.Context()
	r.files = map[string][]byte{}
	stepwise := r.draw.IntN(2) == 0
	writers := make([]*raceWriter, 2)
	for i := range writers {
		writers[i] = &raceWriter{race: r, waiting: newWaiting(r.n), draw: rand.New(rand.NewPCG(r.draw.Uint64(), 0)), stepwise: stepwise,
			turns: turns{make(chan struct{}), make(chan bool)}}
	}
	errs := make([]error, len(writers))
	var all sync.WaitGroup
	for i, w := range writers {
		all.Go(func() {
			errs[i] = w.work(ctx)
			if stepwise {
				w.turns.back <- false
			}
		})
	}
	if stepwise {
		alive := append([]*raceWriter(nil), writers...)
		for _, w := range alive {
			<-w.turns.back // each stands before its first step
		}
		for len(alive) > 0 {
			i := r.draw.IntN(len(alive))
			alive[i].turns.turn <- struct{}{}
			if !<-alive[i].turns.back {
				alive = append(alive[:i], alive[i+1:]...)
			}
		}
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		r.t.Error(err)
		return
	}
	r.last(ctx)
}

// last looks at what is there in the end.
func (r *race) last(ctx context.Context) {
	etag, body, err := r.stored(ctx)
	if err != nil {
		if len(r.files) > 0 {
			r.t.Errorf("an acknowledged object is not there: %v", err)
		}
		return
	}
	if want := r.files[etag]; want == nil || !bytes.Equal(body, want) {
		r.t.Errorf("the object %s (%d bytes) is no acknowledged file", etag, len(body))
	}
}

// stored is the object as storage has it.
func (r *race) stored(ctx context.Context) (etag string, body []byte, err error) {
	got, err := r.n.Storage.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(harness.Bucket), Key: &r.key})
	if err != nil {
		return "", nil, err
	}
	defer got.Body.Close()
	body, err = io.ReadAll(got.Body)
	return aws.ToString(got.ETag), body, err
}

// raceWriter uploads files to one key until one is acknowledged, or it has tried thrice.
type raceWriter struct {
	*race
	*waiting
	draw     *rand.Rand
	stepwise bool
	turns    turns
	urls     []func(ctx context.Context) error // that it was given and has not used
}

// step waits for the writer's turn, and now and then uses a URL that was left.
func (w *raceWriter) step(ctx context.Context) error {
	if w.stepwise {
		w.turns.back <- true
		<-w.turns.turn
	}
	if len(w.urls) == 0 || w.draw.IntN(3) > 0 {
		return nil
	}
	use := w.urls[0]
	w.urls = w.urls[1:]
	w.count(&w.late)
	return use(ctx)
}

func (w *raceWriter) count(n *int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*n++
}

func (w *raceWriter) work(ctx context.Context) error {
	for range 3 {
		file := [][]byte{w.pieces[2*w.draw.IntN(2)], w.pieces[2*w.draw.IntN(2)+1]}
		done, err := w.upload(ctx, file, w.draw.IntN(2) == 0)
		if done || err != nil {
			return err
		}
	}
	for range 6 { // the URLs that are left
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// upload is one run of the writer, which may die before it completes. done: it was acknowledged.
func (w *raceWriter) upload(ctx context.Context, file [][]byte, dies bool) (done bool, err error) {
	if err := w.step(ctx); err != nil {
		return false, err
	}
	id, _, err := w.create(ctx, w.key)
	if err != nil {
		return false, err
	}
	etags := make([]string, len(file))
	for _, i := range w.draw.Perm(len(file)) {
		if err := w.step(ctx); err != nil {
			return false, err
		}
		a, err := w.send(ctx, id, i+1, file[i], dies)
		if err != nil {
			return false, err
		}
		if !a.ok() {
			return false, w.refusal("UploadPart", a)
		}
		etags[i] = a.header.Get("ETag")
	}
	if dies {
		return false, nil
	}
	if err := w.step(ctx); err != nil {
		return false, err
	}
	a, err := w.complete(ctx, w.key, id, etags...)
	if err != nil {
		return false, err
	}
	if !a.ok() {
		return false, w.refusal("CompleteMultipartUpload", a)
	}
	return true, w.acknowledge(ctx, a, file)
}

// send sends a part by one of the roads. Who dies may leave a URL to it, which may be used at any time from then on.
func (w *raceWriter) send(ctx context.Context, id string, number int, body []byte, dies bool) (said, error) {
	switch w.draw.IntN(3) {
	case 0:
		a, err := w.part(ctx, w.key, id, number, body, summed(body))
		w.look(a)
		return a, err
	case 1:
		url, headers, a, err := w.signed(ctx, w.key, id, number, body)
		if err != nil || !a.ok() {
			return a, err
		}
		put := func(ctx context.Context) (said, error) {
			a, err := w.ask(ctx, http.MethodPut, url, body, headers)
			if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) { // by storage, which refuses without reading the body
				return said{code: "NoSuchUpload"}, nil
			}
			return a, err
		}
		if dies {
			w.urls = append(w.urls, func(ctx context.Context) error {
				_, err := put(ctx) // the upload may be over
				return err
			})
			return a, nil
		}
		return put(ctx)
	}
	a, err := w.part(ctx, w.key, id, number, body, hashed(body))
	w.look(a)
	return a, err
}

func (w *raceWriter) look(a said) {
	if a.header.Get("X-Partway-Transfer") == "skip;reason=already-stored" {
		w.count(&w.skipped)
	}
}

// refusal is an error unless another writer may be the reason for it, as it may with resume.
func (w *raceWriter) refusal(operation string, a said) error {
	w.count(&w.refused)
	if w.resume && (a.code == "NoSuchUpload" || a.code == "InvalidPart" || a.code == "OperationAborted") {
		return nil
	}
	return fmt.Errorf("%s: %v %s", operation, a, a.text)
}

// acknowledge holds a Complete's 200 to its word: the object's ETag is that of this writer's file and, while the other stands still, so are its bytes.
func (w *raceWriter) acknowledge(ctx context.Context, a said, file [][]byte) error {
	_, want, _ := harness.PartList(file...)
	whole := bytes.Join(file, nil)
	w.mu.Lock()
	w.acknowledged++
	w.files[want] = whole
	w.mu.Unlock()
	if m := objectETag.FindStringSubmatch(a.text); m == nil || unquoted(m[1]) != unquoted(want) {
		return fmt.Errorf("the writer of %s was told %s", want, a.text)
	}
	if !w.stepwise {
		return nil
	}
	if _, body, err := w.stored(ctx); err != nil || !bytes.Equal(body, whole) {
		return errors.Join(fmt.Errorf("after its 200 the writer of %s finds %d other bytes", want, len(body)), err)
	}
	return nil
}
