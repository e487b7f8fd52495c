package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"partway/auth/sigv4"
)

// teller is an STS in the test's hand: it answers the n-th question with what serve says, and counts.
type teller struct {
	mu    sync.Mutex
	asked []holding
	serve func(ctx context.Context, n int) (expires time.Time, err error)
}

func (s *teller) assume(ctx context.Context, h holding) (*sigv4.Signer, time.Time, error) {
	s.mu.Lock()
	s.asked = append(s.asked, h)
	n := len(s.asked)
	s.mu.Unlock()
	expires, err := s.serve(ctx, n)
	if err != nil {
		return nil, time.Time{}, err
	}
	return &sigv4.Signer{AccessKeyID: fmt.Sprint("lease", n), Secret: "s", SessionToken: "t", Region: "r", Service: "s3"}, expires, nil
}

func (s *teller) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func hourFrom(t time.Time) func(context.Context, int) (time.Time, error) {
	return func(context.Context, int) (time.Time, error) { return t.Add(time.Hour), nil }
}

func newTestLeases(t *testing.T, serve func(context.Context, int) (time.Time, error)) (*leases, *teller) {
	t.Helper()
	sts := &teller{serve: serve}
	l := newLeases("assume role", sts.assume)
	t.Cleanup(l.close)
	return l, sts
}

var parts = holding{"bucket", "acme", "acme/"}

// quiet waits for what STS is being asked.
func (l *leases) quiet() { l.asking.Wait() }

func TestLeaseIsKeptUntilShortlyBeforeItsEnd(t *testing.T) {
	l, sts := newTestLeases(t, nil)
	sts.serve = hourFrom(noon)
	for _, c := range []struct {
		at    time.Duration // after noon
		key   string        // of the answer
		asked int           // by the end
		serve func(context.Context, int) (time.Time, error)
	}{
		{0, "lease1", 1, nil},
		{49*time.Minute + 59*time.Second, "lease1", 1, nil},
		{50 * time.Minute, "lease1", 2, hourFrom(noon.Add(50 * time.Minute))}, // renewed beside, without waiting
		{51 * time.Minute, "lease2", 2, nil},
		{3 * time.Hour, "lease3", 3, hourFrom(noon.Add(3 * time.Hour))}, // nothing remains: waits
	} {
		if c.serve != nil {
			sts.serve = c.serve
		}
		signer, expires, err := l.get(t.Context(), parts, noon.Add(c.at))
		l.quiet()
		if err != nil || signer.AccessKeyID != c.key || sts.count() != c.asked {
			t.Fatalf("after %s: %v, %v, asked %d times; want %s, %d", c.at, signer, err, sts.count(), c.key, c.asked)
		}
		if expires.Sub(noon.Add(c.at)) < leaseRemnant {
			t.Errorf("after %s: ends %s", c.at, expires)
		}
	}
}

// One holding's credentials are never another's: not another tenant's, bucket's or prefix's.
func TestLeasesAreNotShared(t *testing.T) {
	l, sts := newTestLeases(t, hourFrom(noon))
	keys := map[string]holding{}
	for _, h := range []holding{parts, {"other", "acme", "acme/"}, {"bucket", "other", "acme/"}, {"bucket", "acme", "acme/in/"}, {"bucket", "acme", ""}} {
		for range 2 {
			signer, _, err := l.get(t.Context(), h, noon)
			if err != nil {
				t.Fatal(err)
			}
			if owner, ok := keys[signer.AccessKeyID]; ok && owner != h {
				t.Errorf("%v was given the credentials of %v", h, owner)
			}
			keys[signer.AccessKeyID] = h
		}
	}
	if len(sts.asked) != 5 {
		t.Errorf("asked for %v", sts.asked)
	}
}

func TestLeaseIsAskedForOnce(t *testing.T) {
	answer, begun := make(chan struct{}), make(chan struct{})
	l, sts := newTestLeases(t, func(context.Context, int) (time.Time, error) {
		close(begun)
		<-answer
		return noon.Add(time.Hour), nil
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, _, err := l.get(t.Context(), parts, noon); err != nil {
				t.Error(err)
			}
		})
	}
	<-begun
	close(answer)
	all.Wait()
	if sts.count() != 1 {
		t.Errorf("asked %d times", sts.count())
	}
}

