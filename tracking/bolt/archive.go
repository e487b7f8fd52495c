package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"partway/tracking"
	"partway/tracking/internal/boltfile"
)

// pageBytes bounds a page of whole batches, as they are stored.
const pageBytes = 4 << 20

// Chain is tracking.Archive's.
func (s *Store) Chain(ctx context.Context, cursor string, limit int) (page []tracking.Batch, next string, err error) {
	from := ""
	if cursor != "" {
		if from, err = chainCursor.position(cursor); err != nil {
			return nil, "", fmt.Errorf("read chain: %w", err)
		}
	}
	err = s.view(ctx, "read chain", func(tx *bbolt.Tx) error {
		c, size := tx.Bucket(batchesBySeq).Cursor(), 0
		key, place := c.Seek([]byte(from))
		if key != nil && string(key) == from {
			key, place = c.Next()
		}
		for ; key != nil; key, place = c.Next() {
			if len(page) == pageSize(limit) || size > pageBytes {
				next = chainCursor.cursor(from)
				return nil
			}
			from = string(key)
			value := tx.Bucket(batches).Get(place)
			if value == nil {
				continue // its place is empty: that it is missing shows in the chain
			}
			b, err := decodeBatch(value)
			if err != nil {
				return err
			}
			page, size = append(page, *b), size+len(value)
		}
		return nil
	})
	return page, next, err
}

func decodeBatch(value []byte) (*tracking.Batch, error) {
	b := new(tracking.Batch)
	if err := json.Unmarshal(value, b); err != nil {
		return nil, fmt.Errorf("decode batch: %w", err)
	}
	return b, nil
}

// Batches is tracking.Archive's.
func (s *Store) Batches(ctx context.Context, q tracking.EventQuery) (page []tracking.Batch, next string, err error) {
	err = s.view(ctx, "read batches", func(tx *bbolt.Tx) error {
		page, next = nil, ""
		size, last := 0, ""
		return eachBatch(tx, q, func(key string, value []byte) (bool, error) {
			if len(page) == pageSize(q.Limit) || size > pageBytes {
				next = eventCursor.cursor(place{batch: last, behind: whole}.position())
				return false, nil
			}
			b, err := decodeBatch(value)
			if err != nil {
				return false, err
			}
			page, size, last = append(page, *b), size+len(value), key
			return true, nil
		})
	})
	return page, next, err
}

// whole is behind all events of a batch.
const whole = 1<<32 - 1

// eachBatch calls do with the batches of q's tenant and time behind its cursor, oldest first, while it answers true.
func eachBatch(tx *bbolt.Tx, q tracking.EventQuery, do func(key string, value []byte) (bool, error)) error {
	from, err := eventsFrom(q)
	if err != nil {
		return err
	}
	for at := range batchesFrom(tx, tracking.EventQuery{Tenant: q.Tenant}, from) {
		if !q.Until.IsZero() && at >= instant(ceil(q.Until)) {
			return nil
		}
		if at == from.batch && from.behind == whole {
			continue
		}
		if more, err := do(at, tx.Bucket(batches).Get([]byte(at))); err != nil || !more {
			return err
		}
	}
	return nil
}

