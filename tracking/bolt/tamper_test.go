package bolt

import (
	"encoding/json"
	"testing"

	"go.etcd.io/bbolt"

	"partway/tracking"
	"partway/tracking/trackingtest"
)

// raw is the file of a store, in the hands of somebody who has no key.
type raw struct {
	t  *testing.T
	db *bbolt.DB
}

func openRaw(t *testing.T) (tracking.Store, trackingtest.Raw) {
	t.Helper()
	s, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, raw{t, s.db}
}

func (r raw) update(fn func(tx *bbolt.Tx) error) {
	r.t.Helper()
	if err := r.db.Update(fn); err != nil {
		r.t.Fatal(err)
	}
}

func placeOf(tx *bbolt.Tx, writer string, seq int64) []byte {
	return tx.Bucket(batchesBySeq).Get([]byte(closed(writer) + number(seq)))
}

func (r raw) Edit(writer string, seq int64, change func(*tracking.Batch)) {
	r.t.Helper()
	r.update(func(tx *bbolt.Tx) error {
		b, err := decodeBatch(tx.Bucket(batches).Get(placeOf(tx, writer, seq)))
		if err != nil {
			return err
		}
		change(b)
		value, err := json.Marshal(b)
		if err != nil {
			return err
		}
		return tx.Bucket(batches).Put(placeOf(tx, writer, seq), value)
	})
}

func (r raw) Drop(writer string, seq int64) {
	r.t.Helper()
	r.update(func(tx *bbolt.Tx) error { return tx.Bucket(batches).Delete(placeOf(tx, writer, seq)) })
}

func (r raw) Swap(writer string, seq, other int64) {
	r.t.Helper()
	r.update(func(tx *bbolt.Tx) error {
		a, b := placeOf(tx, writer, seq), placeOf(tx, writer, other)
		x, y := string(tx.Bucket(batches).Get(a)), string(tx.Bucket(batches).Get(b))
		if err := tx.Bucket(batches).Put(a, []byte(y)); err != nil {
			return err
		}
		return tx.Bucket(batches).Put(b, []byte(x))
	})
}

func TestTamperingIsNamed(t *testing.T) { trackingtest.Tampering(t, openRaw) }

func TestAuditing(t *testing.T) { trackingtest.Auditing(t, openRaw) }
