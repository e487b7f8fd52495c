package mongo

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"partway/tracking"
)

// DueNotices implements tracking.Notices. A field that is missing is less than nothing, so what was given up is not found.
func (s *Store) DueNotices(ctx context.Context, before time.Time, limit int) ([]tracking.Upload, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.findUploads(ctx, bson.D{{Key: "notice.due", Value: bson.D{{Key: "$lt", Value: before}}}}, bson.D{{Key: "notice.due", Value: 1}}, limit)
}
