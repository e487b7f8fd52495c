// Package bolt keeps records, trail and tokens in one bbolt file: the store of a single gateway that has nothing else.
//
// Values are JSON: any tool can read a rescued file, and a new field needs no migration. Every list walks an index in its own order, so a page costs the same however much is stored:
//
//	uploads            record                     -> Upload
//	uploads_by_id      id                         -> record
//	uploads_by_time    created, record            -> record   (those with an id)
//	uploads_by_tenant  tenant, created, record    -> record   (those with an id)
//	uploads_open       bucket, key, id            -> record   (open, paused, completing)
//	uploads_due        state, due, record         -> record   (those with an id that are unfinished)
//	intents            created, record            -> record   (those without an id)
//	intents_by_key     bucket, key, created, record -> record (those without an id)
//	batches            time, writer, seq          -> Batch
//	batches_by_seq     writer, seq                -> time, writer, seq
//	batches_by_upload  upload id, time, writer, seq
//	batches_by_tenant  tenant, time, writer, seq
//	batches_sorted_by_upload, batches_sorted_by_tenant: what is on its way to batches_by_upload and batches_by_tenant, see listing
//	batches_to_list_by_upload  time, writer, seq -> upload ids (on its way there)
//	batches_to_list_by_tenant  time, writer, seq -> tenants    (likewise)
//	erasures           tenant                     -> Erasure
//	tokens             id                         -> Token
//	tokens_by_tenant   tenant, created, id        -> id
//	revocations        kind, token id or tenant   -> Revocation
//	uploads_to_tell    due, record                -> record   (those with a notice that is due)
//	spendings          tenant, period             -> Spending
package bolt

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"partway/tracking"
	"partway/tracking/internal/boltfile"
)

// FileName of the store, in Config.Dir.
const FileName = "partway.db"

var (
	uploads               = []byte("uploads")
	uploadsByID           = []byte("uploads_by_id")
	uploadsByTime         = []byte("uploads_by_time")
	uploadsByTenant       = []byte("uploads_by_tenant")
	uploadsOpen           = []byte("uploads_open")
	uploadsDue            = []byte("uploads_due")
	intents               = []byte("intents")
	intentsByKey          = []byte("intents_by_key")
	batches               = []byte("batches")
	batchesBySeq          = []byte("batches_by_seq")
	batchesByUpload       = []byte("batches_by_upload")
	batchesByTenant       = []byte("batches_by_tenant")
	batchesSortedByUpload = []byte("batches_sorted_by_upload")
	batchesSortedByTenant = []byte("batches_sorted_by_tenant")
	batchesToListByUpload = []byte("batches_to_list_by_upload")
	batchesToListByTenant = []byte("batches_to_list_by_tenant")
	erasures              = []byte("erasures")
	tokens                = []byte("tokens")
	tokensByTenant        = []byte("tokens_by_tenant")
	revocations           = []byte("revocations")
	spendings             = []byte("spendings")
	uploadsToTell         = []byte("uploads_to_tell")
)

// groupDelay is how long a write waits for others to share its fsync, which takes about a millisecond.
const groupDelay = 2 * time.Millisecond

// Config of a Store.
type Config struct {
	Dir string           // created if missing; one process at a time
	Now func() time.Time // what revocations expire by [time.Now]
}

// Store is a tracking.Store.
type Store struct {
	db         *bbolt.DB
	now        func() time.Time
	listAtOnce int
}

var _ tracking.Store = (*Store)(nil)

// Open opens or creates the store in c.Dir. While another process has it open, the error says so after about a second.
func Open(c Config) (*Store, error) {
	if c.Dir == "" {
		return nil, errors.New("open store: no directory given")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	db, err := boltfile.Open(filepath.Join(c.Dir, FileName), boltfile.Schema{Version: schemaVersion, Migrate: migrate}, uploads, uploadsByID, uploadsByTime,
		uploadsByTenant, uploadsOpen, uploadsDue, intents, intentsByKey, batches, batchesBySeq, batchesByUpload, batchesByTenant, batchesSortedByUpload,
		batchesSortedByTenant, batchesToListByUpload, batchesToListByTenant, erasures, tokens, tokensByTenant, revocations, spendings, uploadsToTell)
	if err != nil {
		return nil, err
	}
	db.MaxBatchDelay = groupDelay
	return &Store{db: db, now: c.Now, listAtOnce: listAtOnce}, nil
}

// Ping commits an empty transaction: the one way to learn that the disk takes writes.
func (s *Store) Ping(ctx context.Context) error {
	return s.update(ctx, "ping", func(*bbolt.Tx) error { return nil })
}

// Close waits for calls under way and lets go of the file.
func (s *Store) Close() error { return s.db.Close() }

// update runs fn in a transaction that it shares with the callers of the same moment. fn may run more than once, so it must
// assign its results rather than accumulate them. It may refuse with one of tracking's errors before its first write:
// bbolt never sees that, since it would roll the others back and run them again.
func (s *Store) update(ctx context.Context, doing string, fn func(*bbolt.Tx) error) error {
	return s.commit(ctx, doing, s.db.Batch, fn)
}

func (s *Store) commit(
	ctx context.Context, doing string, transact func(func(*bbolt.Tx) error) error, fn func(*bbolt.Tx) error,
) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w: %w", doing, tracking.ErrUnavailable, err)
	}
	var refusal error
	err := transact(func(tx *bbolt.Tx) error {
		refusal = nil
		err := fn(tx)
		if refused(err) {
			refusal, err = err, nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w: %w", doing, tracking.ErrUnavailable, err)
	}
	if refusal != nil {
		return fmt.Errorf("%s: %w", doing, refusal)
	}
	return nil
}

func (s *Store) view(ctx context.Context, doing string, fn func(*bbolt.Tx) error) error {
	return s.commit(ctx, doing, s.db.View, fn)
}

// refused tells an answer of the store from a failure of the store.
func refused(err error) bool {
	return errors.Is(err, tracking.ErrNotFound) || errors.Is(err, tracking.ErrExists) || errors.Is(err, tracking.ErrConflict) ||
		errors.Is(err, tracking.ErrBadCursor) || errors.Is(err, tracking.ErrOverLimit)
}
