package mongo

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"

	"partway/tracking"
)

// InsertUpload implements tracking.Uploads. After ErrUnavailable, a second call with the same record answers ErrExists
// if the first was stored.
func (s *Store) InsertUpload(ctx context.Context, u *tracking.Upload) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	stored := *u
	stored.Revision = 1
	if _, err := s.uploads.InsertOne(ctx, &stored); err != nil {
		return failed("insert upload record "+u.Record, err)
	}
	u.Revision = 1
	return nil
}

// Upload implements tracking.Uploads.
func (s *Store) Upload(ctx context.Context, id string) (*tracking.Upload, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	if id == "" { // an intent's; no record is found by it
		return nil, fmt.Errorf("mongodb: read upload without id: %w", tracking.ErrNotFound)
	}
	var u tracking.Upload
	if err := s.uploads.FindOne(ctx, bson.D{{Key: "id", Value: id}}).Decode(&u); err != nil {
		return nil, failed("read upload", err)
	}
	return &u, nil
}

// SwapUpload implements tracking.Uploads. After ErrUnavailable, a second call with the same u answers ErrConflict if the
// first was stored; the record read then is u with its Revision one higher.
func (s *Store) SwapUpload(ctx context.Context, u *tracking.Upload) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	doing := "swap upload record " + u.Record
	next := *u
	next.Revision++
	same := bson.D{{Key: "_id", Value: u.Record}, {Key: "revision", Value: u.Revision}}
	r, err := s.uploads.ReplaceOne(ctx, same, &next)
	if err != nil {
		return failed(doing, err)
	}
	if r.MatchedCount == 1 {
		u.Revision = next.Revision
		return nil
	}
	if err := s.uploads.FindOne(ctx, bson.D{{Key: "_id", Value: u.Record}}).Err(); err != nil {
		return failed(doing, err)
	}
	return fmt.Errorf("mongodb: %s: %w", doing, tracking.ErrConflict)
}

// DeleteIntent implements tracking.Uploads.
func (s *Store) DeleteIntent(ctx context.Context, record string) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	intent := bson.D{{Key: "_id", Value: record}, {Key: "id", Value: bson.D{{Key: "$exists", Value: false}}}}
	_, err := s.uploads.DeleteOne(ctx, intent)
	return failed("delete intent "+record, err)
}
