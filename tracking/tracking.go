// Package tracking remembers what the gateway did.
//
// Three kinds of state live here, each with its own rule:
//
//   - Records: one Upload per multipart upload, one Token per token issued,
//     the revocations, and one Spending per tenant and period. They are the truth about our side. Every change is a
//     compare-and-swap on Revision; no lock is held across I/O.
//   - The audit trail: Events, sealed into Batches that are chained by a MAC and
//     written once. The Writer groups them so that one durable write serves every
//     request that waits at that moment. seal.go is the form of the seal, chain.go
//     how it is checked; the Auditor checks, exports, thins out and erases.
//   - Hot sessions: the ledger of parts of an open upload. A cache: losing it
//     costs time, never an answer and never an upload.
//
// Implementations: bolt (records, trail; the embedded default), memory (sessions;
// the embedded default), mongo (records, trail), redis (sessions). All of them
// pass the suite in trackingtest.
//
// The states of an upload:
//
//	open <-> paused
//	open -> completing -> completed | superseded | unknown
//	completing -> open           (storage refused the Complete)
//	open, paused -> aborting -> aborted
//	aborting -> open             (storage refused the Abort)
//	unknown -> completed | superseded | open | aborting
//
// Terminal states (completed, aborted, superseded) absorb. State.CanMove is this table.
package tracking

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Errors that every implementation returns, wrapped with what was being done.
var (
	// ErrNotFound: no such record.
	ErrNotFound = errors.New("not found")
	// ErrExists: a record with this identity is already there.
	ErrExists = errors.New("already exists")
	// ErrConflict: the record changed since it was read; read it again.
	ErrConflict = errors.New("changed meanwhile")
	// ErrUnavailable: the store cannot be reached or did not answer in time (the caller's context
	// included); whether a write took effect is unknown.
	ErrUnavailable = errors.New("store unavailable")
	// ErrBadCursor: not a cursor that this store gave out for this kind of list.
	ErrBadCursor = errors.New("malformed cursor")
)

// State of an upload; see the package comment for the moves.
type State string

// The states of an upload.
const (
	StateOpen       State = "open"
	StatePaused     State = "paused"
	StateCompleting State = "completing"
	StateCompleted  State = "completed"
	StateAborting   State = "aborting"
	StateAborted    State = "aborted"
	StateSuperseded State = "superseded"
	StateUnknown    State = "unknown"
)

// Known says whether there is such a state.
func (s State) Known() bool { return s.Terminal() || moves[s] != nil }

// Terminal reports whether no move leaves the state.
func (s State) Terminal() bool {
	return s == StateCompleted || s == StateAborted || s == StateSuperseded
}

var moves = map[State][]State{
	StateOpen:       {StatePaused, StateCompleting, StateAborting},
	StatePaused:     {StateOpen, StateAborting},
	StateCompleting: {StateOpen, StateCompleted, StateSuperseded, StateUnknown},
	StateAborting:   {StateAborted, StateOpen},
	StateUnknown:    {StateCompleted, StateSuperseded, StateOpen, StateAborting},
}

// CanMove reports whether an upload may go from s to another state. Staying is no move.
func (s State) CanMove(to State) bool { return slices.Contains(moves[s], to) }

