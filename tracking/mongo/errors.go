package mongo

import (
	"errors"
	"fmt"

	driver "go.mongodb.org/mongo-driver/v2/mongo"

	"partway/tracking"
)

// failed says what was being done and gives err the package's meaning. Whatever the server did not say plainly is
// ErrUnavailable: the caller cannot know whether it took effect.
func failed(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case isDuplicate(err):
		return fmt.Errorf("mongodb: %s: %w", doing, tracking.ErrExists)
	case errors.Is(err, driver.ErrNoDocuments):
		return fmt.Errorf("mongodb: %s: %w", doing, tracking.ErrNotFound)
	default:
		return fmt.Errorf("mongodb: %s: %w: %w", doing, tracking.ErrUnavailable, err)
	}
}

// isDuplicate reports that a majority holds another document with the same key. With a write concern error beside it,
// the other document may be on the primary alone and be rolled back, which would make "already stored" a lie.
func isDuplicate(err error) bool {
	var w driver.WriteException
	if errors.As(err, &w) && w.WriteConcernError != nil {
		return false
	}
	var many driver.BulkWriteException
	if errors.As(err, &many) && many.WriteConcernError != nil {
		return false
	}
	return driver.IsDuplicateKeyError(err)
}

// failedAt is the place, in an InsertMany, of the document that it ended at, if the server said.
func failedAt(err error) (at int, said bool) {
	var many driver.BulkWriteException
	if errors.As(err, &many) && len(many.WriteErrors) > 0 {
		return many.WriteErrors[0].Index, true
	}
	return 0, false
}