// Who cannot wait goes without; the answer is there for the next.
func TestSlowSTSDoesNotHoldAnyone(t *testing.T) {
	answer := make(chan struct{})
	l, sts := newTestLeases(t, func(context.Context, int) (time.Time, error) { <-answer; return noon.Add(time.Hour), nil })
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, _, err := l.get(ctx, parts, noon); !errors.Is(err, ErrNoIdentity) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	close(answer)
	l.quiet()
	if signer, _, err := l.get(ctx, parts, noon); err != nil || signer.AccessKeyID != "lease1" || sts.count() != 1 {
		t.Errorf("%v, %v, asked %d times", signer, err, sts.count())
	}
}

// A failure is remembered for a moment, and never takes away what is still good.
func TestFailingSTS(t *testing.T) {
	failure := errors.New("access denied")
	l, sts := newTestLeases(t, hourFrom(noon))
	if _, _, err := l.get(t.Context(), parts, noon); err != nil {
		t.Fatal(err)
	}
	sts.serve = func(context.Context, int) (time.Time, error) { return time.Time{}, failure }
	at := func(d time.Duration) (string, error) {
		signer, _, err := l.get(t.Context(), parts, noon.Add(d))
		l.quiet()
		if err != nil {
			return "", err
		}
		return signer.AccessKeyID, nil
	}
	for _, c := range []struct {
		after time.Duration
		key   string // "": failure
		asked int
	}{
		{55 * time.Minute, "lease1", 2},
		{55*time.Minute + leasePause - 1, "lease1", 2},
		{55*time.Minute + leasePause, "lease1", 3},
		{59 * time.Minute, "lease1", 4},
		{59*time.Minute + time.Second, "", 4}, // less than the remnant: another URL would be of no use
		{59*time.Minute + leasePause, "", 5},
	} {
		key, err := at(c.after)
		if key != c.key || sts.count() != c.asked || c.key == "" && (!errors.Is(err, ErrNoIdentity) || !errors.Is(err, failure)) {
			t.Errorf("after %s: %q, %v, asked %d times; want %q, %d", c.after, key, err, sts.count(), c.key, c.asked)
		}
	}
}

// Credentials that end at once are none, and are not asked for by every part.
func TestLeaseThatEndsAtOnce(t *testing.T) {
	l, sts := newTestLeases(t, func(context.Context, int) (time.Time, error) { return noon.Add(leaseRemnant - 1), nil })
	for range 3 {
		if _, _, err := l.get(t.Context(), parts, noon); !errors.Is(err, ErrNoIdentity) {
			t.Errorf("error %v", err)
		}
	}
	if sts.count() != 1 {
		t.Errorf("asked %d times", sts.count())
	}
}

func TestLeasesAreBounded(t *testing.T) {
	l, sts := newTestLeases(t, hourFrom(noon))
	get := func(tenant string, at time.Time) {
		if _, _, err := l.get(t.Context(), holding{"bucket", tenant, ""}, at); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxLeases {
		get(fmt.Sprint(i), noon.Add(time.Duration(i)))
	}
	get("0", noon.Add(time.Second)) // used again: it is "1" that goes
	get("new", noon.Add(time.Second))
	if len(l.all) != maxLeases || sts.count() != maxLeases+1 {
		t.Errorf("%d kept, asked %d times", len(l.all), sts.count())
	}
	get("0", noon.Add(time.Second))
	if sts.count() != maxLeases+1 {
		t.Error("the one that was used last had gone")
	}
	get("1", noon.Add(time.Second))
	if sts.count() != maxLeases+2 {
		t.Error("the one that was not used for longest was kept")
	}
}

func TestCloseEndsAsking(t *testing.T) {
	begun := make(chan struct{})
	l, sts := newTestLeases(t, func(ctx context.Context, _ int) (time.Time, error) {
		close(begun)
		<-ctx.Done()
		return time.Time{}, ctx.Err()
	})
	done := make(chan error)
	go func() {
		_, _, err := l.get(t.Context(), parts, noon)
		done <- err
	}()
	<-begun
	l.close()
	if err := <-done; !errors.Is(err, ErrNoIdentity) || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("error %v", err)
	}
	if _, _, err := l.get(t.Context(), parts, noon); !errors.Is(err, ErrNoIdentity) || sts.count() != 1 {
		t.Errorf("closed: %v, asked %d times", err, sts.count())
	}
}
