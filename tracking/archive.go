package tracking

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Archive is the trail as a whole: read for checking and for export, thinned out by retention. Safe for concurrent use.
type Archive interface {
	// Chain returns whole batches by (Writer, Seq), from behind cursor, up to limit of them and about 4 MiB; "" is the beginning, and next
	// is "" at the end. The order is that of the keys which the store gave them, whatever they say of themselves now.
	Chain(ctx context.Context, cursor string, limit int) (page []Batch, next string, err error)
	// Batches returns whole batches in the order of Events: those that hold an event of q's tenant, in q's time. UploadID is not looked at.
	Batches(ctx context.Context, q EventQuery) (page []Batch, next string, err error)
	// CutChain puts stub, which has no events, in the place of its batch, and drops all of its writer that lie before. If the batch is
	// not there, a later cut has taken it and only the dropping is done. Idempotent.
	CutChain(ctx context.Context, stub *Batch) error
	// EraseEvents erases the tenant's events from before until, from behind cursor. It does a bounded number, and next is where to go on,
	// "" at the end. Idempotent.
	EraseEvents(ctx context.Context, tenant string, until time.Time, cursor string) (erased int, next string, err error)
	// PutErasure keeps e, unless there is one of its tenant with a later Until.
	PutErasure(ctx context.Context, e *Erasure) error
	// Erasures returns all of them, by tenant.
	Erasures(ctx context.Context) ([]Erasure, error)
	// Scrub overwrites what erasing and cutting left behind in the store's own files, where the store can.
	Scrub(ctx context.Context) error
}

// Erasure is the record that the personal fields of a tenant's events from before Until are to be gone: who checks the trail needs it,
// and so does who stores a batch late. There is one per tenant, sealed.
type Erasure struct {
	Tenant     string    `json:"tenant" bson:"_id"`
	Until      time.Time `json:"until" bson:"until"` // UTC, milliseconds
	At         time.Time `json:"at" bson:"at"`       // when it was asked for
	TokenID    string    `json:"token_id" bson:"by"` // of who asked
	KeyVersion int       `json:"key" bson:"key"`     // as in a Batch
	MAC        []byte    `json:"mac" bson:"mac"`     //
}

const (
	labelErasure = "partway-audit-erasure-1\x00"
	labelCut     = "partway-audit-cut-1\x00"
)

func (e *Erasure) mac(key []byte) []byte {
	f := append(make(fields, 0, 256), labelErasure...)
	f = append(binary.AppendUvarint(f, uint64(len(e.Tenant))), e.Tenant...)
	f = append(binary.AppendUvarint(f, uint64(len(e.TokenID))), e.TokenID...)
	f = instant(instant(f, e.Until), e.At)
	mac := hmac.New(sha256.New, key)
	mac.Write(f)
	return mac.Sum(nil)
}

// erasedUntil are the erasures that are sealed as they should be, by tenant.
func erasedUntil(list []Erasure, keys map[int][]byte) map[string]time.Time {
	until := map[string]time.Time{}
	for i := range list {
		e := &list[i]
		if key, known := keys[e.KeyVersion]; known && hmac.Equal(e.MAC, e.mac(key)) {
			until[e.Tenant] = e.Until
		}
	}
	return until
}

// Erase erases the events of b whose tenants' erasures reach up to it, and counts them.
func (b *Batch) Erase(until map[string]time.Time) (erased int) {
	for i := range b.Events {
		e := &b.Events[i]
		if e.Erased == nil && e.Time.Before(until[e.Tenant]) {
			e.Erase()
			erased++
		}
	}
	return erased
}

// Cut marks a batch that stands for itself and all of its writer before it: retention dropped their events. It is sealed, so that
// nobody else can cut a chain.
type Cut struct {
	At         time.Time `json:"at" bson:"at"`   // UTC, milliseconds
	KeyVersion int       `json:"key" bson:"key"` // as in a Batch
	MAC        []byte    `json:"mac" bson:"mac"`
}

// stubOf is what retention leaves of b.
func stubOf(b *Batch, at time.Time, key []byte, version int) *Batch {
	stub := &Batch{Format: b.Format, Writer: b.Writer, Seq: b.Seq, Time: b.Time, KeyVersion: b.KeyVersion, MAC: b.MAC}
	stub.Cut = &Cut{At: at.UTC().Truncate(time.Millisecond), KeyVersion: version}
	stub.Cut.MAC = stub.cutMAC(key)
	return stub
}

func (b *Batch) cutMAC(key []byte) []byte {
	f := append(make(fields, 0, 256), labelCut...)
	f = append(binary.AppendUvarint(f, uint64(len(b.Writer))), b.Writer...)
	f = append(binary.AppendUvarint(f, uint64(len(b.MAC))), b.MAC...)
	f = binary.BigEndian.AppendUint64(f, uint64(b.Seq))
	f = instant(instant(f, b.Time), b.Cut.At)
	mac := hmac.New(sha256.New, key)
	mac.Write(f)
	return mac.Sum(nil)
}