// Upload is the record of one multipart upload. A record without ID is an intent: storage was asked to create the upload
// and its answer is not recorded yet.
type Upload struct {
	Record            string      `json:"-" bson:"_id"`                  // of NewRecord, known before storage is asked
	ID                string      `json:"id" bson:"id,omitempty"`        // the sealed upload id that clients see; unique
	StorageID         string      `json:"-" bson:"storage_id,omitempty"` // storage's own upload id
	Tenant            string      `json:"tenant" bson:"tenant"`          //
	Subject           string      `json:"subject" bson:"subject"`        //
	TokenID           string      `json:"token_id" bson:"token_id"`      //
	Bucket            string      `json:"bucket" bson:"bucket"`          //
	Key               string      `json:"key" bson:"key"`                //
	Backend           string      `json:"backend" bson:"backend"`        // name of the storage backend
	State             State       `json:"state" bson:"state"`            //
	CreatedAt         time.Time   `json:"created_at" bson:"created_at"`  // UTC, milliseconds
	UpdatedAt         time.Time   `json:"updated_at" bson:"updated_at"`  // UTC, milliseconds
	ExpiresAt         time.Time   `json:"expires_at" bson:"expires_at"`  // when the sweep may end it
	Bytes             int64       `json:"bytes" bson:"bytes"`            // from storage, from Complete on
	Parts             int         `json:"parts" bson:"parts"`            // from storage, from Complete on
	ETag              string      `json:"etag,omitempty" bson:"etag"`    // of the object, with its quotes
	ChecksumAlgorithm string      `json:"checksum_algorithm,omitempty" bson:"checksum_algorithm"`
	ChecksumType      string      `json:"checksum_type,omitempty" bson:"checksum_type,omitempty"`
	ResultCode        string      `json:"result_code,omitempty" bson:"result_code"` // S3 error code of the last refused or unknown Complete or Abort
	MaxBytes          int64       `json:"-" bson:"max_bytes,omitempty"`             // largest object the creating token allows; 0: no limit
	Completion        *Completion `json:"-" bson:"completion,omitempty"`
	Resumable         *Resumable  `json:"-" bson:"resumable,omitempty"`
	Notice            *Notice     `json:"notice,omitempty" bson:"notice,omitempty"` // nil: there is nothing to tell
	Revision          int64       `json:"-" bson:"revision"`                        // starts at 1; SwapUpload adds 1
}

// Completion is what a Complete call was asked and answered, so that its retry gets the same answer.
type Completion struct {
	ListHash string    `bson:"list_hash"`      // SHA-256, hex, of the part list and the object-shaping headers
	Started  time.Time `bson:"started"`        // when the record moved to completing
	ETag     string    `bson:"etag,omitempty"` // that the object will have; "" where the parts do not foretell it
	Location string    `bson:"location,omitempty"`
	Answer   []byte    `bson:"answer,omitempty"`  // XML body of the answer, once completed
	Headers  []string  `bson:"headers,omitempty"` // answer headers, name and value alternating
	Charge   *Charge   `bson:"charge,omitempty"`  // of its bytes to the tenant's total; nil: they have no limit
}

// Resumable is what it takes to hand an upload over to a client that starts it again. Each time the upload gets a new ID, and the IDs before
// are NoSuchUpload.
type Resumable struct {
	Generation int      `bson:"generation"`        // 1, and one more at each hand-over; stands in the ID
	Earlier    []string `bson:"earlier,omitempty"` // the IDs before, oldest first: the trail has what landed under them
	Shape      string   `bson:"shape"`             // SHA-256, hex, of the headers of the Create that shape the object
	Answer     []string `bson:"answer,omitempty"`  // headers that Create was answered, name and value alternating
}

// UploadQuery selects upload records, newest first. Zero fields select everything. Intents are not listed.
type UploadQuery struct {
	Tenant, Bucket, Prefix string
	States                 []State
	Limit                  int    // 1..1000; 0 means 100
	Cursor                 string // from the page before; ErrBadCursor if it is malformed
}

// OpenQuery selects the uploads that ListMultipartUploads shows: open, paused and completing ones of a bucket, by (Key, CreatedAt, ID),
// which is S3's order.
type OpenQuery struct {
	Bucket, Prefix string
	AfterKey       string    // start behind (AfterKey, AfterTime, AfterID); with AfterID empty, behind every upload of AfterKey
	AfterTime      time.Time // CreatedAt
	AfterID        string
	Limit          int // 1..1001
}

// After is q from behind u.
func (q OpenQuery) After(u *Upload) OpenQuery {
	q.AfterKey, q.AfterTime, q.AfterID = u.Key, u.CreatedAt, u.ID
	return q
}

// Uploads keeps the upload records. All methods are safe for concurrent use; all errors wrap one of the package's.
type Uploads interface {
	// InsertUpload writes a new record with Revision 1 and sets u.Revision. ErrExists if the Record or a non-empty ID is taken.
	InsertUpload(ctx context.Context, u *Upload) error
	// Upload reads by sealed id. ErrNotFound.
	Upload(ctx context.Context, id string) (*Upload, error)
	// SwapUpload replaces the record if its Revision is still u.Revision, and sets u.Revision to the new one.
	// ErrConflict if it moved on, ErrNotFound if it is gone, ErrExists if another record has u.ID.
	SwapUpload(ctx context.Context, u *Upload) error
	// DeleteIntent removes a record that has no ID. Idempotent; a record with an ID stays.
	DeleteIntent(ctx context.Context, record string) error
	// ListUploads returns a page, newest first (CreatedAt, then Record), and the next page's cursor ("" at the end). A page may
	// hold fewer than Limit, even none, before the end. Records inserted meanwhile neither repeat nor hide others.
	ListUploads(ctx context.Context, q UploadQuery) (page []Upload, next string, err error)
	// OpenUploads returns up to q.Limit uploads by (Key, CreatedAt, ID).
	OpenUploads(ctx context.Context, q OpenQuery) ([]Upload, error)
}

