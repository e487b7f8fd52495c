package boltfile

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// What was deleted or replaced is in no page of the file any more; what was not is all there.
func TestScrubLeavesNothingOfWhatWasDeleted(t *testing.T) {
	for _, c := range []struct {
		name string
		n    int
		size int
	}{
		{"a few small ones", 3, 50},
		{"many small ones", 3000, 200},
		{"many of more than a page", 400, 9000},
		{"more than one transaction takes", 1500, 8000},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file.db")
			bucket := []byte("bucket")
			db, err := Open(path, Schema{Version: 1}, bucket)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			secret, kept := []byte("secret-"+rand.Text()), []byte("kept-"+rand.Text())
			write := func(from, to int, what []byte) {
				t.Helper()
				err := db.Update(func(tx *bbolt.Tx) error {
					for n := from; n < to; n++ {
						value := append(bytes.Clone(what), make([]byte, c.size)...)
						copy(value[len(value)-len(what):], what)
						if err := tx.Bucket(bucket).Put(binary.BigEndian.AppendUint64(nil, uint64(n)), value); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			for n := 0; n < c.n; n += 100 {
				write(n, min(n+100, c.n), secret)
			}
			write(c.n, c.n+10, kept)
			write(0, c.n/2, kept) // replaced
			if err := db.Update(func(tx *bbolt.Tx) error {
				for n := c.n / 2; n < c.n; n++ {
					if err := tx.Bucket(bucket).Delete(binary.BigEndian.AppendUint64(nil, uint64(n))); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if raw, err := os.ReadFile(path); err != nil || !bytes.Contains(raw, secret) {
				t.Fatalf("nothing to scrub: %v", err)
			}
			before := db.Stats().FreePageN
			if err := Scrub(t.Context(), db); err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(raw, secret); n > 0 {
				t.Errorf("%d remains in a file of %d pages, %d of them free before", n, len(raw)/os.Getpagesize(), before)
			}
			found := 0
			err = db.View(func(tx *bbolt.Tx) error {
				if tx.Bucket(scrubbing) != nil {
					t.Error("the bucket of zeros is still there")
				}
				return tx.Bucket(bucket).ForEach(func(_, value []byte) error {
					if !bytes.HasPrefix(value, kept) {
						t.Errorf("value %q", value[:10])
					}
					found++
					return nil
				})
			})
			if err != nil || found != c.n/2+10 {
				t.Errorf("%d values left, %v", found, err)
			}
			if err := db.Update(func(tx *bbolt.Tx) error {
				for err := range tx.Check() {
					t.Error(err)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}
