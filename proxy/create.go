package proxy

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"partway/auth"
	"partway/proxy/storage"
	"partway/tracking"
)

// createTimeout is how long storage may take to make an upload, and tidyTimeout what may be spent on tidying up after it failed.
const (
	createTimeout = 15 * time.Second
	tidyTimeout   = 5 * time.Second
)

// createMultipartUpload is S3's CreateMultipartUpload. An intent is written before storage is asked, so that an upload which storage made and
// whose answer was lost can be tied to a record; nothing of it depends on the client staying.
func (g *Gateway) createMultipartUpload(ctx context.Context, r *Request) (*Response, error) {
	if len(r.Body) > 0 {
		return nil, errInvalidRequest.saying("CreateMultipartUpload takes no body.")
	}
	b, err := g.backendOf(r.Bucket)
	if err != nil {
		return nil, err
	}
	c := r.call()
	r.force(c)
	shape := shapeOf(c)
	resumes, err := g.mayResume(r)
	if err != nil {
		return nil, err
	}
	now := g.Now().UTC().Truncate(time.Millisecond)
	u := &tracking.Upload{
		Record: tracking.NewRecord(now), Tenant: r.Identity.Tenant, Subject: r.Identity.Subject, TokenID: r.Identity.TokenID,
		Bucket: r.Bucket, Key: r.Key, Backend: b.Name(), State: tracking.StateOpen,
		CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(g.MaxAge),
		ChecksumAlgorithm: r.Header("x-amz-checksum-algorithm"), MaxBytes: r.Scope.MaxObjectBytes,
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createTimeout)
	defer cancel()
	if _, _, err := g.uploadLimit(ctx, r); err != nil {
		return nil, err
	}
	if resumes {
		u.Resumable = &tracking.Resumable{Generation: 1, Shape: shape}
		if resp, err := g.takeUp(ctx, r, b, shape); resp != nil || err != nil {
			return resp, err
		}
	}
	if err := g.checkOpenUploads(ctx, r); err != nil {
		return nil, err
	}
	if err := g.Store.InsertUpload(ctx, u); err != nil {
		return nil, fmt.Errorf("writing the intent: %w", err)
	}
	answer, err := g.askForUpload(ctx, b, c, u)
	if err != nil {
		return nil, err
	}
	ref := auth.UploadRef{Backend: b.Name(), StorageID: u.StorageID}
	if u.Resumable != nil {
		ref.Flags, u.Resumable.Answer = uint8(u.Resumable.Generation), answer.pairs()
	}
	u.ID = g.Sealer.Seal(ref, r.Bucket, r.Key)
	u.UpdatedAt = g.Now().UTC().Truncate(time.Millisecond)
	if err := g.Store.SwapUpload(ctx, u); errors.Is(err, tracking.ErrExists) {
		return nil, errInternal.because(fmt.Errorf("storage gave out the id of an upload that it gave out before: %w", err))
	} else if err != nil {
		// An upload that no record has must not stay. If the record was written after all, the upload is gone and the record ages out.
		tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
		defer cancel()
		if abort := b.AbortUpload(tidy, r.Bucket, r.Key, u.StorageID); abort != nil {
			g.Log.Error("an upload at storage has no record", "request_id", r.ID, "bucket", r.Bucket, "record", u.Record, "error", abort)
		}
		if errors.Is(err, tracking.ErrConflict) || errors.Is(err, tracking.ErrNotFound) { // the sweep has taken the intent of a Create that slept
			return nil, errUnavailable.because(err)
		}
		return nil, fmt.Errorf("recording the upload: %w", err)
	}
	r.Event.UploadID = u.ID
	g.putState(ctx, u.ID, tracking.StateOpen)
	return created(r, u, answer), nil
}

