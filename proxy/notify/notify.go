// Package notify tells others what became of uploads: a signed POST to each receiver, at least once.
//
// What is to be told is in the upload's record (tracking.Notice), where it came with the state itself: Of makes it, and who moves the record
// writes it. Notifiers on every gateway look for what is due. Whoever claims a notice, by moving its Due ahead in a compare-and-swap,
// tells it and then takes out who heard it. A gateway that ends in between leaves the claim to run out, and the notice is told again.
// Nothing is kept in memory, so nothing is lost with it.
//
// A receiver heard a notice when it answered 2xx. Else it is told again after 5 s, 10 s, ... up to an hour, for three days; then the notice
// stays in the record, not due any more, and the log and partway_notifications_total say so.
//
// The form is that of Standard Webhooks (https://www.standardwebhooks.com): webhook-id, the same each time one notice is told, by which a receiver
// knows what it heard before; webhook-timestamp; webhook-signature, "v1," and the base64 of HMAC-SHA256(secret, id.timestamp.body).
package notify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partway/tracking"
)

const (
	poll      = 2 * time.Second  // between looks at the store, when nothing here wakes it
	grace     = 10 * time.Second // before an unknown outcome is told: a retry of the Complete may find it out
	firstWait = 5 * time.Second
	lastWait  = time.Hour
	awayWait  = time.Minute // of a notice whose receivers were away for others, and which was not tried
	patience  = 3 * 24 * time.Hour
	page      = 64
	atOnce    = 8
	writing   = 5 * time.Second // bounds the write that says who heard
)

// Store is what a Notifier needs of tracking.Store.
type Store interface {
	tracking.Notices
	Upload(ctx context.Context, id string) (*tracking.Upload, error)
	SwapUpload(ctx context.Context, u *tracking.Upload) error
}

// Config of a Notifier.
type Config struct {
	Store     Store
	Receivers []Receiver
	Log       *slog.Logger
	Registry  *prometheus.Registry
	Now       func() time.Time
	Timeout   time.Duration // of one POST [10s]
}

// Notifier tells. A nil one has nothing to tell.
type Notifier struct {
	store     Store
	receivers map[string]*receiver
	names     []string // as configured
	client    *http.Client
	log       *slog.Logger
	now       func() time.Time
	timeout   time.Duration
	told      *prometheus.CounterVec
	wake      chan struct{}
}

type receiver struct {
	Receiver
	key []byte
}

// New checks the config. nil if there is nobody to tell.
func New(c Config) (*Notifier, error) {
	if len(c.Receivers) == 0 {
		return nil, nil
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	n := &Notifier{store: c.Store, receivers: map[string]*receiver{}, log: c.Log, now: c.Now, timeout: c.Timeout, wake: make(chan struct{}, 1)}
	for _, r := range c.Receivers {
		if err := r.Check(); err != nil {
			return nil, err
		}
		if n.receivers[r.Name] != nil {
			return nil, fmt.Errorf("name %q stands twice", r.Name)
		}
		key, _ := r.key() // it was just checked
		n.receivers[r.Name] = &receiver{r, key}
		n.names = append(n.names, r.Name)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: atOnce, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second}
	// A redirect would take the body where nobody said that it may go.
	n.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	n.told = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "partway_notifications_total",
		Help: "Notifications by outcome: delivered, failed (and told again later), gave-up."}, []string{"outcome"})
	for _, outcome := range []string{"delivered", "failed", "gave-up"} {
		n.told.WithLabelValues(outcome) // there from the start, so that the first is an increase
	}
	c.Registry.MustRegister(n.told)
	return n, nil
}

// Of is the notice of an upload that reaches a state; nil if nobody wants to know.
func (n *Notifier) Of(s tracking.State) *tracking.Notice {
	if n == nil {
		return nil
	}
	var event string
	var wait time.Duration
	switch s {
	case tracking.StateCompleted, tracking.StateSuperseded:
		event = Completed
	case tracking.StateAborted:
		event = Aborted
	case tracking.StateUnknown:
		event, wait = Failed, grace
	default:
		return nil
	}
	var left []string
	for _, name := range n.names {
		if n.receivers[name].wants(event) {
			left = append(left, name)
		}
	}
	if left == nil {
		return nil
	}
	now := n.now().UTC().Truncate(time.Millisecond)
	return &tracking.Notice{ID: "msg_" + rand.Text(), Event: event, Since: now, Due: now.Add(wait), Left: left}
}

