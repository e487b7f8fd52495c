package proxy

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"partway/auth"
	"partway/proxy/storage"
	"partway/tracking"
)

// A part need not travel if storage holds its very bytes. What counts as evidence of that:
//
//   - storage lists the part with a SHA-256, or with an ETag that is an MD5, and the client declares the same of its body;
//   - an event says that the relay saw storage's own 200 to a body with such a hash, the client declares the same hash and length, and storage
//     still lists the ETag and the size of that 200.
//
// Never a hash that was declared for a body nobody saw arrive, never a client's report that one did (whoever may upload to the key may
// report, of others' uploads too, and the Complete would name the very ETag of the lie), never a CRC alone, never a size alone.

// evidence is what of u's parts is known to be at storage, of those that it lists, and when something last happened to u.
func (g *Gateway) evidence(ctx context.Context, u *tracking.Upload, held []storage.Part) (stored []tracking.Part, last time.Time, err error) {
	last = u.UpdatedAt
	listed := make(map[int]storage.Part, len(held))
	for _, p := range held {
		listed[p.Number] = p
	}
	seen := map[int]*tracking.Part{} // nil: two events contradict each other
	for _, id := range append(append([]string(nil), u.Resumable.Earlier...), u.ID) {
		q := tracking.EventQuery{UploadID: id, Tenant: u.Tenant, Limit: uploadsPage}
		for {
			events, next, err := g.Store.Events(ctx, q)
			if err != nil {
				return nil, last, fmt.Errorf("reading what landed of an upload: %w", err)
			}
			for i := range events {
				e := &events[i]
				if e.Time.After(last) {
					last = e.Time
				}
				p := arrived(e)
				if p == nil || listed[p.Number].ETag != p.Landed.ETag || listed[p.Number].Size != p.Landed.Bytes {
					continue
				}
				if other, ok := seen[p.Number]; ok && (other == nil || !sameHashes(other.Landed, p.Landed)) {
					p = nil
				}
				seen[e.PartNumber] = p
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
	}
	for _, p := range held {
		part, ok := seen[p.Number]
		if ok && part == nil {
			continue
		}
		if !ok {
			part = &tracking.Part{Number: p.Number, Bytes: p.Size, Landed: &tracking.Landed{Bytes: p.Size, ETag: p.ETag}}
		}
		if p.SHA256 != "" {
			part.Landed.SHA256 = p.SHA256
		}
		if etag := strings.Trim(p.ETag, `"`); part.Landed.MD5 == "" && isHex(etag, md5.Size) {
			part.Landed.MD5 = etag // if it is none, no body has it
		}
		part.Road = string(RoadSkip)
		if part.Landed.SHA256 != "" || part.Landed.MD5 != "" {
			stored = append(stored, *part)
		}
	}
	return stored, last, nil
}

// arrived is what an event tells of a body that storage took; nil if it tells of none. A part that was skipped tells nothing: of what its client
// declared, storage verified no more than was known before.
func arrived(e *tracking.Event) *tracking.Part {
	if e.Operation != "UploadPart" || e.Outcome != "ok" || e.Road != string(RoadRelay) || e.ETag == "" {
		return nil
	}
	l := &tracking.Landed{Bytes: e.Bytes, ETag: e.ETag, SHA256: hexOfBase64(checksumIn(e.Checksum, "sha256"), sha256.Size), MD5: hexOfBase64(checksumIn(e.Checksum, "md5"), md5.Size)}
	return &tracking.Part{Number: e.PartNumber, Bytes: e.Bytes, Checksum: e.Checksum, Landed: l}
}

// sameHashes reports whether nothing that is known of both differs.
func sameHashes(a, b *tracking.Landed) bool {
	same := func(x, y string) bool { return x == "" || y == "" || x == y }
	return same(a.SHA256, b.SHA256) && same(a.MD5, b.MD5)
}

// stored answers a part that need not travel in place of 100 Continue. nil: it must. Only a client that waits for the 100 saves anything.
func (g *Gateway) stored(ctx context.Context, r *Request, ref auth.UploadRef, number int, f *framing) (*Response, error) {
	wanted, err := g.mayResume(r)
	if err != nil || !wanted || ref.Flags == 0 || f.chunked() || f.bytes < 0 || !r.Head.Expect || !plainPart(r) {
		return nil, err
	}
	body := landedOf(r, f.bytes, "")
	if body.SHA256 == "" && body.MD5 == "" {
		return nil, nil
	}
	p, err := g.Sessions.Part(ctx, r.Event.UploadID, number)
	switch {
	case errors.Is(err, tracking.ErrNotFound):
		return nil, nil
	case err != nil:
		g.Log.Warn("what is stored is not known", "request_id", r.ID, "error", err)
		return nil, nil
	case p.Road != string(RoadSkip) || p.Landed == nil || g.Now().Sub(r.Received) > slowDecision:
		return nil, nil
	}
	l := p.Landed
	proved := body.SHA256 != "" && body.SHA256 == l.SHA256 || body.MD5 != "" && body.MD5 == l.MD5
	if !proved || !sameHashes(body, l) || l.Bytes != body.Bytes {
		return nil, nil
	}
	resp := reply(http.StatusOK, nil, "etag", l.ETag)
	for _, h := range checksumHeaders(r) {
		if before := checksumIn(p.Checksum, strings.TrimPrefix(h.Name, checksumPrefix)); before != "" && before != h.Value {
			return nil, nil // one of the two is wrong, and storage shall say so
		}
		resp.Headers = append(resp.Headers, h)
	}
	r.Event.Road, r.Event.Reason = string(RoadSkip), reasonStored
	r.Event.BytesDeclared, r.Event.Checksum = f.bytes, checksumOf(r)
	r.Event.Bytes, r.Event.ETag = l.Bytes, l.ETag
	g.metrics.decision(RoadSkip, reasonStored)
	return resp, nil
}

// plainPart reports whether a part's headers ask for nothing but its bytes and their hashes: a key of its own (SSE-C) does.
func plainPart(r *Request) bool {
	for _, h := range r.Head.Headers {
		if strings.HasPrefix(h.Name, "x-amz-server-side-encryption") {
			return false
		}
	}
	return true
}

// checksumIn finds one algorithm's value among those that checksumOf wrote.
func checksumIn(list, algorithm string) string {
	for c := range strings.FieldsSeq(list) {
		if name, value, _ := strings.Cut(c, ":"); name == algorithm {
			return value
		}
	}
	return ""
}
