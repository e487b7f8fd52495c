package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"partway/auth"
	"partway/auth/sigv4"
	"partway/proxy/storage"
	"partway/tracking"
)

// An interrupted upload is taken up again by the Create that starts it anew: with a token that may resume, it is answered a new id over
// the upload that storage still has. The new id is the next generation of the upload and the only one that counts from then on. Which
// parts need not travel again is settled here as well, from evidence (see stored.go), and kept in the new id's ledger. Nothing of this
// is believed at the end: a Complete names an ETag for each part, and storage refuses it if a part became another meanwhile.

// lastGeneration is as many as a sealed id can tell; an upload that got there is not handed over any more.
const lastGeneration = 255

// mayResume reports whether the token, the configuration and the call itself want an upload to be taken up again.
func (g *Gateway) mayResume(r *Request) (bool, error) {
	switch r.Header("x-partway-resume") {
	case "":
		return g.ResumeWindow > 0 && r.Scope.Resume && !r.Identity.Operator, nil
	case "no":
		return false, nil
	}
	return false, errInvalidArgument.saying("x-partway-resume is no, or is left out.")
}

// shapeOf names what a Create asks the object to be, its headers in any order.
func shapeOf(c *storage.Call) string {
	sorted := slices.SortedFunc(slices.Values(c.Headers), func(a, b sigv4.Header) int { return strings.Compare(a.Name, b.Name) })
	h := sha256.New()
	for _, header := range sorted {
		fmt.Fprintf(h, "%s:%s\n", header.Name, header.Value)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// takeUp hands the newest interrupted upload over that fits the request. nil without an error: there is none, and Create makes a new one.
func (g *Gateway) takeUp(ctx context.Context, r *Request, b *storage.Backend, shape string) (*Response, error) {
	u, err := g.interrupted(ctx, r, b, shape)
	if u == nil || err != nil {
		return nil, err
	}
	held, err := b.ListParts(ctx, u.Bucket, u.Key, u.StorageID)
	if errors.Is(err, storage.ErrNoSuchUpload) {
		return nil, nil // the sweep ends its record
	} else if err != nil {
		return nil, fmt.Errorf("asking storage what an interrupted upload has: %w", err)
	}
	stored, last, err := g.evidence(ctx, u, held)
	if err != nil {
		return nil, err
	}
	now := g.Now().UTC().Truncate(time.Millisecond)
	if now.Sub(last) > g.ResumeWindow {
		return nil, nil
	}
	before := u.ID
	u.Resumable.Earlier = append(u.Resumable.Earlier, before)
	u.Resumable.Generation++
	u.ID = g.Sealer.Seal(auth.UploadRef{Backend: b.Name(), StorageID: u.StorageID, Flags: uint8(u.Resumable.Generation)}, u.Bucket, u.Key)
	u.State, u.TokenID, u.MaxBytes = tracking.StateOpen, r.Identity.TokenID, r.Scope.MaxObjectBytes
	u.UpdatedAt, u.ExpiresAt = now, now.Add(g.MaxAge)
	if err := g.Store.SwapUpload(ctx, u); errors.Is(err, tracking.ErrConflict) {
		return nil, nil // somebody else took it up, or ended it, this instant
	} else if err != nil {
		return nil, fmt.Errorf("handing an upload over: %w", err)
	}
	r.Event.UploadID, r.Event.Reason = u.ID, reasonResumed
	owed := g.owed(ctx, before, held, stored)
	g.forget(ctx, before)
	g.putState(ctx, u.ID, tracking.StateOpen)
	if len(stored) > 0 {
		g.land(ctx, r, stored...)
	}
	if len(owed) > 0 {
		if _, err := g.Sessions.Reserve(ctx, u.ID, owed, 0, now.Add(g.MaxAge)); err != nil {
			g.Log.Warn("parts of before a hand-over are not in the ledger", "request_id", r.ID, "error", err)
		}
	}
	g.metrics.resumed.Inc()
	resp := reply(http.StatusOK, nil, u.Resumable.Answer...)
	resp.Headers = append(resp.Headers, sigv4.Header{Name: "x-partway-resumed", Value: strconv.Itoa(len(stored))})
	return created(r, u, resp), nil
}

// owed are the lines that a hand-over takes along beside those of stored, so that no limit begins anew: what else storage holds, and what was
// granted under the id before and may still come. Of a number that is stored, the line itself is made to count the grant.
func (g *Gateway) owed(ctx context.Context, before string, held []storage.Part, stored []tracking.Part) []tracking.Part {
	lines := map[int]*tracking.Part{}
	for i := range stored {
		lines[stored[i].Number] = &stored[i]
	}
	var others []*tracking.Part
	add := func(p tracking.Part) {
		if line := lines[p.Number]; line != nil {
			line.Bytes = max(line.Bytes, p.Bytes)
			return
		}
		lines[p.Number] = &p
		others = append(others, &p)
	}
	for _, p := range held {
		add(tracking.Part{Number: p.Number, Bytes: p.Size, Road: string(RoadNone)})
	}
	if s, err := g.Sessions.Session(ctx, before); err == nil {
		for _, p := range s.Parts {
			if !p.Until.IsZero() { // else it landed, and storage lists it
				add(tracking.Part{Number: p.Number, Bytes: p.Bytes, Checksum: p.Checksum, Road: p.Road, Until: p.Until})
			}
		}
	}
	out := make([]tracking.Part, len(others))
	for i, p := range others {
		out[i] = *p
	}
	return out
}

// interrupted finds the upload to hand over: of the same tenant, subject, key and shape, open or paused, its Complete never refused, and with no
// part on its way. The newest, if there are several; nil if there is none.
func (g *Gateway) interrupted(ctx context.Context, r *Request, b *storage.Backend, shape string) (*tracking.Upload, error) {
	var found *tracking.Upload
	at := tracking.OpenQuery{Bucket: r.Bucket, Prefix: r.Key, Limit: uploadsPage}
	for {
		page, err := g.Store.OpenUploads(ctx, at)
		if err != nil {
			return nil, fmt.Errorf("looking for an interrupted upload: %w", err)
		}
		for i := range page {
			u := &page[i]
			if u.Key != r.Key {
				return found, nil // they come by key: the rest lies behind it
			}
			fits := u.Resumable != nil && u.Resumable.Shape == shape && u.Resumable.Generation < lastGeneration &&
				u.Tenant == r.Identity.Tenant && u.Subject == r.Identity.Subject && u.Backend == b.Name() &&
				u.State.Waiting() && u.ResultCode == "" && u.ExpiresAt.After(g.Now())
			if fits && !g.partInFlight(ctx, u) {
				found = u
			}
			at = at.After(u)
		}
		if len(page) < at.Limit {
			return found, nil
		}
	}
}

// partInFlight reports whether a part of u is being relayed, by any gateway, or whether that cannot be known. URLs that were handed out
// do not count: nobody knows of those, and a part that comes late by one makes the Complete fail that counted on another.
func (g *Gateway) partInFlight(ctx context.Context, u *tracking.Upload) bool {
	s, err := g.Sessions.Session(ctx, u.ID)
	if errors.Is(err, tracking.ErrNotFound) {
		return false // it was lost with all that was under way at the time, or nothing was
	}
	if err != nil {
		return true
	}
	for _, p := range s.Parts {
		if p.Road == string(RoadRelay) && !p.Until.IsZero() {
			return true
		}
	}
	return false
}

// liveUpload is openUpload for what only the current id of an upload may do.
func (g *Gateway) liveUpload(ctx context.Context, r *Request) (auth.UploadRef, *storage.Backend, error) {
	ref, b, err := g.openUpload(r)
	if err == nil {
		err = g.current(ctx, r, ref)
	}
	return ref, b, err
}

// current holds the id of a resumable upload to the record: an id before the last hand-over, or of an upload that its client aborted, is
// no upload any more. Other ids need no look-up. While the record cannot be read parts go on, as they do for other uploads.
func (g *Gateway) current(ctx context.Context, r *Request, ref auth.UploadRef) error {
	if ref.Flags == 0 {
		return nil
	}
	u, err := g.Store.Upload(ctx, r.Event.UploadID)
	switch {
	case errors.Is(err, tracking.ErrNotFound):
		return errNoSuchUpload
	case err != nil:
		g.Log.Warn("an upload's generation is not known", "request_id", r.ID, "error", err)
	case u.State == tracking.StatePaused:
		return errNoSuchUpload
	}
	return nil
}

// pause is the Abort of an upload that may be taken up again: its parts stay until the window ends, and its id is no upload any more.
func (g *Gateway) pause(ctx context.Context, u *tracking.Upload) (*Response, error) {
	if end := g.Now().UTC().Truncate(time.Millisecond).Add(g.ResumeWindow); end.Before(u.ExpiresAt) {
		u.ExpiresAt = end
	}
	if err := g.move(ctx, u, tracking.StatePaused); err != nil {
		return nil, err
	}
	g.putState(ctx, u.ID, tracking.StatePaused)
	return &Response{Status: http.StatusNoContent}, nil
}

// notAgain keeps an upload whose Complete is refused from being handed over: what its client was told is stored may not be.
func (g *Gateway) notAgain(ctx context.Context, u *tracking.Upload, refusal error) error {
	if u.Resumable == nil || u.ResultCode != "" {
		return refusal
	}
	u.ResultCode = asError(refusal).Code
	if err := g.Store.SwapUpload(ctx, u); err != nil {
		return err
	}
	return refusal
}

// flightLease is how long the ledger believes that a part is on its way without hearing of it again.
const flightLease = time.Minute

// fly keeps the line of a part that is being relayed in the ledger, until end is called: with what landed, or nil.
func (g *Gateway) fly(ctx context.Context, r *Request, line tracking.Part) (end func(*tracking.Landed)) {
	renewing, stop := context.WithCancel(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(flightLease / 3)
		defer tick.Stop()
		for {
			select {
			case <-renewing.Done():
				return
			case <-tick.C:
				line.Until = g.Now().Add(flightLease)
				if _, err := g.Sessions.Reserve(renewing, r.Event.UploadID, []tracking.Part{line}, 0, g.Now().Add(g.MaxAge)); err != nil {
					g.Log.Warn("a part on its way is not in the ledger", "request_id", r.ID, "error", err)
				}
			}
		}
	}()
	return func(landed *tracking.Landed) {
		stop()
		<-stopped
		if line.Landed = landed; landed != nil {
			g.land(ctx, r, line)
		} else if err := g.Sessions.Release(context.WithoutCancel(ctx), r.Event.UploadID, line.Number); err != nil {
			g.Log.Warn("a part that failed stays in the ledger for a minute", "request_id", r.ID, "error", err)
		}
	}
}

// forget drops a session that nobody will ask for again; one that stays expires.
func (g *Gateway) forget(ctx context.Context, id string) {
	if err := g.Sessions.Forget(ctx, id); err != nil {
		g.Log.WarnContext(ctx, "a session stays in the ledger", "error", err)
	}
}
