// Package mongo keeps the records and the audit trail in MongoDB.
//
// Seven collections:
//
//   - uploads: one document per upload record; _id is the Record.
//   - batches: one document per sealed batch, so that a batch is stored whole or not at all; _id is "writer-seq", the seq in 20
//     digits, so that it sorts a writer's batches.
//   - erasures: one document per tenant whose personal fields are to be gone; _id is the tenant.
//   - tokens: one document per token issued; _id is its id.
//   - revocations: one document per revoked token or tenant; a TTL index removes the expired ones.
//   - spendings: one document per tenant and period; _id is "tenant/period".
//   - meta: the version of the schema; _id is "schema".
//
// Only plain commands are sent (find, insert, update, findAndModify, delete, count, createIndexes), no transactions and no aggregation, so
// that servers which merely speak MongoDB's protocol do as well. A write is acknowledged by a majority and from the
// journal; reads are of the primary and of what a majority holds.
//
// A call that answers tracking.ErrUnavailable may have taken effect: the write can be in the database although its
// answer was lost. Every write is therefore made so that the next call finds out. InsertUpload again answers ErrExists,
// SwapUpload again ErrConflict, and the record then shows what was written; AppendBatch, Revoke, DeleteIntent, Charge, Settle
// and Refund are idempotent.
package mongo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"partway/tracking"
)

// Config of a Store. The URI may set anything but the read and write concerns.
type Config struct {
	URI      string           // mongodb:// or mongodb+srv://
	Database string           //
	Timeout  time.Duration    // of one call [2s]
	Now      func() time.Time // decides which revocations have expired [time.Now]
	Spans    bool             // commands are spans below those of their contexts
}

// selectionTimeout bounds the search for a primary, and so how long each call hangs while the database is away.
const selectionTimeout = time.Second

// indexTimeout bounds Open, where an index may be new to a collection that is full.
const indexTimeout = 10 * time.Second

// Store is a tracking.Store on one database.
type Store struct {
	client      *driver.Client
	uploads     *driver.Collection
	batches     *driver.Collection
	erasures    *driver.Collection
	tokens      *driver.Collection
	revocations *driver.Collection
	spendings   *driver.Collection
	meta        *driver.Collection
	timeout     time.Duration
	now         func() time.Time
}

var _ tracking.Store = (*Store)(nil)

