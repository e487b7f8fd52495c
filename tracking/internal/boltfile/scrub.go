package boltfile

import (
	"context"
	"encoding/binary"
	"os"

	"go.etcd.io/bbolt"
)

var scrubbing = []byte("scrubbing")

// scrubAtOnce bounds the pages that one transaction overwrites: 4 MiB or so.
const scrubAtOnce = 1024

// Scrub overwrites the pages of the file that are free, and so what was deleted or replaced before: bbolt leaves old pages as they were
// until it needs them again. Pages that a reader holds at the time stay. The file grows by a few pages at most.
//
// The way is a bucket of zeros that takes every free page there is, and is then dropped.
func Scrub(ctx context.Context, db *bbolt.DB) error {
	n, zeros := uint64(0), make([]byte, os.Getpagesize()/2-64)
	touch := func(tx *bbolt.Tx) error { // lets go of the pages of the transaction before
		_, err := tx.CreateBucketIfNotExists(scrubbing)
		return err
	}
	if err := db.Update(touch); err != nil {
		return err
	}
	for last := false; !last; {
		if err := ctx.Err(); err != nil {
			return err
		}
		pages := db.Stats().FreePageN + db.Stats().PendingPageN
		last = pages <= scrubAtOnce
		err := db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(scrubbing)
			b.FillPercent = 1
			for range 2 * (min(pages, scrubAtOnce) + 8) { // two fill a page: a leaf has two entries at least
				n++
				if err := b.Put(binary.BigEndian.AppendUint64(nil, n), zeros); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(scrubbing) })
}
