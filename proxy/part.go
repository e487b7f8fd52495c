package proxy

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"partway/auth"
	"partway/proxy/relay"
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
	ref, b, err := g.liveUpload(ctx, r)
	if err != nil {
		return nil, err
	}
	f, err := framingOf(r, b.TakesAWSChunked())
	if err != nil {
		return nil, err
	}
	if resp, err := g.stored(ctx, r, ref, number, f); resp != nil || err != nil {
		return resp, err
	}
	c := r.call()
	c.Query = []storage.Param{{Name: "partNumber", Value: strconv.Itoa(number)}, {Name: "uploadId", Value: ref.StorageID}}
	line := tracking.Part{Number: number, Bytes: f.bytes, Checksum: checksumOf(r)}
	resp, err := g.send(ctx, r, b, c, f, false, func(road Road, until time.Time) error {
		line.Road, line.Until = string(road), until
		if road == RoadRelay && ref.Flags != 0 {
			line.Until = g.Now().Add(flightLease)
		}
		return g.reserve(ctx, r, line)
	})
	if err != nil || resp.take == nil {
		return resp, err
	}
	take := resp.take
	resp.take = func(ctx context.Context, x *relay.Exchange) (*Response, error) {
		land := func(l *tracking.Landed) {
			if line.Landed = l; l != nil {
				g.land(ctx, r, line)
			}
		}
		if ref.Flags != 0 {
			land = g.fly(ctx, r, line)
		}
		resp, err := take(ctx, x)
		if err != nil {
			land(nil)
			return nil, err
		}
		land(landedOf(r, f.bytes, r.Event.ETag))
		return resp, nil
	}
	return resp, nil
}

// reserve enters parts into the ledger, all or none: it refuses what would pass the limit of the token or of its tenant. Without the ledger the
// parts go on: storage and the check at Complete still hold.
func (g *Gateway) reserve(ctx context.Context, r *Request, parts ...tracking.Part) error {
	limit, refusal, err := g.uploadLimit(ctx, r)
	if err != nil {
		return err
	}
	parts = slices.Clone(parts)
	for i := range parts {
		if err := checkPart(r.Scope, parts[i].Bytes); err != nil {
			return err
		}
		parts[i].Bytes = counted(r.Scope, parts[i].Bytes, limit)
	}
	id, until := r.Event.UploadID, g.Now().Add(g.MaxAge)
	_, err = g.Sessions.Reserve(ctx, id, parts, limit, until)
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
		_, err = g.Sessions.Reserve(ctx, id, parts, limit, until)
	}
	switch {
	case err == nil, errors.Is(err, tracking.ErrNotOpen): // the latter: a Complete began this instant, storage decides
		return nil
	case errors.Is(err, tracking.ErrOverLimit):
		return refusal
	}
	g.Log.Warn("parts not in the ledger", "request_id", r.ID, "error", err)
	return nil
}

// land tells the ledger what storage holds. A ledger that is away does not learn it, which costs a client that resumes the part's time.
func (g *Gateway) land(ctx context.Context, r *Request, parts ...tracking.Part) {
	if err := g.Sessions.Land(ctx, r.Event.UploadID, parts, g.Now().Add(g.MaxAge)); err != nil {
		g.Log.Warn("landed parts not in the ledger", "request_id", r.ID, "error", err)
	}
}

// landedOf is what storage's 200 says of the body of r: what r declared of it storage has verified.
func landedOf(r *Request, bytes int64, etag string) *tracking.Landed {
	l := &tracking.Landed{Bytes: bytes, ETag: etag, SHA256: hexOfBase64(r.Header("x-amz-checksum-sha256"), sha256.Size), MD5: hexOfBase64(r.Header("content-md5"), md5.Size)}
	if p := r.payload(); l.SHA256 == "" && isHex(p, sha256.Size) {
		l.SHA256 = p
	}
	return l
}

// hexOfBase64 is "" for what is not size bytes in base64.
func hexOfBase64(text string, size int) string {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != size {
		return ""
	}
	return hex.EncodeToString(b)
}

// isHex reports whether text is size bytes in lower-case hex.
func isHex(text string, size int) bool {
	b, err := hex.DecodeString(text)
	return err == nil && len(b) == size && hex.EncodeToString(b) == text
}

// putState tells the ledger a state; a ledger that is away is told by the next step.
func (g *Gateway) putState(ctx context.Context, id string, s tracking.State) {
	if err := g.Sessions.PutState(ctx, id, s, g.Now().Add(g.MaxAge)); err != nil {
		g.Log.WarnContext(ctx, "state not in the ledger", "state", s, "error", err)
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
