package bolt

import (
	"bytes"
	"errors"
	"iter"
	"math"
	"slices"
	"strings"

	"go.etcd.io/bbolt"
)

const (
	// listAtOnce is how many entries of a listing wait before they are sorted together. To read past that many costs some milliseconds.
	listAtOnce = 1 << 15
	// listSteps is in how many steps those are entered while the next ones come, so that none keeps the events of the moment waiting for long.
	listSteps = 16
)

// listing finds the batches of an upload, or of a tenant. bbolt writes every page anew in which a transaction changes anything, and with many uploads
// open the entries of one batch would each change a page of their own. So they wait, by batch, where all go to the end, until many share a page. An
// entry is in one of the three.
type listing struct {
	index   []byte // name, batch
	sorted  []byte // name, batch: on the way to index
	waiting []byte // batch -> names; its sequence counts them
}

var (
	byUpload = listing{batchesByUpload, batchesSortedByUpload, batchesToListByUpload}
	byTenant = listing{batchesByTenant, batchesSortedByTenant, batchesToListByTenant}
)

// add lists the batch under names; the empty one is nobody's. Now and then it moves earlier entries on.
func (l listing) add(tx *bbolt.Tx, batch string, names []string, atOnce int) error {
	slices.Sort(names)
	var value strings.Builder
	n := uint64(0)
	for _, name := range slices.Compact(names) {
		if name == "" {
			continue
		}
		if n == 0 {
			value.WriteString(closing)
		}
		value.WriteString(closed(name))
		n++
	}
	if n == 0 {
		return nil
	}
	waiting := tx.Bucket(l.waiting)
	if err := waiting.Put([]byte(batch), []byte(value.String())); err != nil {
		return err
	}
	before := waiting.Sequence()
	n += before
	if n >= uint64(atOnce) {
		return l.sort(tx)
	}
	if err := waiting.SetSequence(n); err != nil {
		return err
	}
	if step := uint64(max(atOnce/listSteps, 1)); n/step > before/step {
		return l.enter(tx, 2*int(step)) // twice what came, so all are through when the next ones are sorted
	}
	return nil
}

// enter moves the first n sorted entries to the index: those that share a page of it change it together.
func (l listing) enter(tx *bbolt.Tx, n int) error {
	var keys [][]byte // a cursor must not be deleted under
	sorted, index := tx.Bucket(l.sorted), tx.Bucket(l.index)
	c := sorted.Cursor()
	for key, _ := c.First(); key != nil && len(keys) < n; key, _ = c.Next() {
		keys = append(keys, bytes.Clone(key))
	}
	for _, key := range keys {
		if err := index.Put(key, nil); err != nil {
			return err
		}
		if err := sorted.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// sort puts all that waits in order, behind what was sorted before.
func (l listing) sort(tx *bbolt.Tx) error {
	if err := l.enter(tx, math.MaxInt); err != nil {
		return err
	}
	var keys []string
	err := tx.Bucket(l.waiting).ForEach(func(batch, value []byte) error {
		for _, name := range strings.Split(string(value), closing) {
			if name != "" {
				keys = append(keys, name+closing+string(batch))
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(keys)
	sorted := tx.Bucket(l.sorted)
	for _, key := range keys {
		if err := sorted.Put([]byte(key), nil); err != nil {
			return err
		}
	}
	if err := tx.DeleteBucket(l.waiting); err != nil {
		return err
	}
	_, err = tx.CreateBucket(l.waiting)
	return err
}

// drop takes the batch from under names. What waited counts on, so the next sorting comes a little early.
func (l listing) drop(tx *bbolt.Tx, batch []byte, names []string) error {
	if err := tx.Bucket(l.waiting).Delete(batch); err != nil {
		return err
	}
	for _, name := range names {
		key := []byte(closed(name) + string(batch))
		if err := errors.Join(tx.Bucket(l.index).Delete(key), tx.Bucket(l.sorted).Delete(key)); err != nil {
			return err
		}
	}
	return nil
}

// from walks the batches under name from one on, in the order of their keys, whether they wait or not.
func (l listing) from(tx *bbolt.Tx, name, batch string) iter.Seq[string] {
	prefix := []byte(closed(name))
	among := append([]byte(closing), prefix...) // no name contains a closing, so it is found between two of them alone
	return func(yield func(string) bool) {
		listed, waiting := [2]*bbolt.Cursor{tx.Bucket(l.index).Cursor(), tx.Bucket(l.sorted).Cursor()}, tx.Bucket(l.waiting).Cursor()
		var entries [len(listed)][]byte
		for i, c := range listed {
			entries[i], _ = c.Seek(append(slices.Clone(prefix), batch...))
		}
		next, names := waiting.Seek([]byte(batch))
		for {
			for next != nil && !bytes.Contains(names, among) {
				next, names = waiting.Next()
			}
			first, of := next, -1
			for i, entry := range entries {
				if at, ok := bytes.CutPrefix(entry, prefix); ok && (first == nil || bytes.Compare(at, first) < 0) {
					first, of = at, i
				}
			}
			if first == nil || !yield(string(first)) {
				return
			}
			if of < 0 {
				next, names = waiting.Next()
			} else {
				entries[of], _ = listed[of].Next()
			}
		}
	}
}

// allFrom walks all batches from one on.
func allFrom(tx *bbolt.Tx, batch string) iter.Seq[string] {
	return func(yield func(string) bool) {
		c := tx.Bucket(batches).Cursor()
		for key, _ := c.Seek([]byte(batch)); key != nil; key, _ = c.Next() {
			if !yield(string(key)) {
				return
			}
		}
	}
}
