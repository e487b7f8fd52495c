package tracking

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"partway/tracking/internal/boltfile"
)

// spoolFile is the name of the spool in WriterConfig.SpoolDir. spoolVersion is raised when batches gain what an older gateway would lose in
// passing them on, for they would verify no more.
const (
	spoolFile    = "spool.db"
	spoolVersion = 1
)

var (
	errSpoolFull = errors.New("spool is full")
	spooled      = []byte("batches") // sequence number -> JSON of Batch
)

// spool is a queue of sealed batches on disk, in the order of arrival. One goroutine appends, one removes.
type spool struct {
	db    *bbolt.DB
	max   int64
	bytes atomic.Int64 // of the batches' JSON
}

func openSpool(dir string, max int64) (*spool, error) {
	db, err := boltfile.Open(filepath.Join(dir, spoolFile), boltfile.Schema{Version: spoolVersion}, spooled)
	if err != nil {
		return nil, err
	}
	s := &spool{db: db, max: max}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(spooled).ForEach(func(_, value []byte) error {
			s.bytes.Add(int64(len(value)))
			return nil
		})
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read spool %s: %w", db.Path(), err), db.Close())
	}
	return s, nil
}

// len is read from the file each time, so that a write whose outcome is unknown is counted as what it was. 0 for a Writer
// without a spool.
func (s *spool) len() (n int) {
	if s == nil {
		return 0
	}
	// The one error is that the file is closed: nothing waits there for this process.
	_ = s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(spooled).Cursor()
		first, _ := c.First()
		if first == nil {
			return nil
		}
		last, _ := c.Last()
		n = int(binary.BigEndian.Uint64(last) - binary.BigEndian.Uint64(first) + 1)
		return nil
	})
	return n
}

// append stores b durably at the end. errSpoolFull if that would take it past its size.
func (s *spool) append(b *Batch) error {
	value, err := json.Marshal(b)
	if err != nil {
		return fmt.Errorf("encode batch: %w", err)
	}
	if s.bytes.Load()+int64(len(value)) > s.max {
		return errSpoolFull
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(spooled)
		n, err := bucket.NextSequence()
		if err != nil {
			return err
		}
		return bucket.Put(binary.BigEndian.AppendUint64(nil, n), value)
	})
	if err != nil {
		return fmt.Errorf("append to spool %s: %w", s.db.Path(), err)
	}
	s.bytes.Add(int64(len(value)))
	return nil
}

// first reads the oldest batches, n at most, and no more of them than fit in so many bytes of JSON, but one.
func (s *spool) first(n, size int) (batches []*Batch, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(spooled).Cursor()
		for key, value := c.First(); key != nil && len(batches) < n; key, value = c.Next() {
			if size -= len(value); size < 0 && len(batches) > 0 {
				return nil
			}
			b := new(Batch)
			if err := json.Unmarshal(value, b); err != nil {
				return err
			}
			batches = append(batches, b)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read spool %s: %w", s.db.Path(), err)
	}
	return batches, nil
}

// removeFirst drops the n oldest batches.
func (s *spool) removeFirst(n int) error {
	size := 0
	err := s.db.Update(func(tx *bbolt.Tx) error {
		size = 0
		c := tx.Bucket(spooled).Cursor()
		for key, value := c.First(); key != nil && n > 0; key, value = c.First() {
			size += len(value)
			if err := c.Delete(); err != nil {
				return err
			}
			n--
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("remove from spool %s: %w", s.db.Path(), err)
	}
	s.bytes.Add(-int64(size))
	return nil
}

// scrub overwrites what was removed: an erasure in the trail should not leave copies behind here.
func (s *spool) scrub(ctx context.Context) error {
	return boltfile.Scrub(ctx, s.db)
}

func (s *spool) close() error {
	if s == nil {
		return nil
	}
	return s.db.Close()
}
