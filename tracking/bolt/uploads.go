package bolt

import (
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"partway/tracking"
)

// row is an Upload with the fields that its JSON form keeps from clients.
type row struct {
	tracking.Upload
	Record     string               `json:"record"`
	StorageID  string               `json:"storage_id,omitempty"`
	MaxBytes   int64                `json:"max_bytes,omitempty"`
	Completion *tracking.Completion `json:"completion,omitempty"`
	Resumable  *tracking.Resumable  `json:"resumable,omitempty"`
	Revision   int64                `json:"revision"`
}

func encodeUpload(u *tracking.Upload) ([]byte, error) {
	return json.Marshal(row{
		Upload: *u, Record: u.Record, StorageID: u.StorageID, MaxBytes: u.MaxBytes, Completion: u.Completion,
		Resumable: u.Resumable, Revision: u.Revision,
	})
}

func decodeUpload(value []byte) (*tracking.Upload, error) {
	var r row
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, fmt.Errorf("decode record: %w", err)
	}
	u := r.Upload
	u.Record, u.StorageID, u.MaxBytes, u.Completion, u.Resumable, u.Revision = r.Record, r.StorageID, r.MaxBytes, r.Completion, r.Resumable, r.Revision
	return &u, nil
}

// indexed are the buckets that point at a record, in the order of uploadKeys.
var indexed = [...][]byte{uploadsByID, uploadsByTime, uploadsByTenant, uploadsOpen, uploadsDue, intents, intentsByKey, uploadsToTell}

// uploadKeys are the keys under which the indexes have u; an empty one means not at all. An intent is in those of intents alone.
func uploadKeys(u *tracking.Upload) (keys [len(indexed)]string) {
	byTime := instant(u.CreatedAt) + u.Record
	byKey := closed(u.Bucket) + closed(u.Key)
	if u.ID == "" {
		keys[5], keys[6] = byTime, byKey+byTime
		return keys
	}
	keys[0], keys[1], keys[2] = u.ID, byTime, closed(u.Tenant)+byTime
	switch u.State {
	case tracking.StateOpen, tracking.StatePaused, tracking.StateCompleting:
		keys[3] = byKey + instant(u.CreatedAt) + u.ID
	}
	if !u.State.Terminal() {
		keys[4] = dueKey(u.State, u.Due(), u.Record)
	}
	keys[7] = noticeKey(u)
	return keys
}

// putUpload writes u and moves its index entries from where old (nil: none) had them.
func putUpload(tx *bbolt.Tx, u, old *tracking.Upload) error {
	value, err := encodeUpload(u)
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	if err := tx.Bucket(uploads).Put([]byte(u.Record), value); err != nil {
		return err
	}
	var was [len(indexed)]string
	if old != nil {
		was = uploadKeys(old)
	}
	for i, key := range uploadKeys(u) {
		if key == was[i] {
			continue
		}
		index := tx.Bucket(indexed[i])
		if was[i] != "" {
			if err := index.Delete([]byte(was[i])); err != nil {
				return err
			}
		}
		if key != "" {
			if err := index.Put([]byte(key), []byte(u.Record)); err != nil {
				return err
			}
		}
	}
	return nil
}

// uploadOf reads a record by its own name. ErrNotFound.
func uploadOf(tx *bbolt.Tx, record []byte) (*tracking.Upload, error) {
	value := tx.Bucket(uploads).Get(record)
	if value == nil {
		return nil, tracking.ErrNotFound
	}
	return decodeUpload(value)
}

// InsertUpload is tracking.Uploads'.
func (s *Store) InsertUpload(ctx context.Context, u *tracking.Upload) error {
	first := *u
	first.Revision = 1
	err := s.update(ctx, "insert upload record", func(tx *bbolt.Tx) error {
		if tx.Bucket(uploads).Get([]byte(u.Record)) != nil || u.ID != "" && tx.Bucket(uploadsByID).Get([]byte(u.ID)) != nil {
			return tracking.ErrExists
		}
		return putUpload(tx, &first, nil)
	})
	if err == nil {
		u.Revision = first.Revision
	}
	return err
}

// Upload is tracking.Uploads'.
func (s *Store) Upload(ctx context.Context, id string) (u *tracking.Upload, err error) {
	err = s.view(ctx, "read upload record", func(tx *bbolt.Tx) error {
		record := tx.Bucket(uploadsByID).Get([]byte(id))
		if record == nil {
			return tracking.ErrNotFound
		}
		u, err = uploadOf(tx, record)
		return err
	})
	return u, err
}

// SwapUpload is tracking.Uploads'.
func (s *Store) SwapUpload(ctx context.Context, u *tracking.Upload) error {
	next := *u
	next.Revision++
	err := s.update(ctx, "swap upload record", func(tx *bbolt.Tx) error {
		old, err := uploadOf(tx, []byte(u.Record))
		if err != nil {
			return err
		}
		if old.Revision != u.Revision {
			return tracking.ErrConflict
		}
		if owner := tx.Bucket(uploadsByID).Get([]byte(u.ID)); owner != nil && string(owner) != u.Record {
			return tracking.ErrExists
		}
		return putUpload(tx, &next, old)
	})
	if err == nil {
		u.Revision = next.Revision
	}
	return err
}

// DeleteIntent is tracking.Uploads'.
func (s *Store) DeleteIntent(ctx context.Context, record string) error {
	return s.update(ctx, "delete intent", func(tx *bbolt.Tx) error {
		value := tx.Bucket(uploads).Get([]byte(record))
		if value == nil {
			return nil
		}
		u, err := decodeUpload(value)
		if err != nil || u.ID != "" {
			return err
		}
		for i, key := range uploadKeys(u) {
			if key == "" {
				continue
			}
			if err := tx.Bucket(indexed[i]).Delete([]byte(key)); err != nil {
				return err
			}
		}
		return tx.Bucket(uploads).Delete([]byte(record))
	})
}
