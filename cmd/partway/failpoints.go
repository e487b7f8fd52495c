//go:build failpoints

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"partway/tracking"
)

// A binary with this build tag is for the tests of crashes. PARTWAY_FAILPOINT names a file, in which each line says what becomes of a step:
//
//	NAME STEP N FAULT
//
// NAME is any word: another one makes another failpoint of the line, which counts anew. STEP is a method of tracking.Store or tracking.Sessions,
// with SwapUpload and PutState followed by the state they move to ("SwapUpload.completing"). N is which call of it, from 1. FAULT is
//
//	crash-before  the process ends as by kill -9 before the call
//	crash-after   the same after the call took effect
//	fail          the call does nothing and answers ErrUnavailable
//	lost          the call takes effect and answers ErrUnavailable
//
// A failpoint that was reached has its NAME in a line of the file with ".reached" at the end of its name.
//
// Calls to storage need none of this: what stands between does the same to them from outside.
//
// PARTWAY_FAILPOINT_CLOCK is how far the gateway's clock is ahead ("16m"), so that the sweep need not be waited for.

var ahead, _ = time.ParseDuration(os.Getenv("PARTWAY_FAILPOINT_CLOCK"))

// now is the gateway's clock.
func now() time.Time { return time.Now().Add(ahead) }

// withFailpoints puts failpoints in front of every write of the store and the sessions.
func withFailpoints(store tracking.Store, sessions tracking.Sessions) (tracking.Store, tracking.Sessions) {
	file := os.Getenv("PARTWAY_FAILPOINT")
	if file == "" {
		return store, sessions
	}
	f := &failpoints{file: file, seen: map[string]int{}}
	return &failingStore{store, f}, &failingSessions{sessions, f}
}

type failpoints struct {
	file string

	mu   sync.Mutex
	seen map[string]int // calls of a line's step, by line
}

// at counts a call and says what is to become of it; "" is nothing unusual.
func (f *failpoints) at(step string) (fault string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := os.ReadFile(f.file)
	if err != nil { // no plan, or one that is about to be there
		return ""
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 4 || words[1] != step {
			continue
		}
		f.seen[line]++
		if words[2] == strconv.Itoa(f.seen[line]) {
			f.reached(words[0])
			fault = words[3]
		}
	}
	return fault
}

func (f *failpoints) reached(name string) {
	file, err := os.OpenFile(f.file+".reached", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(file, name)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		panic(err)
	}
}

func (f *failpoints) do(step string, call func() error) error {
	switch f.at(step) {
	case "crash-before":
		crash()
	case "crash-after":
		_ = call() // whatever it said, nobody hears it
		crash()
	case "fail":
		return fmt.Errorf("%s: %w: failpoint", step, tracking.ErrUnavailable)
	case "lost":
		if err := call(); err != nil {
			return err
		}
		return fmt.Errorf("%s: %w: failpoint, it took effect", step, tracking.ErrUnavailable)
	}
	return call()
}

// crash is kill -9: no deferred call, no flush, no goodbye on any connection.
func crash() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {}
}

type failingStore struct {
	tracking.Store
	at *failpoints
}

func (s *failingStore) InsertUpload(ctx context.Context, u *tracking.Upload) error {
	return s.write("InsertUpload", u, func(u *tracking.Upload) error { return s.Store.InsertUpload(ctx, u) })
}

func (s *failingStore) Upload(ctx context.Context, id string) (u *tracking.Upload, err error) {
	err = s.at.do("Upload", func() error {
		u, err = s.Store.Upload(ctx, id)
		return err
	})
	return u, err
}

func (s *failingStore) SwapUpload(ctx context.Context, u *tracking.Upload) error {
	return s.write("SwapUpload."+string(u.State), u, func(u *tracking.Upload) error { return s.Store.SwapUpload(ctx, u) })
}

// write lets u learn its new revision only if its caller learns of success.
func (s *failingStore) write(step string, u *tracking.Upload, call func(*tracking.Upload) error) error {
	written := *u
	err := s.at.do(step, func() error { return call(&written) })
	if err == nil {
		*u = written
	}
	return err
}

func (s *failingStore) DeleteIntent(ctx context.Context, record string) error {
	return s.at.do("DeleteIntent", func() error { return s.Store.DeleteIntent(ctx, record) })
}

func (s *failingStore) AppendBatch(ctx context.Context, batches ...*tracking.Batch) error {
	return s.at.do("AppendBatch", func() error { return s.Store.AppendBatch(ctx, batches...) })
}

func (s *failingStore) Charge(ctx context.Context, c tracking.Charge, p tracking.Pending, limit int64) (total *tracking.Spending, err error) {
	err = s.at.do("Charge", func() error {
		total, err = s.Store.Charge(ctx, c, p, limit)
		return err
	})
	return total, err
}

func (s *failingStore) Settle(ctx context.Context, c tracking.Charge) error {
	return s.at.do("Settle", func() error { return s.Store.Settle(ctx, c) })
}

func (s *failingStore) Refund(ctx context.Context, c tracking.Charge) error {
	return s.at.do("Refund", func() error { return s.Store.Refund(ctx, c) })
}

type failingSessions struct {
	tracking.Sessions
	at *failpoints
}

func (s *failingSessions) PutState(ctx context.Context, id string, state tracking.State, until time.Time) error {
	return s.at.do("PutState."+string(state), func() error { return s.Sessions.PutState(ctx, id, state, until) })
}

func (s *failingSessions) Reserve(ctx context.Context, id string, parts []tracking.Part, maxBytes int64, until time.Time) (sum int64, err error) {
	err = s.at.do("Reserve", func() error {
		sum, err = s.Sessions.Reserve(ctx, id, parts, maxBytes, until)
		return err
	})
	return sum, err
}

func (s *failingSessions) Land(ctx context.Context, id string, parts []tracking.Part, until time.Time) error {
	return s.at.do("Land", func() error { return s.Sessions.Land(ctx, id, parts, until) })
}