// Event is one line of the audit trail: what was asked, by whom, by which road, with what outcome. Never a secret, a
// signature or a URL. Each field is part of the event's hash, as a personal one or as another: see seal.go before adding one.
type Event struct {
	ID            string    `json:"id" bson:"id"`             // writer-seq-index, given by the Writer
	Time          time.Time `json:"time" bson:"time"`         // when the outcome was recorded; UTC, milliseconds; given by the Writer
	Tenant        string    `json:"tenant" bson:"tenant"`     //
	Subject       string    `json:"subject" bson:"subject"`   //
	TokenID       string    `json:"token_id" bson:"token_id"` //
	RequestID     string    `json:"request_id" bson:"request_id"`
	Operation     string    `json:"operation" bson:"operation"` // S3's name
	Bucket        string    `json:"bucket" bson:"bucket"`
	Key           string    `json:"key" bson:"key"`
	Keys          []string  `json:"keys,omitempty" bson:"keys,omitempty"`     // that a DeleteObjects deleted
	Target        string    `json:"target,omitempty" bson:"target,omitempty"` // of an administrative action: a token id, a tenant or a kid; of a copy: its source
	UploadID      string    `json:"upload_id,omitempty" bson:"upload_id"`     // sealed
	PartNumber    int       `json:"part_number,omitempty" bson:"part_number"`
	BytesDeclared int64     `json:"bytes_declared,omitempty" bson:"bytes_declared"`
	Bytes         int64     `json:"bytes,omitempty" bson:"bytes"` // from storage, at Complete; carried, for relayed bodies; reported
	Parts         int       `json:"parts,omitempty" bson:"parts"` // from storage, at Complete
	ETag          string    `json:"etag,omitempty" bson:"etag"`
	Checksum      string    `json:"checksum,omitempty" bson:"checksum"` // declared, "crc32:<base64>"
	Road          string    `json:"road" bson:"road"`                   // none relay redirect sign skip
	Reason        string    `json:"reason,omitempty" bson:"reason"`
	Outcome       string    `json:"outcome" bson:"outcome"` // "ok", "granted", "reported" (a client says that storage took it), or an S3 error code
	Status        int       `json:"status" bson:"status"`
	DurationMS    int64     `json:"duration_ms" bson:"duration_ms"`
	ClientAddress string    `json:"client_address" bson:"client_address"`
	UserAgent     string    `json:"user_agent,omitempty" bson:"user_agent"`
	Count         int64     `json:"count,omitempty" bson:"count"`             // of what this event stands for: refusals before authentication, events erased, batches dropped
	Gateway       string    `json:"gateway" bson:"gateway"`                   // host name of the gateway; given by the Writer
	Writer        string    `json:"writer" bson:"writer"`                     // one run of one gateway process; given by the Writer
	Seq           int64     `json:"seq" bson:"seq"`                           // of the batch; given by the Writer
	Salt          []byte    `json:"salt,omitempty" bson:"salt,omitempty"`     // of the hash of the personal fields; given by the Writer
	Erased        []byte    `json:"erased,omitempty" bson:"erased,omitempty"` // that hash, once Erase has taken fields and salt away
}

// Batch is what the trail stores: the events of one group commit, sealed as seal.go says. (Writer, Seq) is unique.
type Batch struct {
	Format     int       `json:"format" bson:"format"` // of the seal
	Writer     string    `json:"writer" bson:"writer"`
	Seq        int64     `json:"seq" bson:"seq"`       // from 1, without a gap
	Time       time.Time `json:"time" bson:"time"`     // of every event in it
	KeyVersion int       `json:"key" bson:"key"`       // of the master key that the chain key is derived from
	Prev       []byte    `json:"prev" bson:"prev"`     // MAC of (Writer, Seq-1), empty for Seq 1
	Hashes     []byte    `json:"hashes" bson:"hashes"` // of the events, 32 bytes each
	MAC        []byte    `json:"mac" bson:"mac"`       // of all above
	Events     []Event   `json:"events" bson:"events"`
	Cut        *Cut      `json:"cut,omitempty" bson:"cut,omitempty"` // set once retention has taken the events
}

