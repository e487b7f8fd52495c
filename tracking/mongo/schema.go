package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"partway/tracking"
)

// schemaVersion of the database. It is raised when an older gateway would go wrong on what a newer one writes; what it takes to bring an
// older database up to it is done here, by whichever gateway comes first and again by those that come at the same time. A new field of a
// record or a new index needs neither.
//
//	1  the first to be kept; a database without any is of before, and like it but for its indexes
const schemaVersion = 1

// ErrNewer says that a later version of the gateway uses the database in a way that this one does not know.
var ErrNewer = errors.New("used by a newer version of partway")

type schemaDocument struct {
	ID      string `bson:"_id"`
	Version int64  `bson:"version"`
}

// checkSchema comes before anything is written. It reads and enters the version of the database.
func (s *Store) checkSchema(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	var has schemaDocument
	err := s.meta.FindOne(ctx, bson.D{{Key: "_id", Value: "schema"}}).Decode(&has)
	switch {
	case errors.Is(err, driver.ErrNoDocuments):
		_, err := s.meta.InsertOne(ctx, schemaDocument{"schema", schemaVersion})
		if err = failed("enter the schema", err); errors.Is(err, tracking.ErrExists) {
			return s.checkSchema(ctx) // another gateway was first
		}
		return err
	case err != nil:
		return failed("read the schema", err)
	case has.Version > schemaVersion:
		return fmt.Errorf("mongodb: database %q is %w: its schema is %d, this version knows %d", s.meta.Database().Name(), ErrNewer, has.Version, schemaVersion)
	}
	return nil
}
