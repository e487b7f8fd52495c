package proxy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"partway/auth"
	"partway/proxy/storage"
	"partway/tracking"
)

// maxParts is S3's limit on part numbers.
const maxParts = 10000

// uploadPart is S3's UploadPart. The sealed id says where the upload is, so no look-up stands between the request and its bytes; the
// ledger only keeps count.
func (g *Gateway) uploadPart(ctx context.Context, r *Request) (*Response, error) {
	number, err := partNumber(r)
	if err != nil {
		return nil, err
	}
	ref, b, err := g.openUpload(r)
	if err != nil {
		return nil, err
	}
	f, err := framingOf(r, b.TakesAWSChunked())
	if err != nil {
		return nil, err
	}
	c := r.call()
	c.Query = []storage.Param{{Name: "partNumber", Value: strconv.Itoa(number)}, {Name: "uploadId", Value: ref.StorageID}}
	return g.send(ctx, r, b, c, f, false, func(road Road, until time.Time) error {
		return g.reserve(ctx, r, tracking.Part{Number: number, Bytes: f.bytes, Checksum: checksumOf(r), Road: string(road), Until: until})
	})
}

// reserve enters a part into the ledger, which refuses what would pass the token's limit. Without the ledger the part goes on: storage and
// the check at Complete still hold.
func (g *Gateway) reserve(ctx context.Context, r *Request, p tracking.Part) error {
	id, limit := r.Event.UploadID, r.Scope.MaxObjectBytes
	until := g.Now().Add(g.MaxAge)
	_, err := g.Sessions.Reserve(ctx, id, p, limit, until)
	if errors.Is(err, tracking.ErrNotOpen) {
		// The ledger is a cache; whether the upload is closed is the record's to say.
		u, lookup := g.Store.Upload(ctx, id)
		switch {
		case lookup != nil:
			return asNoSuchUpload(lookup)
		case u.State != tracking.StateOpen && u.State != tracking.StatePaused && u.State != tracking.StateCompleting:
			return errNoSuchUpload
		}
		g.putState(ctx, id, tracking.StateOpen)
		_, err = g.Sessions.Reserve(ctx, id, p, limit, until)
	}
	switch {
	case err == nil, errors.Is(err, tracking.ErrNotOpen): // the latter: a Complete began this instant, storage decides
		return nil
	case errors.Is(err, tracking.ErrOverLimit):
		return overLimit(limit)
	}
	g.Log.Warn("part not in the ledger", "request_id", r.ID, "error", err)
	return nil
}

// putState tells the ledger a state; a ledger that is away is told by the next step.
func (g *Gateway) putState(ctx context.Context, id string, s tracking.State) {
	if err := g.Sessions.PutState(ctx, id, s, g.Now().Add(g.MaxAge)); err != nil {
		g.Log.Warn("state not in the ledger", "state", s, "error", err)
	}
}

// openUpload unseals the upload id of a request and finds its storage. A foreign, altered or invented id is NoSuchUpload.
func (g *Gateway) openUpload(r *Request) (auth.UploadRef, *storage.Backend, error) {
	id := r.Query.Get("uploadId")
	ref, err := g.Sealer.Open(id, r.Bucket, r.Key)
	if err != nil {
		return auth.UploadRef{}, nil, err
	}
	b := g.backends[ref.Backend]
	if b == nil {
		return auth.UploadRef{}, nil, errNoSuchUpload
	}
	r.Event.UploadID = id // only now: an id that was made up has no place in the trail
	return ref, b, nil
}

func partNumber(r *Request) (int, error) {
	n, err := strconv.Atoi(r.Query.Get("partNumber"))
	if err != nil || n < 1 || n > maxParts {
		return 0, invalidArgument("partNumber", r.Query.Get("partNumber"), "Part number must be an integer between 1 and 10000, inclusive.")
	}
	r.Event.PartNumber = n
	return n, nil
}

func overLimit(limit int64) *Error {
	return errEntityTooLarge.saying(fmt.Sprintf("Your proposed upload exceeds the %d bytes that your token allows per object.", limit))
}

// asNoSuchUpload turns a record that is not there into S3's word for it.
func asNoSuchUpload(err error) error {
	if errors.Is(err, tracking.ErrNotFound) {
		return errNoSuchUpload
	}
	return err
}
