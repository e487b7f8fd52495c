package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"partway/proxy/storage"
	"partway/tracking"
)

// The sweep ends what nobody else will: uploads past their life, Aborts that broke off, Completes whose end nobody saw, and uploads that storage
// made for an intent whose gateway did not live to record them. Every gateway sweeps, and several may at the same time: whoever moves the
// record, by compare-and-swap, does the work. Storage is asked about uploads that a record or an intent names, and about no others.

const (
	sweepPage  = 100
	abortRetry = 2 * controlTimeout // an aborting upload that did not move for so long has nobody who aborts it
)

// sweepEvery sweeps until ctx ends. The pauses vary, so that gateways which started together do not stay in step.
func (g *Gateway) sweepEvery(ctx context.Context, interval time.Duration) {
	for pause := rand.N(interval); ; pause = interval*3/4 + rand.N(interval/2) {
		g.countUploads(ctx)
		next := time.NewTimer(pause)
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return
		}
		g.sweep(ctx)
	}
}

// countUploads tells the metrics how many uploads there are of each state that they can leave.
func (g *Gateway) countUploads(ctx context.Context) {
	counts, err := g.Store.CountUnfinished(ctx)
	if err != nil {
		g.Log.Debug("unfinished uploads not counted", "error", err)
		return
	}
	for _, s := range tracking.UnfinishedStates {
		g.metrics.uploads.WithLabelValues(string(s)).Set(float64(counts[s]))
	}
	g.weighUploads(ctx, counts)
}

// sweepRound bounds one round. What it does not get to, the next one does.
const sweepRound = 10 * time.Minute

// sweep is one round.
func (g *Gateway) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeoutCause(ctx, sweepRound, errors.New("the round took too long"))
	defer cancel()
	now := g.Now().UTC()
	s := &sweep{g: g, now: now, away: map[string]bool{}}
	err := errors.Join(
		s.due(ctx, tracking.StateOpen, now, s.expire),
		s.due(ctx, tracking.StatePaused, now, s.expire),
		s.due(ctx, tracking.StateAborting, now.Add(-abortRetry), s.abortAgain),
		s.due(ctx, tracking.StateCompleting, now.Add(-completeTimeout-resendMark), s.findOut),
		s.due(ctx, tracking.StateUnknown, now, s.findOut),
		s.intents(ctx))
	if err != nil && context.Cause(g.base) == nil {
		g.Log.Warn("the sweep did not see everything", "error", err)
	}
}

// sweep is what one round knows.
type sweep struct {
	g    *Gateway
	now  time.Time
	away map[string]bool // storage that did not answer: the others' uploads must not wait behind its own
}

// due takes up every upload of a state that was due before a time. The error is one of the store.
func (s *sweep) due(ctx context.Context, state tracking.State, before time.Time, take func(context.Context, *storage.Backend, *tracking.Upload) error) error {
	q := tracking.DueQuery{State: state, Before: before, Limit: sweepPage}
	for {
		page, err := s.g.Store.DueUploads(ctx, q)
		if err != nil {
			return err
		}
		for i := range page {
			q = q.After(&page[i])
			if err := s.take(ctx, &page[i], take); err != nil {
				return err
			}
		}
		if len(page) < q.Limit {
			return nil
		}
	}
}

// take does one piece of work, and keeps its failure from the others. The error is one that the others would meet as well.
func (s *sweep) take(ctx context.Context, u *tracking.Upload, work func(context.Context, *storage.Backend, *tracking.Upload) error) error {
	b := s.g.backends[u.Backend]
	if b == nil || s.away[u.Backend] {
		return nil // no storage of this configuration: nobody can say what became of it
	}
	bounded, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	err := work(bounded, b, u)
	switch {
	case err == nil, errors.Is(err, tracking.ErrConflict): // the latter: a client, or another gateway's sweep, was first
		return nil
	case errors.Is(err, tracking.ErrUnavailable) || ctx.Err() != nil:
		return err
	case errors.Is(err, storage.ErrUnavailable):
		s.away[u.Backend] = true
	}
	s.g.metrics.swept("failed")
	s.g.Log.Warn("the sweep failed at an upload", "bucket", u.Bucket, "upload", u.Record, "state", u.State, "error", err)
	return nil
}

