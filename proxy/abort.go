package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"partway/auth/sigv4"
	"partway/proxy/storage"
	"partway/tracking"
)

// abortMultipartUpload is S3's AbortMultipartUpload. The record moves to aborting before storage is asked, so that a Complete which finds the upload
// gone knows why. An Abort whose outcome is unknown stays aborting; the next one asks storage again.
func (g *Gateway) abortMultipartUpload(ctx context.Context, r *Request) (*Response, error) {
	ref, b, err := g.openUpload(r)
	if err != nil {
		return nil, err
	}
	u, err := g.Store.Upload(ctx, r.Event.UploadID)
	if errors.Is(err, tracking.ErrNotFound) && ref.Flags != 0 {
		return &Response{Status: http.StatusNoContent}, nil // handed over meanwhile: it is another's to end
	}
	if err != nil {
		return nil, asNoSuchUpload(err)
	}
	if err := r.matchInitiated(u); err != nil {
		return nil, err
	}
	resumes, err := g.mayResume(r)
	switch {
	case err != nil:
		return nil, err
	case resumes && u.Resumable != nil && u.State == tracking.StateOpen:
		return g.pause(ctx, u)
	case resumes && u.State == tracking.StatePaused:
		return nil, errNoSuchUpload
	}
	c := r.call()
	c.Headers = slices.DeleteFunc(c.Headers, func(h sigv4.Header) bool { return h.Name == ifMatchInitiated })
	c.Query = []storage.Param{{Name: "uploadId", Value: ref.StorageID}}
	return g.abort(ctx, b, u, c)
}

// apiAbort is AbortMultipartUpload by the id alone: for operators, and for tenants whose token allows it there.
func (g *Gateway) apiAbort(ctx context.Context, r *Request, id string) (*Response, error) {
	u, err := g.Store.Upload(ctx, id)
	if err != nil {
		return nil, asNoSuchUpload(err)
	}
	if !r.Identity.Operator {
		if u.Tenant != r.Identity.Tenant {
			return nil, errNoSuchUpload // another tenant's is answered like one that never was
		}
		if _, err := r.Identity.Authorize("s3:AbortMultipartUpload", u.Bucket, u.Key); err != nil {
			return nil, err
		}
	}
	r.Event.Bucket, r.Event.Key, r.Event.UploadID, r.Event.Target = u.Bucket, u.Key, u.ID, ""
	b := g.backends[u.Backend]
	if b == nil {
		return nil, errInternal.because(fmt.Errorf("no storage backend is called %q", u.Backend))
	}
	c := &storage.Call{Method: http.MethodDelete, Bucket: u.Bucket, Key: u.Key, Query: []storage.Param{{Name: "uploadId", Value: u.StorageID}}, ContentLength: -1}
	if _, err := g.abort(ctx, b, u, c); err != nil {
		return nil, err
	}
	return jsonReply(http.StatusOK, u), nil
}

// abort ends u, whose storage id c names. One that is completing is left alone while anybody may be at work on it; after that, what became
// of it comes first.
func (g *Gateway) abort(ctx context.Context, b *storage.Backend, u *tracking.Upload, c *storage.Call) (*Response, error) {
	if g.atWork(u) {
		return nil, errOperationAborted
	}
	if u.State == tracking.StateCompleting || u.State == tracking.StateUnknown {
		if _, err := g.whatBecame(ctx, b, u.StorageID, u); err != nil {
			return nil, err
		}
	}
	if u.State.Terminal() {
		return nil, errNoSuchUpload
	}
	if err := g.startAbort(ctx, u); err != nil {
		return nil, err
	}
	resp, err := g.forward(ctx, b, c, nil)
	if refusal := (*Error)(nil); errors.As(err, &refusal) && refusal.Status < http.StatusInternalServerError && refusal.Code != errNoSuchUpload.Code {
		// Storage refused for a reason of its own: the upload is as it was.
		u.ResultCode = refusal.Code
		if back := g.move(ctx, u, tracking.StateOpen); back != nil {
			return nil, back
		}
		g.putState(ctx, u.ID, tracking.StateOpen)
		return nil, err
	}
	if err != nil && !errors.Is(err, errNoSuchUpload) {
		return nil, err
	}
	u.ResultCode = ""
	if err := g.move(ctx, u, tracking.StateAborted); err != nil {
		return nil, err
	}
	g.putState(ctx, u.ID, tracking.StateAborted)
	if resp == nil { // gone at storage already, and aborting was our word: the same end
		g.settle(ctx, chargeOf(u)) // unless it was an earlier Complete whose end nobody saw
		resp = &Response{Status: http.StatusNoContent}
	} else {
		g.refund(ctx, chargeOf(u))
	}
	return resp, nil
}

const ifMatchInitiated = "x-amz-if-match-initiated-time"

// matchInitiated holds an Abort to the time that it names, by the record: that is the time which lists show, and storage's is a moment later.
// Like S3's other conditions on times, one in the future does not count.
func (r *Request) matchInitiated(u *tracking.Upload) error {
	value := r.Header(ifMatchInitiated)
	if value == "" {
		return nil
	}
	at, err := http.ParseTime(value)
	switch {
	case err != nil:
		return invalidArgument(ifMatchInitiated, value, "The time is not an HTTP date.")
	case at.After(r.Received) || at.Equal(u.CreatedAt.Truncate(time.Second)):
		return nil
	}
	return errPrecondition.with("Condition", ifMatchInitiated)
}

// startAbort moves u, which nobody is completing, to aborting.
func (g *Gateway) startAbort(ctx context.Context, u *tracking.Upload) error {
	if u.State == tracking.StateCompleting {
		if err := g.move(ctx, u, tracking.StateUnknown); err != nil {
			return err
		}
	}
	if u.State != tracking.StateAborting {
		if err := g.move(ctx, u, tracking.StateAborting); err != nil {
			return err
		}
	}
	g.putState(ctx, u.ID, tracking.StateAborting)
	return nil
}

// move changes the state of a record that was just read, by compare-and-swap. What others are to be told of it is in the same write.
func (g *Gateway) move(ctx context.Context, u *tracking.Upload, to tracking.State) error {
	if !u.State.CanMove(to) {
		return errInternal.because(fmt.Errorf("upload %s cannot move from %s to %s", u.Record, u.State, to))
	}
	u.State, u.UpdatedAt = to, g.Now().UTC().Truncate(time.Millisecond)
	notice := g.Notifier.Of(to)
	if notice != nil {
		u.Notice = notice
	}
	if err := g.Store.SwapUpload(ctx, u); err != nil {
		return fmt.Errorf("moving the upload to %s: %w", to, err)
	}
	if notice != nil {
		g.Notifier.Wake()
	}
	return nil
}
