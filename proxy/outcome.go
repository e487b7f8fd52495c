package proxy

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"partway/proxy/storage"
	"partway/tracking"
)

// What became of a Complete whose answer nobody saw is found out from the record and from storage alone, by whoever needs to know: the
// same Complete sent again, another one, an Abort, the sweep.

// errUnderWay: storage does not show the upload and there is no object of it, but a Complete may be at work on just that.
var errUnderWay = errors.New("the upload is gone and its object is not there yet")

// atWork reports whether storage may still be completing u, be it for this gateway, for another one, or for one that is no more. Some storage
// hides an upload meanwhile, so that until then neither the upload nor its object need be there.
func (g *Gateway) atWork(u *tracking.Upload) bool {
	return u.State == tracking.StateCompleting && g.Now().Sub(u.UpdatedAt) < completeTimeout+resendMark
}

// markResend enters into a completing record that somebody is at work on it again.
func (g *Gateway) markResend(ctx context.Context, u *tracking.Upload) error {
	now := g.Now().UTC().Truncate(time.Millisecond)
	if now.Sub(u.UpdatedAt) < resendMark {
		return nil
	}
	u.UpdatedAt = now
	if err := g.Store.SwapUpload(ctx, u); err != nil {
		return fmt.Errorf("marking the upload: %w", err)
	}
	return nil
}

// whatBecame asks storage about a completing or unknown upload that nobody is at work on: it is still there, or u has moved to where findOut says.
func (g *Gateway) whatBecame(ctx context.Context, b *storage.Backend, storageID string, u *tracking.Upload) (there bool, err error) {
	_, err = b.ListParts(ctx, u.Bucket, u.Key, storageID)
	if !errors.Is(err, storage.ErrNoSuchUpload) && !errors.Is(err, storage.ErrNotFound) { // the latter: its bucket is gone
		return err == nil, err
	}
	return false, g.findOut(ctx, b, u)
}

// findOut resolves a Complete whose upload is gone from storage. The record admits no abort, so it completed: HeadObject only fills in what the
// answer would have said, and whether another object came after it. While somebody may be at work nothing but the very object is
// evidence: errUnderWay. An object of before the Complete, or none, fits nothing: then u is unknown, and never a guess.
func (g *Gateway) findOut(ctx context.Context, b *storage.Backend, u *tracking.Upload) error {
	object, err := b.HeadObject(ctx, u.Bucket, u.Key, "")
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	// Last-Modified has whole seconds.
	after := err == nil && !object.LastModified.Before(u.Completion.Started.Truncate(time.Second))
	switch {
	case after && isObjectOf(u, object):
		u.Bytes = object.Size
		header := http.Header{}
		if object.VersionID != "" {
			header.Set("x-amz-version-id", object.VersionID)
		}
		return g.foundOut(ctx, u, tracking.StateCompleted, header, object.ETag)
	case g.atWork(u):
		return errUnderWay
	case after:
		return g.foundOut(ctx, u, tracking.StateSuperseded, http.Header{}, u.Completion.ETag)
	case u.State == tracking.StateUnknown:
		return nil
	}
	g.Log.ErrorContext(ctx, "a Complete ended with an unknown outcome", "bucket", u.Bucket, "upload", u.Record)
	u.ResultCode = errInternal.Code
	if err := g.move(ctx, u, tracking.StateUnknown); err != nil {
		return err
	}
	g.settle(ctx, chargeOf(u)) // what is unknown counts
	g.putState(ctx, u.ID, tracking.StateUnknown)
	return nil
}

// isObjectOf reports whether an object is what u was asked to become. Parts whose ETags are no MD5s foretell no ETag, but how it ends.
func isObjectOf(u *tracking.Upload, o *storage.Object) bool {
	if u.Completion.ETag != "" {
		return o.ETag == u.Completion.ETag
	}
	return o.Size == u.Bytes && strings.HasSuffix(o.ETag, fmt.Sprintf(`-%d"`, u.Parts))
}

// foundOut moves u to the end that was found, with the answer that its Complete would have had.
func (g *Gateway) foundOut(ctx context.Context, u *tracking.Upload, to tracking.State, header http.Header, etag string) error {
	if err := remember(u, header, completeXML(u, etag)); err != nil {
		return errInternal.because(err)
	}
	if err := g.move(ctx, u, to); err != nil {
		return err
	}
	g.settle(ctx, chargeOf(u))
	g.putState(ctx, u.ID, to)
	return nil
}

// remember puts the answer to a Complete into its record.
func remember(u *tracking.Upload, header http.Header, body []byte) error {
	var made struct{ ETag string }
	if err := xml.Unmarshal(body, &made); err != nil {
		return err
	}
	u.ResultCode, u.ETag, u.Completion.Answer, u.Completion.Headers = "", made.ETag, body, nil
	for _, h := range answerHeaders(header) {
		if h.Name != "content-type" && h.Name != "etag" {
			u.Completion.Headers = append(u.Completion.Headers, h.Name, h.Value)
		}
	}
	return nil
}

// insist records a Complete that storage itself has acknowledged, and returns the record. Wherever another gateway moved it meanwhile, because it could
// not find out, or was refused what had happened already, gives way, but for an end.
func (g *Gateway) insist(ctx context.Context, won *tracking.Upload) (*tracking.Upload, error) {
	charged, again := chargeOf(won), (*tracking.Charge)(nil)
	for u := won; ; {
		err := g.climb(ctx, u)
		if err == nil {
			g.settle(ctx, chargeOf(u))
			g.refundUnless(ctx, again, u)
			g.putState(ctx, u.ID, tracking.StateCompleted)
			return u, nil
		}
		if !errors.Is(err, tracking.ErrConflict) {
			return nil, err
		}
		now, err := g.Store.Upload(ctx, won.ID)
		if err != nil {
			return nil, err
		}
		if now.State.Terminal() {
			if now.State == tracking.StateAborted {
				g.Log.ErrorContext(ctx, "storage completed an upload whose record is aborted", "bucket", now.Bucket, "upload", now.Record)
			}
			g.refundUnless(ctx, again, now)
			return now, nil
		}
		won.Completion.Charge = chargeOf(now)
		if won.Completion.Charge == nil && charged != nil { // who took the record back gave the bytes back, and they are an object now
			if again == nil {
				if again, err = g.chargeMade(ctx, charged, won); err != nil {
					return nil, err
				}
			}
			won.Completion.Charge = again
		}
		now.ResultCode, now.ETag, now.Bytes, now.Parts, now.Completion = "", won.ETag, won.Bytes, won.Parts, won.Completion
		u = now
	}
}

// climb moves u to completed by the moves that there are.
func (g *Gateway) climb(ctx context.Context, u *tracking.Upload) error {
	for u.State != tracking.StateCompleted {
		to := tracking.StateCompleted
		switch u.State {
		case tracking.StateAborting, tracking.StatePaused:
			to = tracking.StateOpen
		case tracking.StateOpen:
			to = tracking.StateCompleting
		}
		if err := g.move(ctx, u, to); err != nil {
			return err
		}
	}
	return nil
}

// pauses are the growing pauses between questions whose answer takes time, left of them in all.
type pauses struct{ last, left time.Duration }

// next pauses, the first time not at all. False: there is nothing left of the time, or ctx has ended.
func (p *pauses) next(ctx context.Context) bool {
	pause := min(p.last, 5*time.Second)
	if p.left -= pause; p.left < 0 {
		return false
	}
	p.last = 2*p.last + 50*time.Millisecond
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
