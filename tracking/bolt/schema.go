package bolt

import (
	"go.etcd.io/bbolt"
)

// schemaVersion of the file. It is raised when an older gateway would go wrong on what a newer one writes, and migrate then brings older
// files up to it. A new field of a record needs neither.
//
//	0  files from before versions were kept
//	1  uploads_due, intents and intents_by_key
//	2  batches_sorted_by_... and batches_to_list_by_..., empty at first
const schemaVersion = 2

// migrate runs in the transaction that opens the file: it is done whole or not at all.
func migrate(tx *bbolt.Tx, from uint64) error {
	if from < 1 {
		return index(tx)
	}
	return nil
}

// index enters every record into every index of records. To put the entries of an index that has them already changes nothing.
func index(tx *bbolt.Tx) error {
	return tx.Bucket(uploads).ForEach(func(record, value []byte) error {
		u, err := decodeUpload(value)
		if err != nil {
			return err
		}
		for i, key := range uploadKeys(u) {
			if key == "" {
				continue
			}
			if err := tx.Bucket(indexed[i]).Put([]byte(key), record); err != nil {
				return err
			}
		}
		return nil
	})
}
