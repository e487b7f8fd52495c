package proxy

import (
	"context"
	"errors"
	"net/http"
	"time"

	"partway/auth"
	"partway/proxy/storage"
	"partway/tracking"
)

const (
	// intentAge is how old an intent is when the sweep takes it up. Its Create ended, or its gateway did, after createTimeout.
	intentAge = 15 * time.Minute
	// clockTolerance is how far storage's clock may be from the gateways' for an upload to be known as an intent's. It costs no safety, since that an upload is
	// nobody else's is checked by itself, and lies within what storage allows the clocks of signatures.
	clockTolerance = 5 * time.Minute
)

// intents takes up the records that never got an id.
func (s *sweep) intents(ctx context.Context) error {
	q := tracking.IntentQuery{Before: s.now.Add(-intentAge), Limit: sweepPage}
	for {
		page, err := s.g.Store.Intents(ctx, q)
		if err != nil {
			return err
		}
		for i := range page {
			q = q.After(&page[i])
			if err := s.take(ctx, &page[i], s.intent); err != nil {
				return err
			}
		}
		if len(page) < q.Limit {
			return nil
		}
	}
}

// intent ends what storage made for an intent, if it made anything, and then the intent. The order is what makes it safe. An upload that is
// listed was asked for by an intent of before the list. Either that intent is there still, younger than this one, and this one waits; or it has got its id
// before it was looked for, and the upload has an owner.
func (s *sweep) intent(ctx context.Context, b *storage.Backend, u *tracking.Upload) error {
	if u.State == tracking.StateAborting && s.now.Sub(u.UpdatedAt) < abortRetry {
		return nil // another sweep is at it
	}
	held, err := b.ListUploads(ctx, u.Bucket, u.Key)
	if err != nil && !errors.Is(err, storage.ErrNotFound) { // a bucket that is gone holds nothing
		return err
	}
	newest, err := s.g.Store.NewestIntent(ctx, u.Bucket, u.Key)
	if errors.Is(err, tracking.ErrNotFound) || err == nil && newest.Record != u.Record {
		return nil
	}
	if err != nil {
		return err
	}
	var orphans []string
	for _, h := range held {
		if !madeFor(u, h) {
			continue
		}
		owned, err := s.owned(ctx, u, h)
		if err != nil {
			return err
		}
		if !owned {
			orphans = append(orphans, h.ID)
		}
	}
	if len(orphans) > 0 {
		if err := s.endOrphans(ctx, b, u, orphans); err != nil {
			return err
		}
	}
	return s.g.Store.DeleteIntent(ctx, u.Record)
}

// madeFor reports whether storage made h while the Create of u was waiting for it.
func madeFor(u *tracking.Upload, h storage.Upload) bool {
	from, to := u.CreatedAt.Add(-clockTolerance), u.CreatedAt.Add(createTimeout+clockTolerance)
	return !h.Initiated.Before(from) && !h.Initiated.After(to)
}

// owned reports whether a record has the upload, in whatever state. Its id there was sealed under one of our keys, with a generation.
func (s *sweep) owned(ctx context.Context, intent *tracking.Upload, h storage.Upload) (bool, error) {
	ref := auth.UploadRef{Backend: intent.Backend, StorageID: h.ID}
	for generation := range lastGeneration + 1 { // that of an upload which was handed over is not known
		ref.Flags = uint8(generation)
		for _, id := range s.g.Sealer.SealAll(ref, intent.Bucket, intent.Key) {
			if _, err := s.g.Store.Upload(ctx, id); !errors.Is(err, tracking.ErrNotFound) {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// endOrphans aborts what storage made for an intent. Where others than the gateway make uploads it may be one of theirs: it is reported. The
// intent is taken first: a Create that wakes up after all can record its upload no more.
func (s *sweep) endOrphans(ctx context.Context, b *storage.Backend, u *tracking.Upload, orphans []string) error {
	var err error
	if u.State == tracking.StateAborting {
		err = s.claim(ctx, u)
	} else {
		err = s.g.move(ctx, u, tracking.StateAborting)
	}
	if err != nil {
		return err
	}
	for _, id := range orphans {
		ev := sweepEvent(u, "AbortMultipartUpload", "intent", http.StatusNoContent)
		ev.Target = id
		result := "orphan"
		if b.Exclusive() {
			err = b.AbortUpload(ctx, u.Bucket, u.Key, id)
		} else {
			s.g.Log.Warn("storage holds an upload that may be of a Create that broke off; its backend is not exclusive, so it stays",
				"backend", u.Backend, "bucket", u.Bucket, "intent", u.Record, "storage_upload_id", id)
			ev.Operation, ev.Reason, ev.Status, result = opFoundUpload, "not-exclusive", http.StatusOK, "left"
		}
		if err == nil {
			err = s.g.Writer.Record(ctx, ev)
		}
		if err != nil {
			return err
		}
		s.g.metrics.swept(result)
	}
	return nil
}
