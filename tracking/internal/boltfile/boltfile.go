// Package boltfile opens the bbolt files of the embedded store and of the audit spool.
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockWait is how long Open waits for a process that is just ending to let go of the file.
const lockWait = time.Second

// ErrNewer says that a later version of the program wrote the file in a way that this one does not know.
var ErrNewer = errors.New("written by a newer version of partway")

// Schema is how a file is laid out. The version is kept in the file.
type Schema struct {
	Version uint64
	// Migrate brings a file of an older version to Version, whose buckets are there already; nil where nothing is to be done. from is 0 for a
	// file from before versions were kept. A file that is new is of Version and not migrated.
	Migrate func(tx *bbolt.Tx, from uint64) error
}

var (
	meta      = []byte("meta")
	schemaKey = []byte("schema") // -> version, big endian
)

// Open opens or creates the file at path and the named buckets, and the directory above it, readable by this user alone. The
// file survives a power loss once Open has returned. One process at a time: a second one gets an error that says so. A file of a newer
// version is ErrNewer and stays as it is; one of an older version is migrated, whole or not at all.
func Open(path string, schema Schema, buckets ...[]byte) (*bbolt.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create directory of %s: %w", path, err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open %s: another partway process uses it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return prepare(tx, schema, buckets) })
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare %s: %w", path, err), db.Close())
	}
	return db, nil
}

func prepare(tx *bbolt.Tx, schema Schema, buckets [][]byte) error {
	first, _ := tx.Cursor().First()
	has := uint64(0)
	if kept := tx.Bucket(meta); kept != nil && len(kept.Get(schemaKey)) == 8 {
		has = binary.BigEndian.Uint64(kept.Get(schemaKey))
	}
	if has > schema.Version {
		return fmt.Errorf("%w: its schema is %d, this version knows %d", ErrNewer, has, schema.Version)
	}
	for _, name := range append(buckets, meta) {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("create bucket %s: %w", name, err)
		}
	}
	if first != nil && has < schema.Version && schema.Migrate != nil {
		if err := schema.Migrate(tx, has); err != nil {
			return fmt.Errorf("migrate from schema %d to %d: %w", has, schema.Version, err)
		}
	}
	if has == schema.Version {
		return nil
	}
	return tx.Bucket(meta).Put(schemaKey, binary.BigEndian.AppendUint64(nil, schema.Version))
}

// syncDir makes the file's name durable; bbolt syncs the file's contents alone.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