// Wake makes Run look at once: a notice was just written.
func (n *Notifier) Wake() {
	if n == nil {
		return
	}
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// Run tells what is due until ctx ends.
func (n *Notifier) Run(ctx context.Context) {
	defer n.client.CloseIdleConnections()
	for {
		n.round(ctx)
		next := time.NewTimer(poll/2 + mathrand.N(poll))
		select {
		case <-next.C:
		case <-n.wake:
			next.Stop()
		case <-ctx.Done():
			next.Stop()
			return
		}
	}
}

// round tells all that is due.
func (n *Notifier) round(ctx context.Context) {
	r := &round{Notifier: n, away: map[string]bool{}}
	for ctx.Err() == nil {
		due, err := n.store.DueNotices(ctx, n.now().Add(time.Millisecond), page) // what is due now, too
		if err != nil {
			n.log.Debug("due notices not read", "error", err)
			return
		}
		r.tellAll(ctx, due)
		if len(due) < page || r.storeFailed() {
			return
		}
	}
}

// round is what one round knows.
type round struct {
	*Notifier
	mu     sync.Mutex
	away   map[string]bool // receivers that failed: the rest of the round leaves them alone, so that one does not hold up the others
	failed bool
}

func (r *round) storeFailed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *round) isAway(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away[name]
}

func (r *round) tellAll(ctx context.Context, due []tracking.Upload) {
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range due {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := r.tell(ctx, &due[i]); err != nil && !errors.Is(err, tracking.ErrConflict) {
				r.log.Debug("a notice is told later", "upload", due[i].Record, "error", err)
				r.mu.Lock()
				r.failed = true
				r.mu.Unlock()
			}
		})
	}
	all.Wait()
}

// tell claims the notice of u, tells it, and writes down who heard it. The error is the store's.
func (r *round) tell(ctx context.Context, u *tracking.Upload) error {
	if !slices.ContainsFunc(u.Notice.Left, func(name string) bool { return !r.isAway(name) }) {
		u.Notice = r.next(u, u.Notice.Left, false)
		return r.store.SwapUpload(ctx, u)
	}
	mine := *u.Notice
	u.Notice = &mine
	claim := r.timeout*time.Duration(len(mine.Left)) + 2*writing // longer than telling it can take
	mine.Due = r.now().UTC().Truncate(time.Millisecond).Add(claim)
	if err := r.store.SwapUpload(ctx, u); err != nil {
		return err
	}
	var left []string
	tried := false
	for _, name := range mine.Left {
		to := r.receivers[name]
		switch {
		case to == nil:
			r.log.Warn("a notice is for a receiver that is not configured any more", "receiver", name, "upload", u.Record)
			continue
		case r.isAway(name):
		default:
			err := r.post(ctx, to, u)
			if err == nil {
				r.told.WithLabelValues("delivered").Inc()
				continue
			}
			tried = true
			r.told.WithLabelValues("failed").Inc()
			r.log.Warn("a receiver did not take a notice", "receiver", name, "event", mine.Event, "upload", u.Record, "tries", mine.Tries+1, "error", err)
			r.mu.Lock()
			r.away[name] = true
			r.mu.Unlock()
		}
		left = append(left, name)
	}
	return r.heard(ctx, u, left, tried)
}

// heard writes down who is left. It is written though the gateway is about to end: what was heard need not be told again.
func (r *round) heard(ctx context.Context, u *tracking.Upload, left []string, tried bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writing)
	defer cancel()
	id := u.Notice.ID
	for {
		u.Notice = r.next(u, left, tried)
		err := r.store.SwapUpload(ctx, u)
		if !errors.Is(err, tracking.ErrConflict) {
			return err
		}
		now, err := r.store.Upload(ctx, u.ID)
		if err != nil {
			return err
		}
		if now.Notice == nil || now.Notice.ID != id {
			return nil // the upload moved on, and what is to be told with it
		}
		u = now
	}
}

// next is the notice for those who are left; nil if nobody is.
func (r *round) next(u *tracking.Upload, left []string, tried bool) *tracking.Notice {
	if len(left) == 0 {
		return nil
	}
	next := *u.Notice
	next.Left = slices.Clone(left)
	now := r.now().UTC().Truncate(time.Millisecond)
	if !tried {
		next.Due = now.Add(awayWait)
		return &next
	}
	next.Tries++
	next.Due = now.Add(wait(next.Tries))
	if now.Sub(next.Since) >= patience {
		next.Due = time.Time{}
		r.told.WithLabelValues("gave-up").Inc()
		r.log.Error("a notice was given up", "receivers", left, "event", next.Event, "upload", u.Record, "tries", next.Tries)
	}
	return &next
}

// wait is how long the try after so many waits.
func wait(tries int) time.Duration {
	return min(firstWait<<min(tries-1, 20), lastWait)
}