// CutChain is tracking.Archive's.
func (s *Store) CutChain(ctx context.Context, stub *tracking.Batch) error {
	value, err := json.Marshal(stub)
	if err != nil {
		return fmt.Errorf("cut chain: encode: %w", err)
	}
	return s.commit(ctx, "cut chain", s.db.Update, func(tx *bbolt.Tx) error {
		prefix := closed(stub.Writer)
		last := []byte(prefix + number(stub.Seq))
		var old [][2][]byte // of batches_by_seq: a cursor must not be deleted under
		c := tx.Bucket(batchesBySeq).Cursor()
		for key, place := c.Seek([]byte(prefix)); key != nil && bytes.Compare(key, last) <= 0; key, place = c.Next() {
			old = append(old, [2][]byte{bytes.Clone(key), bytes.Clone(place)})
		}
		for _, entry := range old {
			if err := dropBatch(tx, entry[0], entry[1], bytes.Equal(entry[0], last)); err != nil {
				return err
			}
			if bytes.Equal(entry[0], last) {
				if err := tx.Bucket(batches).Put(entry[1], value); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// dropBatch takes a batch out of the lists by upload and tenant and, unless it is to be replaced, out of the trail.
func dropBatch(tx *bbolt.Tx, seq, key []byte, replaced bool) error {
	value := tx.Bucket(batches).Get(key)
	if value == nil {
		return tx.Bucket(batchesBySeq).Delete(seq)
	}
	b, err := decodeBatch(value)
	if err != nil {
		return err
	}
	ids, tenants := namesIn(b)
	if err := errors.Join(byUpload.drop(tx, key, ids), byTenant.drop(tx, key, tenants)); err != nil {
		return err
	}
	if replaced {
		return nil
	}
	if err := tx.Bucket(batches).Delete(key); err != nil {
		return err
	}
	return tx.Bucket(batchesBySeq).Delete(seq)
}

// eraseAtOnce is the number of batches that one transaction of EraseEvents looks at.
const eraseAtOnce = 100

// EraseEvents is tracking.Archive's.
func (s *Store) EraseEvents(ctx context.Context, tenant string, until time.Time, cursor string) (erased int, next string, err error) {
	q := tracking.EventQuery{Tenant: tenant, Until: until, Cursor: cursor}
	due := map[string]time.Time{tenant: until}
	err = s.commit(ctx, "erase events", s.db.Update, func(tx *bbolt.Tx) error {
		changed := map[string]*tracking.Batch{}
		n, last := 0, ""
		err := eachBatch(tx, q, func(key string, value []byte) (bool, error) {
			if n == eraseAtOnce {
				next = eventCursor.cursor(place{batch: last, behind: whole}.position())
				return false, nil
			}
			b, err := decodeBatch(value)
			if err != nil {
				return false, err
			}
			if count := b.Erase(due); count > 0 {
				changed[key], erased = b, erased+count
			}
			n, last = n+1, key
			return true, nil
		})
		if err != nil {
			return err
		}
		for key, b := range changed {
			value, err := json.Marshal(b)
			if err != nil {
				return fmt.Errorf("encode batch: %w", err)
			}
			if err := tx.Bucket(batches).Put([]byte(key), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, "", err
	}
	return erased, next, nil
}

// PutErasure is tracking.Archive's.
func (s *Store) PutErasure(ctx context.Context, e *tracking.Erasure) error {
	value, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("record erasure: encode: %w", err)
	}
	return s.update(ctx, "record erasure", func(tx *bbolt.Tx) error {
		if old := tx.Bucket(erasures).Get([]byte(e.Tenant)); old != nil {
			var was tracking.Erasure
			if err := json.Unmarshal(old, &was); err != nil {
				return fmt.Errorf("decode erasure: %w", err)
			}
			if was.Until.After(e.Until) {
				return nil
			}
		}
		return tx.Bucket(erasures).Put([]byte(e.Tenant), value)
	})
}

// Erasures is tracking.Archive's.
func (s *Store) Erasures(ctx context.Context) (list []tracking.Erasure, err error) {
	err = s.view(ctx, "read erasures", func(tx *bbolt.Tx) error {
		return tx.Bucket(erasures).ForEach(func(_, value []byte) error {
			var e tracking.Erasure
			if err := json.Unmarshal(value, &e); err != nil {
				return fmt.Errorf("decode erasure: %w", err)
			}
			list = append(list, e)
			return nil
		})
	})
	return list, err
}

// Scrub is tracking.Archive's.
func (s *Store) Scrub(ctx context.Context) error {
	if err := boltfile.Scrub(ctx, s.db); err != nil {
		return fmt.Errorf("scrub: %w: %w", tracking.ErrUnavailable, err)
	}
	return nil
}
