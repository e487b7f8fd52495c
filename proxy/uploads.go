package proxy

import (
	"context"
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"

	"partway/tracking"
)

// uploadsPage is S3's limit on max-uploads.
const uploadsPage = 1000

type listedUpload struct {
	Key          string
	UploadID     string `xml:"UploadId"`
	InitiatorID  string `xml:"Initiator>ID"`
	StorageClass string
	Initiated    string
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
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return nil, errInvalidArgument.saying("max-uploads must be a number, 0 or more.")
		}
		limit = min(n, uploadsPage)
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
	}
	return &Response{Status: http.StatusOK, Headers: headers(xmlType), Body: encodeXML(out)}, nil
}

// collectUploads fills one page: uploads, and with a delimiter one common prefix for all that lie below it.
func (g *Gateway) collectUploads(ctx context.Context, r *Request, limit int, out *listUploadsResult) error {
	enc := encoding(r)
	prefix, delimiter := r.Query.Get("prefix"), r.Query.Get("delimiter")
	at := tracking.OpenQuery{Bucket: r.Bucket, Prefix: prefix, AfterKey: r.Query.Get("key-marker"), AfterID: r.Query.Get("upload-id-marker")}
	if delimiter != "" && strings.HasPrefix(at.AfterKey, prefix) && strings.HasSuffix(at.AfterKey, delimiter) && len(at.AfterKey) > len(prefix) {
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
					Initiated: u.CreatedAt.UTC().Format(time.RFC3339)})
				out.NextKeyMarker, out.NextUploadIDMarker = enc(u.Key), u.ID
				at.AfterKey, at.AfterID = u.Key, u.ID
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

// highest sorts behind everything that can follow a common prefix in a key: the last code point of UTF-8.
const highest = "\U0010FFFF"