// created is S3's answer to CreateMultipartUpload.
func created(r *Request, u *tracking.Upload, answer *Response) *Response {
	answer.Headers, answer.Body = append(answer.Headers, xmlType), encodeXML(struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		Xmlns    string   `xml:"xmlns,attr"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{Xmlns: s3Namespace, Bucket: r.Bucket, Key: r.Key, UploadID: u.ID})
	return answer
}

// checkOpenUploads holds a token to max_open_uploads, counted over its tenant's uploads under the scope's prefix. Creates at the same
// instant may pass together: the limit bounds what is left lying, not who is fast. Paused uploads lie there too; where they fill the limit, the ones that
// were paused first end for good, since their client has aborted them and has no other way to make room.
func (g *Gateway) checkOpenUploads(ctx context.Context, r *Request) error {
	limit := r.Scope.MaxOpenUploads
	if limit <= 0 {
		return nil
	}
	var paused []tracking.Upload
	at, open := tracking.OpenQuery{Bucket: r.Bucket, Prefix: r.Scope.KeyPrefix(), Limit: uploadsPage}, 0
	for {
		page, err := g.Store.OpenUploads(ctx, at)
		if err != nil {
			return fmt.Errorf("counting open uploads: %w", err)
		}
		for _, u := range page {
			if u.Tenant == r.Identity.Tenant {
				open++
				if u.State == tracking.StatePaused {
					paused = append(paused, u)
				}
			}
			at = at.After(&u)
		}
		if open-len(paused) >= limit {
			return errSlowDown.saying(fmt.Sprintf("Your token allows %d open uploads; complete or abort one.", limit))
		}
		if len(page) < at.Limit {
			return g.makeRoom(ctx, paused, open-limit+1)
		}
	}
}

// makeRoom ends as many of the paused uploads as it takes, the oldest first.
func (g *Gateway) makeRoom(ctx context.Context, paused []tracking.Upload, many int) error {
	slices.SortFunc(paused, func(a, b tracking.Upload) int { return a.UpdatedAt.Compare(b.UpdatedAt) })
	s := &sweep{g: g}
	for i := range paused[:max(many, 0)] {
		u := &paused[i]
		b := g.backends[u.Backend]
		if b == nil {
			return errInternal.because(fmt.Errorf("no storage backend is called %q", u.Backend))
		}
		err := g.startAbort(ctx, u)
		if err == nil {
			err = s.abort(ctx, b, u, "max-open-uploads")
		}
		if err != nil && !errors.Is(err, tracking.ErrConflict) { // the latter: somebody else has taken it up or ends it
			return fmt.Errorf("ending a paused upload: %w", err)
		}
	}
	return nil
}

// askForUpload asks storage, once, and sets u.StorageID. The intent goes if storage certainly made nothing, and stays if nobody can know.
func (g *Gateway) askForUpload(ctx context.Context, b *storage.Backend, c *storage.Call, u *tracking.Upload) (*Response, error) {
	answer, err := b.Do(ctx, c, nil)
	if err != nil {
		if !storage.Sent(err) {
			g.dropIntent(ctx, u)
		}
		return nil, fmt.Errorf("asking storage for an upload: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, errorBytes))
	if answer.StatusCode >= http.StatusMultipleChoices {
		if answer.StatusCode < http.StatusInternalServerError {
			g.dropIntent(ctx, u)
		}
		return nil, storageError(answer.StatusCode, body)
	}
	var made struct {
		UploadID string `xml:"UploadId"`
	}
	if err == nil {
		err = xml.Unmarshal(body, &made)
	}
	if err != nil || made.UploadID == "" {
		return nil, errUnavailable.because(fmt.Errorf("storage's answer to CreateMultipartUpload has no upload id: %w", err))
	}
	u.StorageID = made.UploadID
	if algorithm := answer.Header.Get("x-amz-checksum-algorithm"); algorithm != "" {
		u.ChecksumAlgorithm = algorithm
	}
	u.ChecksumType = answer.Header.Get("x-amz-checksum-type")
	resp := &Response{Status: http.StatusOK}
	for _, h := range answerHeaders(answer.Header) {
		if h.Name != xmlType.Name {
			resp.Headers = append(resp.Headers, h)
		}
	}
	return resp, nil
}

func (g *Gateway) dropIntent(ctx context.Context, u *tracking.Upload) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTimeout)
	defer cancel()
	if err := g.Store.DeleteIntent(ctx, u.Record); err != nil {
		g.Log.WarnContext(ctx, "an intent without an upload stays", "record", u.Record, "error", err)
	}
}
