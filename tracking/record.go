package tracking

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"time"
)

// NewRecord names a record: 26 characters, 80 bits of them random behind the milliseconds. So names sort by their time, and what was made at about the
// same time lies on the same pages of a store, however many uploads are open beside it.
func NewRecord(at time.Time) string {
	var name [16]byte
	binary.BigEndian.PutUint64(name[:], uint64(at.UnixMilli())<<16)
	_, _ = rand.Read(name[6:]) // never fails
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(name[:])
}
