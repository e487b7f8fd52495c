package tracking

import (
	"context"
	"time"
)

// Spending is what one tenant uploaded in one period: one document, which every gateway changes in one atomic step, so that nobody gets
// past a limit by being fast. It is the truth; nothing in Redis takes part.
//
// A charge enters before the bytes become an object and is pending until that is known: Settle keeps it, Refund takes it
// back. A pending charge counts as much as a settled one, so near its limit a tenant may be refused a moment early. Each has a name of its own, made for one attempt, so that none counts twice
// and none is taken back twice.
//
// The charge of a multipart upload enters before its record moves to completing, and that move writes the charge's name into the
// record (Completion.Charge). So the record decides what a charge that was left pending means; whoever finds one (proxy: tidy) reads it:
//
//	where a process ends or a write fails     what is left                           what is done
//	after Charge, before the move             pending, and no record names it        refunded, once no move can follow any more
//	after the move                            pending, and a completing record       left: the retry of the Complete goes on with it
//	after the end, before Settle              pending, and an ended record           settled
//	after the move back to open               pending, and no record names it        refunded
//	Charge answers ErrUnavailable             pending or nothing                     as in the first line
//
// A body that was relayed in one PUT has no record: a charge of one that is left pending is settled after a day. What nobody can know counts.
type Spending struct {
	Tenant  string             `json:"tenant" bson:"tenant"`
	Period  string             `json:"period" bson:"period"` // "2026-11" or "2026-11-25", UTC
	Bytes   int64              `json:"bytes" bson:"bytes"`   // settled and pending
	Pending map[string]Pending `json:"pending" bson:"pending"`
}

// Charge names one entry of a Spending. ID is of letters and digits.
type Charge struct {
	Tenant string `json:"tenant" bson:"tenant"`
	Period string `json:"period" bson:"period"`
	ID     string `json:"id" bson:"id"`
}

// Pending is a charge whose outcome is not recorded yet.
type Pending struct {
	Upload string    `json:"upload,omitempty" bson:"upload,omitempty"` // sealed id of the multipart upload; "" for a body in one PUT and for a copy
	Bytes  int64     `json:"bytes" bson:"bytes"`                       //
	At     time.Time `json:"at" bson:"at"`                             // UTC, milliseconds
}

// Spendings keeps what tenants spent. Safe for concurrent use; each call is one atomic step.
type Spendings interface {
	// Charge enters p under c unless that would take the sum past limit: then ErrOverLimit, nothing changes, and the Spending that stands in
	// the way is returned beside the error. A charge that is pending already stays as it is, which is success.
	Charge(ctx context.Context, c Charge, p Pending, limit int64) (*Spending, error)
	// Settle ends a pending charge: its bytes count for good. Idempotent; an unknown charge is settled.
	Settle(ctx context.Context, c Charge) error
	// Refund ends a pending charge and takes its bytes back. Idempotent; a charge that is not pending is not taken back.
	Refund(ctx context.Context, c Charge) error
	// Spending reads. ErrNotFound if nothing was ever charged.
	Spending(ctx context.Context, tenant, period string) (*Spending, error)
}