// expire ends an upload whose life is over.
func (s *sweep) expire(ctx context.Context, b *storage.Backend, u *tracking.Upload) error {
	if err := s.g.startAbort(ctx, u); err != nil {
		return err
	}
	return s.abort(ctx, b, u, "expired")
}

// abortAgain goes on with an Abort that broke off. The record says so first, or two sweeps would.
func (s *sweep) abortAgain(ctx context.Context, b *storage.Backend, u *tracking.Upload) error {
	if err := s.claim(ctx, u); err != nil {
		return err
	}
	return s.abort(ctx, b, u, "broke-off")
}

// claim takes a record that is aborting already.
func (s *sweep) claim(ctx context.Context, u *tracking.Upload) error {
	u.UpdatedAt = s.g.Now().UTC().Truncate(time.Millisecond)
	if err := s.g.Store.SwapUpload(ctx, u); err != nil {
		return fmt.Errorf("taking the upload: %w", err)
	}
	return nil
}

// abort ends an aborting upload at storage and then its record. The event is between the two: if the gateway ends there, both are done
// again. Storage's refusal leaves the record as it is, for a later round: its client is gone.
func (s *sweep) abort(ctx context.Context, b *storage.Backend, u *tracking.Upload, reason string) error {
	if err := b.AbortUpload(ctx, u.Bucket, u.Key, u.StorageID); err != nil && !errors.Is(err, storage.ErrNotFound) { // the bucket went, and the upload with it
		return err
	}
	u.Bytes, u.Parts, u.ResultCode = 0, 0, ""
	if err := s.g.Writer.Record(ctx, sweepEvent(u, "AbortMultipartUpload", reason, http.StatusNoContent)); err != nil {
		return err
	}
	if err := s.g.move(ctx, u, tracking.StateAborted); err != nil {
		return err
	}
	s.forget(ctx, u)
	s.g.metrics.swept("aborted")
	return nil
}

// findOut takes up a Complete that nobody is at work on. If storage still has the upload, it waits for its client until its life is over.
func (s *sweep) findOut(ctx context.Context, b *storage.Backend, u *tracking.Upload) error {
	there, err := s.g.whatBecame(ctx, b, u.StorageID, u)
	if err != nil {
		return err
	}
	if u.State.Terminal() {
		s.forget(ctx, u)
		s.g.metrics.swept(string(u.State))
		return s.g.Writer.Record(ctx, sweepEvent(u, "CompleteMultipartUpload", "found-out", http.StatusOK))
	}
	if u.ExpiresAt.After(s.now) {
		return nil
	}
	charge := chargeOf(u)
	if err := s.expire(ctx, b, u); err != nil {
		return err
	}
	if there {
		s.g.refund(ctx, charge)
	}
	return nil
}

// sweepEvent is the event of what the sweep did, as the tenant's whose upload it was. No token and no request stand behind it.
func sweepEvent(u *tracking.Upload, operation, reason string, status int) tracking.Event {
	return tracking.Event{
		Tenant: u.Tenant, Subject: "sweep", Operation: operation, Bucket: u.Bucket, Key: u.Key, UploadID: u.ID,
		Bytes: u.Bytes, Parts: u.Parts, ETag: u.ETag, Road: string(RoadNone), Reason: reason, Outcome: "ok", Status: status,
	}
}

func (s *sweep) forget(ctx context.Context, u *tracking.Upload) {
	if err := s.g.Sessions.Forget(ctx, u.ID); err != nil {
		s.g.Log.Debug("session not forgotten", "upload", u.Record, "error", err)
	}
}
