package proxy

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"partway/proxy/relay"
	"partway/tracking"
)

// landedRequest is the body of POST /_partway/landed: what storage's own 200s said to the client.
type landedRequest struct {
	Bucket   string       `json:"bucket"`
	Key      string       `json:"key"`
	UploadID string       `json:"upload_id"`
	Parts    []landedPart `json:"parts"`
}

type landedPart struct {
	PartNumber    int    `json:"part_number"`
	ContentLength int64  `json:"content_length"`
	ETag          string `json:"etag"`
	Checksum      string `json:"checksum"` // "crc32:<base64>", as it was declared
	SHA256        string `json:"sha256"`   // hex, if storage verified it
	MD5           string `json:"md5"`      // likewise
}

// apiLanded enters into the ledger what a client reports. The trail says that it is a report.
func (g *Gateway) apiLanded(ctx context.Context, r *Request, _ string) (*Response, error) {
	var told landedRequest
	if err := decodeBody(r, &told); err != nil {
		return nil, err
	}
	as := signRequest{Bucket: told.Bucket, Key: told.Key, UploadID: told.UploadID, Parts: make([]signPart, len(told.Parts))}
	if told.UploadID == "" {
		return nil, errInvalidArgument.saying("upload_id says whose parts landed.")
	}
	if _, err := g.speaksOf(r, &as); err != nil {
		return nil, err
	}
	r.Query = Query{{"uploadId", told.UploadID}}
	if _, _, err := g.liveUpload(ctx, r); err != nil {
		return nil, err
	}
	lines := make([]tracking.Part, len(told.Parts))
	events := make([]tracking.Event, len(told.Parts))
	for i, p := range told.Parts {
		if err := p.check(); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(told.Parts[:i], func(q landedPart) bool { return q.PartNumber == p.PartNumber }) {
			return nil, errInvalidArgument.saying(fmt.Sprintf("Part %d occurs twice.", p.PartNumber))
		}
		// Without its hashes: nobody here saw storage verify them, and by the ledger's a part need not travel.
		lines[i] = tracking.Part{Number: p.PartNumber, Bytes: p.ContentLength, Checksum: p.Checksum, Road: string(RoadSign),
			Landed: &tracking.Landed{Bytes: p.ContentLength, ETag: p.ETag}}
		e := r.Event
		e.BytesDeclared, e.Operation, e.PartNumber, e.Bytes, e.ETag, e.Checksum, e.Road = 0, "UploadPart", p.PartNumber, p.ContentLength, p.ETag, p.checksums(), string(RoadSign)
		events[i] = e
	}
	g.land(ctx, r, lines...)
	resp := jsonReply(http.StatusOK, map[string]int{"landed": len(lines)})
	resp.Outcome, resp.events = outcomeReported, events
	return resp, nil
}

// checksums are all that is told of the bytes, as checksumOf writes them.
func (p *landedPart) checksums() string {
	all := strings.Fields(p.Checksum)
	for _, hash := range []struct{ name, hex string }{{"md5", p.MD5}, {"sha256", p.SHA256}} {
		if sum, err := hex.DecodeString(hash.hex); err == nil && len(sum) > 0 && checksumIn(p.Checksum, hash.name) == "" {
			all = append(all, hash.name+":"+base64.StdEncoding.EncodeToString(sum))
		}
	}
	return strings.Join(all, " ")
}

// check refuses what no storage says. S3's longest ETag of a part has 34 bytes.
func (p *landedPart) check() error {
	switch {
	case p.PartNumber < 1 || p.PartNumber > maxParts:
		return errInvalidArgument.saying("part_number must be an integer between 1 and 10000, inclusive.")
	case p.ContentLength < 0 || p.ContentLength > maxPutBytes:
		return errInvalidArgument.saying("content_length is no length of a part.")
	case p.ETag == "" || len(p.ETag) > 128 || !relay.ValidHeader("etag", p.ETag):
		return errInvalidArgument.saying("etag is no ETag of a part.")
	case len(p.Checksum) > 128 || !relay.ValidHeader("checksum", p.Checksum):
		return errInvalidArgument.saying("checksum is no checksum of a part.")
	case p.SHA256 != "" && !isHex(p.SHA256, sha256.Size):
		return errInvalidArgument.saying("sha256 must be 64 digits of lower-case hex.")
	case p.MD5 != "" && !isHex(p.MD5, md5.Size):
		return errInvalidArgument.saying("md5 must be 32 digits of lower-case hex.")
	}
	return nil
}
