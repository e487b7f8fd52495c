package bolt

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"go.etcd.io/bbolt"

	"partway/tracking"
)

// AppendBatch is tracking.Trail's. A batch is a group commit already, so it does not wait for company as records do.
func (s *Store) AppendBatch(ctx context.Context, all ...*tracking.Batch) error {
	values := make([][]byte, len(all))
	for i, b := range all {
		var err error
		if values[i], err = json.Marshal(b); err != nil {
			return fmt.Errorf("append batch: encode: %w", err)
		}
	}
	return s.commit(ctx, "append batch", s.db.Update, func(tx *bbolt.Tx) error {
		for i, b := range all {
			if err := s.putBatch(tx, b, values[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *Store) putBatch(tx *bbolt.Tx, b *tracking.Batch, value []byte) error {
	seq := []byte(closed(b.Writer) + number(b.Seq))
	if tx.Bucket(batchesBySeq).Get(seq) != nil {
		return nil
	}
	key := instant(b.Time) + string(seq)
	if err := tx.Bucket(batchesBySeq).Put(seq, []byte(key)); err != nil {
		return err
	}
	if err := tx.Bucket(batches).Put([]byte(key), value); err != nil {
		return err
	}
	ids, tenants := namesIn(b)
	if err := byUpload.add(tx, key, ids, s.listAtOnce); err != nil {
		return err
	}
	return byTenant.add(tx, key, tenants, s.listAtOnce)
}

// namesIn are the names that b is listed under, one of each kind per event.
func namesIn(b *tracking.Batch) (ids, tenants []string) {
	for i := range b.Events {
		ids, tenants = append(ids, b.Events[i].UploadID), append(tenants, b.Events[i].Tenant)
	}
	return ids, tenants
}

// Events is tracking.Trail's. It walks the batches of the upload, else of the tenant, else all.
func (s *Store) Events(ctx context.Context, q tracking.EventQuery) (page []tracking.Event, next string, err error) {
	limit := pageSize(q.Limit)
	err = s.view(ctx, "list events", func(tx *bbolt.Tx) error {
		from, err := eventsFrom(q)
		if err != nil {
			return err
		}
		n, last := 0, from
		for key := range batchesFrom(tx, q, from) {
			at := place{batch: key}
			if !q.Until.IsZero() && at.batch >= instant(ceil(q.Until)) {
				return nil
			}
			if n == examined {
				next = eventCursor.cursor(last.position())
				return nil
			}
			var b tracking.Batch
			if err := json.Unmarshal(tx.Bucket(batches).Get([]byte(at.batch)), &b); err != nil {
				return fmt.Errorf("decode batch: %w", err)
			}
			for _, e := range b.Events {
				at.behind++
				if at.batch == from.batch && at.behind <= from.behind || !selectsEvent(q, &e) {
					continue
				}
				if len(page) == limit {
					next = eventCursor.cursor(last.position())
					return nil
				}
				page, last = append(page, e), at
			}
			n, last = n+1, at
		}
		return nil
	})
	return page, next, err
}

// batchesFrom walks the batches of q's upload, else of its tenant, else all.
func batchesFrom(tx *bbolt.Tx, q tracking.EventQuery, from place) iter.Seq[string] {
	switch {
	case q.UploadID != "":
		return byUpload.from(tx, q.UploadID, from.batch)
	case q.Tenant != "":
		return byTenant.from(tx, q.Tenant, from.batch)
	}
	return allFrom(tx, from.batch)
}

func selectsEvent(q tracking.EventQuery, e *tracking.Event) bool {
	return (q.UploadID == "" || e.UploadID == q.UploadID) && (q.Tenant == "" || e.Tenant == q.Tenant) && (q.Operation == "" || e.Operation == q.Operation)
}

// place is a point in the trail: behind the first events of a batch, given by its key.
type place struct {
	batch  string
	behind uint32
}

// eventsFrom is the point where q's page begins: its cursor's, or the start of its time.
func eventsFrom(q tracking.EventQuery) (place, error) {
	since := place{batch: instant(ceil(q.Since))}
	if q.Cursor == "" {
		return since, nil
	}
	position, err := eventCursor.position(q.Cursor)
	if err != nil {
		return place{}, err
	}
	behind, batch := position[:4], position[4:]
	if batch < since.batch {
		return since, nil
	}
	return place{batch: batch, behind: binary.BigEndian.Uint32([]byte(behind))}, nil
}

func (p place) position() string {
	return string(binary.BigEndian.AppendUint32(nil, p.behind)) + p.batch
}

// ceil is the first whole millisecond not before t: what is stored has no smaller parts.
func ceil(t time.Time) time.Time { return t.Add(time.Millisecond - 1).Truncate(time.Millisecond) }
