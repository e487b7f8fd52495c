package proxy

import (
	"context"
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"partway/tracking"
)

// uploadsPage is S3's limit on max-uploads.
const uploadsPage = 1000

type listedUpload struct {
	Key               string
	UploadID          string `xml:"UploadId"`
	InitiatorID       string `xml:"Initiator>ID"`
	StorageClass      string
	Initiated         string
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

type listUploadsResult struct {
	XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
	Xmlns              string   `xml:"xmlns,attr"`
	Bucket             string
	KeyMarker          string
	UploadIDMarker     string `xml:"UploadIdMarker"`
	NextKeyMarker      string `xml:",omitempty"`
	NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
	Prefix             string
	Delimiter          string `xml:",omitempty"`
	EncodingType       string `xml:",omitempty"`
	MaxUploads         int
	IsTruncated        bool
	Upload             []listedUpload
	CommonPrefixes     []commonPrefix
}

// listMultipartUploads is S3's ListMultipartUploads, answered from the records: prefixes and markers are right on every storage, ids are the
// ones that Create gave out, and no tenant's walls are left to storage.
func (g *Gateway) listMultipartUploads(ctx context.Context, r *Request) (*Response, error) {
	q := r.Query
	limit := uploadsPage
	if s := q.Get("max-uploads"); s != "" {
		n, err := strconv.ParseInt(s, 10, 32)
		switch {
		case err != nil:
			return nil, invalidArgument("max-uploads", s, "Provided "+s+" not an integer or within integer range")
		case n < 0:
			return nil, invalidArgument("max-uploads", s, "Argument "+s+" must be an integer between 0 and 2147483647")
		}
		limit = min(int(n), uploadsPage)
	}
	enc := encoding(r)
	out := listUploadsResult{
		Xmlns: s3Namespace, Bucket: r.Bucket, KeyMarker: enc(q.Get("key-marker")), UploadIDMarker: q.Get("upload-id-marker"),
		Prefix: enc(q.Get("prefix")), Delimiter: enc(q.Get("delimiter")), EncodingType: q.Get("encoding-type"), MaxUploads: limit,
	}
	inside, below, err := walls(r.Identity, "s3:ListBucketMultipartUploads", r.Bucket, q.Get("prefix"), q.Get("delimiter"))
	if err != nil {
		return nil, err
	}
	if !inside {
		out.CommonPrefixes = commonPrefixes(below, enc)
	} else if limit > 0 {
		if err := g.collectUploads(ctx, r, limit, &out); err != nil {
			return nil, err
		}
		if out.Upload == nil && out.CommonPrefixes == nil {
			if err := g.orNoSuchBucket(ctx, r, nil); err != nil { // no record says that the bucket is there
				return nil, err
			}
		}
	}
	return &Response{Status: http.StatusOK, Headers: headers(xmlType), Body: encodeXML(out)}, nil
}

// collectUploads fills one page: uploads, and with a delimiter one common prefix for all that lie below it.
func (g *Gateway) collectUploads(ctx context.Context, r *Request, limit int, out *listUploadsResult) error {
	enc := encoding(r)
	prefix, delimiter := r.Query.Get("prefix"), r.Query.Get("delimiter")
	at, err := g.markers(ctx, r)
	if err != nil {
		return err
	}
	if at.AfterID == "" && delimiter != "" && strings.HasPrefix(at.AfterKey, prefix) && strings.HasSuffix(at.AfterKey, delimiter) && len(at.AfterKey) > len(prefix) {
		at.AfterKey += highest // a common prefix was the marker: go on behind everything below it
	}
	for taken := 0; ; {
		at.Limit = limit - taken + 1
		page, err := g.Store.OpenUploads(ctx, at)
		if err != nil {
			return err
		}
		rolled := false
		for _, u := range page {
			if u.State == tracking.StatePaused { // its client aborted it
				at = at.After(&u)
				continue
			}
			common := ""
			if i := strings.Index(u.Key[len(prefix):], delimiter); delimiter != "" && i >= 0 {
				common = u.Key[:len(prefix)+i+len(delimiter)]
			}
			if taken == limit {
				out.IsTruncated = true
				return nil
			}
			taken++
			if common == "" {
				out.Upload = append(out.Upload, listedUpload{Key: enc(u.Key), UploadID: u.ID, InitiatorID: u.Tenant, StorageClass: "STANDARD",
					Initiated: u.CreatedAt.UTC().Format(time.RFC3339), ChecksumAlgorithm: u.ChecksumAlgorithm, ChecksumType: u.ChecksumType})
				out.NextKeyMarker, out.NextUploadIDMarker = enc(u.Key), u.ID
				at = at.After(&u)
				continue
			}
			out.CommonPrefixes = append(out.CommonPrefixes, commonPrefix{enc(common)})
			out.NextKeyMarker, out.NextUploadIDMarker = enc(common), ""
			at.AfterKey, at.AfterID = common+highest, ""
			rolled = true
			break // what follows on this page may lie below it: read again from behind it
		}
		if !rolled && len(page) < at.Limit {
			out.NextKeyMarker, out.NextUploadIDMarker = "", ""
			return nil
		}
	}
}

// markers is where a list starts. upload-id-marker, which counts beside a key-marker only, names an upload of that key or, if the key has
// none, of the next one that has.
func (g *Gateway) markers(ctx context.Context, r *Request) (tracking.OpenQuery, error) {
	at := tracking.OpenQuery{Bucket: r.Bucket, Prefix: r.Query.Get("prefix"), AfterKey: r.Query.Get("key-marker")}
	id := r.Query.Get("upload-id-marker")
	if id == "" || at.AfterKey == "" {
		return at, nil
	}
	invalid := invalidArgument("upload-id-marker", id, "Invalid uploadId marker")
	u, err := g.Store.Upload(ctx, id)
	switch {
	case errors.Is(err, tracking.ErrNotFound):
		return at, invalid
	case err != nil:
		return at, err
	case u.Bucket != r.Bucket:
		return at, invalid
	case u.Key != at.AfterKey:
		next, err := g.Store.OpenUploads(ctx, tracking.OpenQuery{Bucket: r.Bucket, AfterKey: at.AfterKey, Limit: 1})
		if err != nil {
			return at, err
		}
		if len(next) == 0 || next[0].Key != u.Key {
			return at, invalid
		}
	}
	return at.After(u), nil
}

// highest sorts behind everything that can follow a common prefix in a key: the last code point of UTF-8.
const highest = "\U0010FFFF"
