package bolt

import (
	"bytes"
	"context"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"partway/tracking"
)

func dueKey(s tracking.State, due time.Time, record string) string {
	return closed(string(s)) + instant(due) + record
}

// DueUploads is tracking.Unfinished'.
func (s *Store) DueUploads(ctx context.Context, q tracking.DueQuery) (page []tracking.Upload, err error) {
	from, to := closed(string(q.State)), dueKey(q.State, ceil(q.Before), "")
	if q.AfterRecord != "" {
		from = dueKey(q.State, q.AfterTime, q.AfterRecord) + "\x00"
	}
	err = s.view(ctx, "list due uploads", func(tx *bbolt.Tx) error {
		page, err = uploadsBetween(tx, uploadsDue, from, to, q.Limit)
		return err
	})
	return page, err
}

// Intents is tracking.Unfinished'.
func (s *Store) Intents(ctx context.Context, q tracking.IntentQuery) (page []tracking.Upload, err error) {
	from, to := "", instant(ceil(q.Before))
	if q.AfterRecord != "" {
		from = instant(q.AfterTime) + q.AfterRecord + "\x00"
	}
	err = s.view(ctx, "list intents", func(tx *bbolt.Tx) error {
		page, err = uploadsBetween(tx, intents, from, to, q.Limit)
		return err
	})
	return page, err
}

// uploadsBetween reads the records whose keys in index lie in [from, to).
func uploadsBetween(tx *bbolt.Tx, index []byte, from, to string, limit int) (page []tracking.Upload, err error) {
	c := tx.Bucket(index).Cursor()
	for key, record := c.Seek([]byte(from)); key != nil && string(key) < to && len(page) < min(limit, largestPage); key, record = c.Next() {
		u, err := uploadOf(tx, record)
		if err != nil {
			return nil, err
		}
		page = append(page, *u)
	}
	return page, nil
}

// NewestIntent is tracking.Unfinished'.
func (s *Store) NewestIntent(ctx context.Context, bucket, key string) (u *tracking.Upload, err error) {
	prefix := closed(bucket) + closed(key)
	err = s.view(ctx, "find newest intent", func(tx *bbolt.Tx) error {
		last, record := seekBefore(tx.Bucket(intentsByKey).Cursor(), prefix+strings.Repeat("\xff", instantLen+1))
		if !bytes.HasPrefix(last, []byte(prefix)) {
			return tracking.ErrNotFound
		}
		u, err = uploadOf(tx, record)
		return err
	})
	return u, err
}

// CountUnfinished is tracking.Unfinished'. It walks the keys of an index: a hundred thousand take some milliseconds.
func (s *Store) CountUnfinished(ctx context.Context) (counts map[tracking.State]int64, err error) {
	err = s.view(ctx, "count unfinished uploads", func(tx *bbolt.Tx) error {
		counts = map[tracking.State]int64{}
		c := tx.Bucket(uploadsDue).Cursor()
		for _, state := range tracking.UnfinishedStates {
			prefix := []byte(closed(string(state)))
			for key, _ := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = c.Next() {
				counts[state]++
			}
		}
		return nil
	})
	return counts, err
}
