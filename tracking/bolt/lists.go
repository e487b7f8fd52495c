package bolt

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"partway/tracking"
)

const (
	defaultPage = 100
	largestPage = 1000
	largestOpen = 1001
	// examined bounds what one page may cost when its filters let little through; the page is then short.
	examined = 2000
)

func pageSize(limit int) int {
	if limit <= 0 {
		return defaultPage
	}
	return min(limit, largestPage)
}

// ListUploads is tracking.Uploads'. It walks the records backwards in time, those of the tenant if one is given.
func (s *Store) ListUploads(ctx context.Context, q tracking.UploadQuery) (page []tracking.Upload, next string, err error) {
	bucket, prefix := uploadsByTime, ""
	if q.Tenant != "" {
		bucket, prefix = uploadsByTenant, closed(q.Tenant)
	}
	limit := pageSize(q.Limit)
	err = s.view(ctx, "list upload records", func(tx *bbolt.Tx) error {
		end := prefix + strings.Repeat("\xff", instantLen+1)
		if q.Cursor != "" {
			position, err := uploadCursor.position(q.Cursor)
			if err != nil {
				return err
			}
			end = prefix + position
		}
		c := tx.Bucket(bucket).Cursor()
		last := ""
		key, record := seekBefore(c, end)
		for n := 0; bytes.HasPrefix(key, []byte(prefix)) && key != nil; n++ {
			if n == examined {
				next = uploadCursor.cursor(last)
				return nil
			}
			u, err := uploadOf(tx, record)
			if err != nil {
				return err
			}
			if selects(q, u) {
				if len(page) == limit {
					next = uploadCursor.cursor(last)
					return nil
				}
				page = append(page, *u)
			}
			last = strings.TrimPrefix(string(key), prefix)
			key, record = c.Prev()
		}
		return nil
	})
	return page, next, err
}

// seekBefore moves c to the last entry whose key is less than end.
func seekBefore(c *bbolt.Cursor, end string) (key, value []byte) {
	if key, _ := c.Seek([]byte(end)); key == nil {
		return c.Last()
	}
	return c.Prev()
}

func selects(q tracking.UploadQuery, u *tracking.Upload) bool {
	return (q.Bucket == "" || u.Bucket == q.Bucket) && strings.HasPrefix(u.Key, q.Prefix) &&
		(len(q.States) == 0 || slices.Contains(q.States, u.State))
}

// OpenUploads is tracking.Uploads'.
func (s *Store) OpenUploads(ctx context.Context, q tracking.OpenQuery) (page []tracking.Upload, err error) {
	prefix := closed(q.Bucket) + open(q.Prefix)
	after := ""
	if q.AfterKey != "" {
		after = closed(q.Bucket) + closed(q.AfterKey)
		if q.AfterID == "" {
			after = behind(after)
		} else {
			after += instant(q.AfterTime) + q.AfterID
		}
	}
	err = s.view(ctx, "list open uploads", func(tx *bbolt.Tx) error {
		c := tx.Bucket(uploadsOpen).Cursor()
		key, record := c.Seek([]byte(max(prefix, after)))
		if string(key) == after {
			key, record = c.Next()
		}
		for ; bytes.HasPrefix(key, []byte(prefix)) && len(page) < min(q.Limit, largestOpen); key, record = c.Next() {
			u, err := uploadOf(tx, record)
			if err != nil {
				return err
			}
			page = append(page, *u)
		}
		return nil
	})
	return page, err
}
