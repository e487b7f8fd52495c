package bolt

import (
	"context"
	"time"

	"go.etcd.io/bbolt"

	"partway/tracking"
)

// noticeKey is "" for a record that nobody is to be told about.
func noticeKey(u *tracking.Upload) string {
	if u.Notice == nil || u.Notice.Due.IsZero() {
		return ""
	}
	return instant(u.Notice.Due) + u.Record
}

// DueNotices is tracking.Notices'.
func (s *Store) DueNotices(ctx context.Context, before time.Time, limit int) (page []tracking.Upload, err error) {
	err = s.view(ctx, "list due notices", func(tx *bbolt.Tx) error {
		page, err = uploadsBetween(tx, uploadsToTell, "", instant(ceil(before)), limit)
		return err
	})
	return page, err
}
