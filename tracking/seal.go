package tracking

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
)

// How a batch is sealed, format 1:
//
//	personal hash = SHA-256(salt ‖ the event's personal fields)
//	event hash    = SHA-256(personal hash ‖ its other fields)
//	MAC           = HMAC-SHA256(chain key, label ‖ the batch's head ‖ Prev ‖ the event hashes, in order)
//
// So an event can lose its personal fields and its salt and leave the hash of them behind (Erase), and a batch can be shown with the
// hashes of some of its events in place of the events: the MAC holds in both cases. Without the salt, which is random and 128 bits
// long, the hash that stays gives no way to try out who it might have been.
//
// Fields are written as tag, length and value in the order of their tags, and those that are zero are left out: a field that Event
// gains takes a new tag and changes no hash of what is stored already. Tags are never used again for something else.
const (
	batchFormat = 1
	saltBytes   = 16

	labelBatch = "partway-audit-batch-1\x00"
)

// fields is a sequence of tagged values.
type fields []byte

func (f *fields) text(tag byte, s string) {
	if s != "" {
		*f = append(binary.AppendUvarint(append(*f, tag), uint64(len(s))), s...)
	}
}

func (f *fields) number(tag byte, n int64) {
	if n != 0 {
		*f = binary.AppendVarint(append(*f, tag), n)
	}
}

// personal are the fields that say who acted, from where and on what: those that a person's name may stand in.
func (e *Event) personal(f *fields) {
	f.text(1, e.Subject)
	f.text(2, e.Key)
	for _, key := range e.Keys {
		*f = append(binary.AppendUvarint(append(*f, 3), uint64(len(key))), key...) // an empty one counts too
	}
	if !e.administrative() {
		f.text(4, e.Target)
	}
	f.text(5, e.ClientAddress)
	f.text(6, e.UserAgent)
}

// administrative tells the gateway's own operations from S3's. What they were about (a token, a tenant, a kid) is no person, and
// who looks into an incident needs it.
func (e *Event) administrative() bool { return strings.HasPrefix(e.Operation, "partway:") }

// others are all fields that personal leaves out.
func (e *Event) others(f *fields) {
	f.text(1, e.ID)
	f.number(2, e.Time.Unix())
	f.number(3, int64(e.Time.Nanosecond()))
	f.text(4, e.Tenant)
	f.text(5, e.TokenID)
	f.text(6, e.RequestID)
	f.text(7, e.Operation)
	f.text(8, e.Bucket)
	f.text(9, e.UploadID)
	f.number(10, int64(e.PartNumber))
	f.number(11, e.BytesDeclared)
	f.number(12, e.Bytes)
	f.number(13, int64(e.Parts))
	f.text(14, e.ETag)
	f.text(15, e.Checksum)
	f.text(16, e.Road)
	f.text(17, e.Reason)
	f.text(18, e.Outcome)
	f.number(19, int64(e.Status))
	f.number(20, e.DurationMS)
	f.number(21, e.Count)
	f.text(22, e.Gateway)
	f.text(23, e.Writer)
	f.number(24, e.Seq)
	if e.administrative() {
		f.text(25, e.Target)
	}
}

// Erase takes the personal fields from e, for good: what stays is their hash in Erased.
func (e *Event) Erase() {
	if e.Erased != nil {
		return
	}
	var f fields
	sum := e.personalHash(&f)
	e.Erased, e.Salt = sum[:], nil
	e.Subject, e.Key, e.Keys, e.ClientAddress, e.UserAgent = "", "", nil, "", ""
	if !e.administrative() {
		e.Target = ""
	}
}

func (e *Event) personalHash(f *fields) [sha256.Size]byte {
	*f = append((*f)[:0], e.Salt...)
	e.personal(f)
	return sha256.Sum256(*f)
}

// hash is e's part of its batch's MAC. It is false for an event that is in no state that sealing or Erase leave one in. f is room to
// work in.
func (e *Event) hash(f *fields) (sum [sha256.Size]byte, whole bool) {
	personal := e.personalHash(f)
	if e.Erased != nil {
		if len(*f) != 0 || len(e.Erased) != sha256.Size {
			return sum, false // something personal stands beside the hash
		}
		personal = [sha256.Size]byte(e.Erased)
	} else if len(e.Salt) != saltBytes {
		return sum, false
	}
	*f = append((*f)[:0], personal[:]...)
	e.others(f)
	return sha256.Sum256(*f), true
}

// seal gives b its hashes and its MAC, and its events their salts. The events carry times in whole milliseconds and strings of valid
// UTF-8, as the Writer makes them, so that every store gives back what was hashed.
func seal(b *Batch, key []byte) {
	b.Format = batchFormat
	salts := make([]byte, saltBytes*len(b.Events))
	_, _ = rand.Read(salts) // never fails: crypto/rand ends the process rather
	b.Hashes = make([]byte, 0, sha256.Size*len(b.Events))
	f := make(fields, 0, 1<<10)
	for i := range b.Events {
		b.Events[i].Salt = salts[i*saltBytes : (i+1)*saltBytes : (i+1)*saltBytes]
		sum, _ := b.Events[i].hash(&f)
		b.Hashes = append(b.Hashes, sum[:]...)
	}
	b.MAC = macOf(b, key)
}

// macOf is the MAC of b's head and its event hashes. Its input is read in one way only: all lengths are fixed or said.
func macOf(b *Batch, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	head := append(make(fields, 0, 256), labelBatch...)
	head = append(binary.AppendUvarint(head, uint64(len(b.Writer))), b.Writer...)
	head = binary.BigEndian.AppendUint64(head, uint64(b.Seq))
	head = instant(head, b.Time)
	head = binary.BigEndian.AppendUint32(head, uint32(b.KeyVersion))
	head = append(binary.AppendUvarint(head, uint64(len(b.Prev))), b.Prev...)
	mac.Write(head)
	mac.Write(b.Hashes)
	return mac.Sum(nil)
}

func instant(f fields, t time.Time) fields {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(f, uint64(t.Unix())), uint32(t.Nanosecond()))
}