// EventQuery selects events, oldest first. Zero fields select everything.
type EventQuery struct {
	UploadID, Tenant string
	Operation        string    // no store lists by it: a page may examine some thousands of others' events and hold none
	Since, Until     time.Time // Since inclusive, Until exclusive
	Limit            int       // 1..1000; 0 means 100
	Cursor           string    // from the page before; ErrBadCursor if it is malformed
}

// Trail keeps the batches. Safe for concurrent use.
type Trail interface {
	// AppendBatch stores batches durably, in this order; after an error the first of them may be stored. Idempotent: a batch with the same
	// (Writer, Seq) is already stored and that is success.
	AppendBatch(ctx context.Context, batches ...*Batch) error
	// Events returns a page of single events, oldest first (Time, Writer, Seq, place in the batch), and the next page's cursor
	// ("" at the end). A page may hold fewer than Limit, even none, before the end. Batches appended meanwhile with a later Time
	// neither repeat nor hide others; one with an earlier Time (a spool that drained) is seen if the cursor has not passed it.
	Events(ctx context.Context, q EventQuery) (page []Event, next string, err error)
}

// Token is the record of a token that was issued. Never the secret.
type Token struct {
	ID        string    `json:"id" bson:"_id"`
	Class     string    `json:"class" bson:"class"` // key or bearer
	Tenant    string    `json:"tenant" bson:"tenant"`
	Subject   string    `json:"subject" bson:"subject"`
	Operator  bool      `json:"operator" bson:"operator"`
	Scope     []byte    `json:"scope" bson:"scope"`                             // JSON of the scope claim
	Addresses []string  `json:"addresses,omitempty" bson:"addresses,omitempty"` // prefixes that it may be used from; none: anywhere
	KID       string    `json:"kid" bson:"kid"`                                 // of the key that signed it
	IssuedBy  string    `json:"issued_by" bson:"issued_by"`
	CreatedAt time.Time `json:"created_at" bson:"created_at"`
	ExpiresAt time.Time `json:"expires_at" bson:"expires_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero" bson:"revoked_at,omitempty"`
}

// Revocation ends one token (TokenID), every token of a tenant that was issued before At (Tenant), every token that a key
// signed, whenever that was (KID), or every token of a tenant until Thaw lifts it (Tenant and Freeze).
type Revocation struct {
	TokenID   string    `bson:"token_id,omitempty"`
	Tenant    string    `bson:"tenant,omitempty"`
	KID       string    `bson:"kid,omitempty"`
	Freeze    bool      `bson:"freeze,omitempty"`
	At        time.Time `bson:"at"`
	ExpiresAt time.Time `bson:"expires_at"` // when nothing that it ends can still be valid
}

// Target is what r is kept under, so that there is one revocation of the same: "token/ID", "tenant/NAME", "kid/KID" or
// "freeze/NAME". An error unless it names one thing.
func (r Revocation) Target() (string, error) {
	switch named := (Revocation{TokenID: r.TokenID, Tenant: r.Tenant, KID: r.KID, Freeze: r.Freeze}); {
	case r.TokenID != "" && named == Revocation{TokenID: r.TokenID}:
		return "token/" + r.TokenID, nil
	case r.KID != "" && named == Revocation{KID: r.KID}:
		return "kid/" + r.KID, nil
	case r.Tenant != "" && named == Revocation{Tenant: r.Tenant}:
		return "tenant/" + r.Tenant, nil
	case r.Tenant != "" && named == Revocation{Tenant: r.Tenant, Freeze: true}:
		return "freeze/" + r.Tenant, nil
	}
	return "", errors.New("a revocation names one token, one tenant or one key, and not more")
}

