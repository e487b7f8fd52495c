package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"partway/tracking"
)

// noID leaves the intents. MongoDB's indexes have a missing field as null.
var noID = bson.E{Key: "id", Value: bson.D{{Key: "$exists", Value: false}}}

// DueUploads implements tracking.Unfinished.
func (s *Store) DueUploads(ctx context.Context, q tracking.DueQuery) ([]tracking.Upload, error) {
	due := "updated_at"
	if q.State.Waiting() {
		due = "expires_at"
	}
	return s.findBetween(ctx, bson.D{hasID, {Key: "state", Value: q.State}}, due, q.Before, q.AfterTime, q.AfterRecord, q.Limit)
}

// Intents implements tracking.Unfinished.
func (s *Store) Intents(ctx context.Context, q tracking.IntentQuery) ([]tracking.Upload, error) {
	return s.findBetween(ctx, bson.D{noID}, "created_at", q.Before, q.AfterTime, q.AfterRecord, q.Limit)
}

// findBetween finds by (field, _id) what lies behind (after, record), unless record is empty, and before before.
func (s *Store) findBetween(ctx context.Context, filter bson.D, field string, before, after time.Time, record string, limit int) ([]tracking.Upload, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	within := bson.D{{Key: "$lt", Value: before}}
	if record != "" {
		within = append(within, bson.E{Key: "$gte", Value: after}) // where the server can start in the index, as in ListUploads
		filter = append(filter, bson.E{Key: "$or", Value: bson.A{
			bson.D{{Key: field, Value: bson.D{{Key: "$gt", Value: after}}}},
			bson.D{{Key: field, Value: after}, {Key: "_id", Value: bson.D{{Key: "$gt", Value: record}}}},
		}})
	}
	filter = append(filter, bson.E{Key: field, Value: within})
	return s.findUploads(ctx, filter, bson.D{{Key: field, Value: 1}, {Key: "_id", Value: 1}}, limit)
}

// NewestIntent implements tracking.Unfinished.
func (s *Store) NewestIntent(ctx context.Context, bucket, key string) (*tracking.Upload, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	var u tracking.Upload
	newest := bson.D{{Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}
	found := s.uploads.FindOne(ctx, bson.D{noID, {Key: "bucket", Value: bucket}, {Key: "key", Value: key}}, options.FindOne().SetSort(newest))
	if err := found.Decode(&u); err != nil {
		return nil, failed("find newest intent", err)
	}
	return &u, nil
}

// CountUnfinished implements tracking.Unfinished.
func (s *Store) CountUnfinished(ctx context.Context) (map[tracking.State]int64, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	counts := map[tracking.State]int64{}
	for _, state := range tracking.UnfinishedStates {
		in := bson.E{Key: "state", Value: state}
		all, err := s.count(ctx, bson.D{in})
		if err != nil {
			return nil, err
		}
		intents, err := s.count(ctx, bson.D{noID, in}) // counted apart: each of the two has an index
		if err != nil {
			return nil, err
		}
		if all > intents {
			counts[state] = all - intents
		}
	}
	return counts, nil
}

// count sends the count command: the driver's own count is an aggregation.
func (s *Store) count(ctx context.Context, filter bson.D) (int64, error) {
	var answer struct {
		N int64 `bson:"n"`
	}
	command := bson.D{{Key: "count", Value: s.uploads.Name()}, {Key: "query", Value: filter}}
	err := s.uploads.Database().RunCommand(ctx, command).Decode(&answer)
	return answer.N, failed("count uploads", err)
}