// Open connects and makes sure of the indexes. It answers tracking.ErrUnavailable within a second if the database is away,
// within ten if it hangs; any other error is one of the Config.
func Open(ctx context.Context, c Config) (*Store, error) {
	s, err := connect(c)
	if err != nil {
		return nil, err
	}
	err = s.checkSchema(ctx)
	if err == nil {
		err = s.createIndexes(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// connect makes a Store that has asked nothing yet.
func connect(c Config) (*Store, error) {
	if c.Database == "" {
		return nil, errors.New("mongodb: no database named")
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	journaled := true
	o := options.Client().
		SetAppName("partway").
		SetServerSelectionTimeout(selectionTimeout).
		SetConnectTimeout(selectionTimeout).
		ApplyURI(c.URI).
		SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journaled}).
		SetReadConcern(readconcern.Majority()).
		SetReadPreference(readpref.Primary())
	if c.Spans {
		o.SetMonitor(newSpans())
	}
	// Retryable writes stay as the driver has them: on, where the server numbers transactions, so that an election is not
	// an error. A server that claims them and yet applies a write twice does no harm; see the package comment.
	client, err := driver.Connect(o)
	if err != nil {
		return nil, fmt.Errorf("mongodb: uri: %w", err)
	}
	db := client.Database(c.Database)
	return &Store{
		client:      client,
		uploads:     db.Collection("uploads"),
		batches:     db.Collection("batches"),
		erasures:    db.Collection("erasures"),
		tokens:      db.Collection("tokens"),
		revocations: db.Collection("revocations"),
		spendings:   db.Collection("spendings"),
		meta:        db.Collection("meta"),
		timeout:     c.Timeout,
		now:         c.Now,
	}, nil
}

// createIndexes is idempotent; several gateways may run it at once.
func (s *Store) createIndexes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	for _, want := range s.indexes() {
		if _, err := want.in.Indexes().CreateMany(ctx, want.models()); err != nil {
			return failed("create the indexes of "+want.in.Name(), err)
		}
	}
	return nil
}

// indexed are the indexes of one collection.
type indexed struct {
	in      *driver.Collection
	indexes []namedIndex
}

type namedIndex struct {
	name string
	driver.IndexModel
}

func (i *indexed) models() []driver.IndexModel {
	var all []driver.IndexModel
	for _, index := range i.indexes {
		all = append(all, index.IndexModel)
	}
	return all
}

// indexes are all that the store relies on. Each list has one in its own order, so that the server need not sort.
func (s *Store) indexes() []indexed {
	index := func(name string, keys bson.D) namedIndex {
		return namedIndex{name, driver.IndexModel{Keys: keys, Options: options.Index().SetName(name)}}
	}
	sparse := func(name string, keys bson.D) namedIndex {
		m := index(name, keys)
		m.Options.SetSparse(true)
		return m
	}
	unique := index("id", bson.D{{Key: "id", Value: 1}})
	unique.Options.SetUnique(true).SetSparse(true) // sparse: intents have no id
	ttl := index("expiry", bson.D{{Key: "expires_at", Value: 1}})
	ttl.Options.SetExpireAfterSeconds(0)

	return []indexed{
		{s.uploads, []namedIndex{
			unique,
			index("newest", bson.D{{Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}),
			index("tenant_newest", bson.D{{Key: "tenant", Value: 1}, {Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}),
			index("open_by_key", bson.D{{Key: "bucket", Value: 1}, {Key: "state", Value: 1}, {Key: "key", Value: 1}, {Key: "created_at", Value: 1}, {Key: "id", Value: 1}}),
			index("waiting_due", bson.D{{Key: "state", Value: 1}, {Key: "expires_at", Value: 1}, {Key: "_id", Value: 1}}),
			index("moving_due", bson.D{{Key: "state", Value: 1}, {Key: "updated_at", Value: 1}, {Key: "_id", Value: 1}}),
			sparse("notice_due", bson.D{{Key: "notice.due", Value: 1}}),
			index("intents", bson.D{{Key: "id", Value: 1}, {Key: "created_at", Value: 1}, {Key: "_id", Value: 1}}),
			index("intents_by_key", bson.D{{Key: "bucket", Value: 1}, {Key: "key", Value: 1}, {Key: "id", Value: 1}, {Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}),
		}},
		{s.batches, []namedIndex{
			index("oldest", bson.D{{Key: "time", Value: 1}, {Key: "writer", Value: 1}, {Key: "seq", Value: 1}}),
			index("upload_oldest", bson.D{{Key: "events.upload_id", Value: 1}, {Key: "time", Value: 1}, {Key: "writer", Value: 1}, {Key: "seq", Value: 1}}),
			index("tenant_oldest", bson.D{{Key: "events.tenant", Value: 1}, {Key: "time", Value: 1}, {Key: "writer", Value: 1}, {Key: "seq", Value: 1}}),
		}},
		{s.tokens, []namedIndex{
			index("tenant_newest", bson.D{{Key: "tenant", Value: 1}, {Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}),
		}},
		{s.revocations, []namedIndex{ttl}},
	}
}

// Ping asks the primary.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return failed("ping", s.client.Ping(ctx, readpref.Primary()))
}

// Close ends the connections and the goroutines that watch them.
func (s *Store) Close() error {
	ctx, cancel := s.bounded(context.Background())
	defer cancel()
	return failed("close", s.client.Disconnect(ctx))
}

// bounded is the context of one call.
func (s *Store) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}
