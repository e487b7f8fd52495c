package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"partway/tracking"
)

// hasID leaves out the intents.
var hasID = bson.E{Key: "id", Value: bson.D{{Key: "$gt", Value: ""}}}

// uploadCursor is the last upload of a page.
type uploadCursor struct {
	Created time.Time `json:"c"`
	Record  string    `json:"r"`
}

func (c *uploadCursor) complete() bool { return c.Record != "" }

// ListUploads implements tracking.Uploads, ordered by (CreatedAt, Record) descending.
func (s *Store) ListUploads(ctx context.Context, q tracking.UploadQuery) ([]tracking.Upload, string, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	filter := bson.D{hasID}
	if q.Tenant != "" {
		filter = append(filter, bson.E{Key: "tenant", Value: q.Tenant})
	}
	if q.Bucket != "" {
		filter = append(filter, bson.E{Key: "bucket", Value: q.Bucket})
	}
	if q.Prefix != "" {
		filter = append(filter, bson.E{Key: "key", Value: prefixRange(q.Prefix)})
	}
	if len(q.States) > 0 {
		filter = append(filter, bson.E{Key: "state", Value: bson.D{{Key: "$in", Value: q.States}}})
	}
	if q.Cursor != "" {
		var after uploadCursor
		if err := parseCursor(q.Cursor, &after); err != nil {
			return nil, "", err
		}
		// The $lte adds nothing to what the $or says, but the server can start in the index there, which it cannot by an $or: each
		// page would cost as much as all pages before it.
		filter = append(filter, bson.E{Key: "created_at", Value: bson.D{{Key: "$lte", Value: after.Created}}}, bson.E{Key: "$or", Value: bson.A{
			bson.D{{Key: "created_at", Value: bson.D{{Key: "$lt", Value: after.Created}}}},
			bson.D{{Key: "created_at", Value: after.Created}, {Key: "_id", Value: bson.D{{Key: "$lt", Value: after.Record}}}},
		}})
	}
	limit := pageLimit(q.Limit)
	page, err := s.findUploads(ctx, filter, bson.D{{Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}, limit+1)
	if err != nil || len(page) <= limit {
		return page, "", err
	}
	page = page[:limit]
	last := page[limit-1]
	return page, formatCursor(uploadCursor{last.CreatedAt, last.Record}), nil
}

// OpenUploads implements tracking.Uploads.
func (s *Store) OpenUploads(ctx context.Context, q tracking.OpenQuery) ([]tracking.Upload, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	live := bson.A{tracking.StateOpen, tracking.StatePaused, tracking.StateCompleting}
	filter := bson.D{
		hasID,
		{Key: "bucket", Value: q.Bucket},
		{Key: "state", Value: bson.D{{Key: "$in", Value: live}}},
	}
	keys := prefixRange(q.Prefix)
	if q.AfterKey != "" {
		keys[0].Value = max(q.Prefix, q.AfterKey) // where the server can start in the index, as in ListUploads
		behind := bson.A{bson.D{{Key: "key", Value: bson.D{{Key: "$gt", Value: q.AfterKey}}}}}
		if q.AfterID != "" {
			behind = append(behind,
				bson.D{{Key: "key", Value: q.AfterKey}, {Key: "created_at", Value: bson.D{{Key: "$gt", Value: q.AfterTime}}}},
				bson.D{{Key: "key", Value: q.AfterKey}, {Key: "created_at", Value: q.AfterTime}, {Key: "id", Value: bson.D{{Key: "$gt", Value: q.AfterID}}}})
		}
		filter = append(filter, bson.E{Key: "$or", Value: behind})
	}
	filter = append(filter, bson.E{Key: "key", Value: keys})
	return s.findUploads(ctx, filter, bson.D{{Key: "key", Value: 1}, {Key: "created_at", Value: 1}, {Key: "id", Value: 1}}, q.Limit)
}

func (s *Store) findUploads(ctx context.Context, filter, order bson.D, limit int) ([]tracking.Upload, error) {
	found, err := s.uploads.Find(ctx, filter, options.Find().SetSort(order).SetLimit(int64(limit)))
	if err != nil {
		return nil, failed("list uploads", err)
	}
	var page []tracking.Upload
	if err := found.All(ctx, &page); err != nil {
		return nil, failed("list uploads", err)
	}
	return page, nil
}