// Tokens keeps token records and revocations. Safe for concurrent use.
type Tokens interface {
	// InsertToken writes a new record. ErrExists if its ID is taken.
	InsertToken(ctx context.Context, t *Token) error
	// ListTokens returns every record of the tenant ("" for all), newest first.
	ListTokens(ctx context.Context, tenant string) ([]Token, error)
	// Revoke records r durably, and RevokedAt = r.At on the token records it ends that are not revoked yet: the one it names,
	// those of its tenant created before r.At, those of its key; a freeze marks none. Idempotent; an earlier At for the same
	// Target takes nothing back. ErrNotFound if a TokenID has no record.
	Revoke(ctx context.Context, r Revocation) error
	// Thaw lifts the tenant's freeze, and no other revocation. Idempotent.
	Thaw(ctx context.Context, tenant string) error
	// Revocations returns all that have not expired.
	Revocations(ctx context.Context) ([]Revocation, error)
}

// Store is what one durable implementation serves: bolt or mongo.
type Store interface {
	Uploads
	Unfinished
	Notices
	Trail
	Archive
	Tokens
	Spendings
	// Ping answers nil if a read and a write can be expected to work now.
	Ping(ctx context.Context) error
	Close() error
}

// RoadNone is the road of a part's line after Release.
const RoadNone = "none"

// Part is one line of an upload's ledger: what a client declared for a part number, by which road it went, and what storage holds of it.
type Part struct {
	Number   int       `json:"part_number"`
	Bytes    int64     `json:"bytes_declared"` // -1: not declared
	Checksum string    `json:"checksum,omitempty"`
	Road     string    `json:"road"`
	Until    time.Time `json:"until,omitzero"`   // a grant counts until then; zero: it went through the gateway, or landed
	Landed   *Landed   `json:"landed,omitempty"` // nil: nobody saw storage take it
}

// Landed is what storage's own 200 said of a part, to the gateway or to the client that reports it. A later body of the same number may
// replace it without anybody's knowing: it is evidence for as long as storage still lists the same ETag.
type Landed struct {
	Bytes  int64  `json:"bytes"`
	ETag   string `json:"etag"`             // with its quotes
	SHA256 string `json:"sha256,omitempty"` // hex, of the bytes, if storage was told and so verified it
	MD5    string `json:"md5,omitempty"`    // likewise
}

// Session is the hot state of one upload.
type Session struct {
	State State
	Parts []Part // by number
	Bytes int64  // sum over the parts of the largest declared length
}

// Sessions keeps hot sessions under the sealed upload id. A cache: callers go on without it when it answers ErrUnavailable.
// Safe for concurrent use; each call is one atomic step.
type Sessions interface {
	// PutState creates the session or changes its state, keeping its parts; it expires at until unless touched again: the last
	// until given, by any call, decides.
	PutState(ctx context.Context, id string, s State, until time.Time) error
	// Reserve enters all of parts, no number twice, unless that would take the sum past maxBytes (0: past what it can count): then
	// ErrOverLimit and nothing changes. A part counts with the largest of what was declared for its number, an undeclared length as 0. One number has one line: its
	// largest Bytes, its latest Until (none outlasts any), the last Checksum and Road, and no Landed: another body is on its way. A line
	// whose Until has passed is gone and counts no more. ErrNotOpen if the session is known and its state is not open; an unknown id
	// is entered as open (the record decides later).
	Reserve(ctx context.Context, id string, parts []Part, maxBytes int64, until time.Time) (sum int64, err error)
	// Land enters what storage holds of parts, each with its Landed, no number twice: their lines lapse no more. A number without a line
	// gets the one given. Whatever the state and the sum: storage has them.
	Land(ctx context.Context, id string, parts []Part, until time.Time) error
	// Release says of numbers that were reserved for a time that nothing of theirs is on its way: their lines get RoadNone, and count until they
	// lapse, since one line stands for all that was granted of a number. What landed or counts for good stays. Idempotent.
	Release(ctx context.Context, id string, numbers ...int) error
	// Part reads one line. ErrNotFound if there is none.
	Part(ctx context.Context, id string, number int) (*Part, error)
	// Session reads. ErrNotFound if it is unknown or has expired.
	Session(ctx context.Context, id string) (*Session, error)
	// Forget drops the session. Idempotent.
	Forget(ctx context.Context, id string) error
	Ping(ctx context.Context) error
	Close() error
}

// Errors of Sessions.Reserve and, the first, of Spendings.Charge.
var (
	ErrOverLimit = errors.New("over the byte limit")
	ErrNotOpen   = errors.New("upload is not open")
)
