package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"partway/auth/sigv4"
	"partway/proxy/relay"
)

// companionPrefix is where the protocol of Uppy's Companion is spoken (@uppy/aws-s3 5: endpoint and headers). Each call is turned into the S3
// request that it stands for and takes that request's way: the same scopes, limits, records and events, under S3's names.
const companionPrefix = "s3/"

// companionRoute is one row of the protocol. Segments in braces are handed over, decoded, in order.
type companionRoute struct {
	Method, Path string
	handle       func(*Gateway, context.Context, *Request, []string) (*Response, error)
}

var companionRoutes = []companionRoute{
	{"POST", "multipart", (*Gateway).companionCreate},
	{"GET", "multipart/{id}", (*Gateway).companionList},
	{"GET", "multipart/{id}/batch", (*Gateway).companionBatch},
	{"GET", "multipart/{id}/{part}", (*Gateway).companionPart},
	{"POST", "multipart/{id}/complete", (*Gateway).companionComplete},
	{"DELETE", "multipart/{id}", (*Gateway).companionAbort},
	{"GET", "params", (*Gateway).companionParams},
	{"POST", "start-upload", (*Gateway).tutorialStart},
	{"POST", "get-signed-url", (*Gateway).tutorialURL},
	{"POST", "upload-part", (*Gateway).tutorialPart},
	{"POST", "complete-upload", (*Gateway).tutorialComplete},
}

// companion finds the row of a call.
func (g *Gateway) companion(ctx context.Context, r *Request, call string) (*Response, error) {
	r.Event.Operation = opCompanion // until it is an operation of S3
	known := false
	for _, route := range companionRoutes {
		segments, ok := matchSegments(route.Path, call)
		known = known || ok
		if ok && route.Method == r.Method {
			return route.handle(g, ctx, r, segments)
		}
	}
	if known {
		return nil, errMethodNotAllowed
	}
	return nil, errNotFound
}

// matchSegments compares a row's path with a call's, and returns the segments in place of those in braces.
func matchSegments(pattern, path string) (segments []string, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	for i, w := range want {
		if !strings.HasPrefix(w, "{") {
			if w != got[i] {
				return nil, false
			}
			continue
		}
		s, err := url.PathUnescape(got[i])
		if err != nil || s == "" {
			return nil, false
		}
		segments = append(segments, s)
	}
	return segments, true
}

// become makes r the S3 request that a call stands for. Nothing of the call's head goes along but what is given; that r came to the API, and
// is refused in JSON, stays.
func (r *Request) become(method, bucket, key string, query Query, body []byte, headers []sigv4.Header) {
	r.Method, r.Bucket, r.Key, r.Query, r.Body = method, bucket, key, query, body
	r.Head = &relay.Head{Headers: headers, Length: -1}
	r.Event.Bucket, r.Event.Key, r.Event.BytesDeclared = bucket, key, 0
}

// newObject is what a page says about a file. Uppy sends filename, type and metadata; checksum_algorithm is S3's, for pages that declare checksums.
type newObject struct {
	Filename  string            `json:"filename"`
	Type      string            `json:"type"`
	Metadata  map[string]string `json:"metadata"`
	Algorithm string            `json:"checksum_algorithm"`
}

// placing are the metadata that say where an object goes, or repeat the rest, and are not kept with it.
var placing = map[string]bool{"bucket": true, "prefix": true, "relativePath": true, "name": true, "type": true}

// place says where a file goes: into metadata's bucket, or the only one of the token; under metadata's prefix, or the only one that the token may write
// to. The file keeps the path that it had in a dropped folder. The scope decides afterwards, as about any key.
func (g *Gateway) place(r *Request, o *newObject) (bucket, key string, err error) {
	name := o.Filename
	if path := o.Metadata["relativePath"]; path != "" {
		name = path
	}
	if name = strings.TrimLeft(name, "/"); name == "" {
		return "", "", errInvalidArgument.saying("filename is missing.")
	}
	if bucket = o.Metadata["bucket"]; bucket == "" {
		names, all := r.Identity.Buckets()
		if all || len(names) != 1 {
			return "", "", errInvalidArgument.saying("Your token is not for one bucket alone: name one in metadata.bucket.")
		}
		bucket = names[0]
	}
	prefix, given := o.Metadata["prefix"]
	if !given {
		switch prefixes := r.Identity.Prefixes("s3:PutObject", bucket); len(prefixes) {
		case 0: // the scope will say so
		case 1:
			prefix = prefixes[0]
		default:
			return "", "", errInvalidArgument.saying("Your token is for several prefixes of this bucket: name one in metadata.prefix.")
		}
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return bucket, prefix + name, nil
}

const headerNameChars = "abcdefghijklmnopqrstuvwxyz0123456789-_."

// headers are the S3 request's: the type, and the metadata as S3 keeps them.
func (o *newObject) headers() ([]sigv4.Header, error) {
	var out []sigv4.Header
	if o.Type != "" {
		out = append(out, sigv4.Header{Name: "content-type", Value: o.Type})
	}
	if o.Algorithm != "" {
		out = append(out, sigv4.Header{Name: "x-amz-checksum-algorithm", Value: o.Algorithm})
	}
	for name, value := range o.Metadata {
		if placing[name] || value == "" {
			continue
		}
		out = append(out, sigv4.Header{Name: "x-amz-meta-" + strings.ToLower(name), Value: mime.BEncoding.Encode("UTF-8", value)})
	}
	for _, h := range out {
		if strings.Trim(h.Name, headerNameChars) != "" || strings.ContainsFunc(h.Value, func(c rune) bool { return c < ' ' || c > '~' }) {
			return nil, errInvalidArgument.saying("The type or the metadata holds what no HTTP header can: " + strconv.Quote(h.Name))
		}
	}
	slices.SortFunc(out, func(a, b sigv4.Header) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (g *Gateway) companionCreate(ctx context.Context, r *Request, _ []string) (*Response, error) {
	var o newObject
	if err := readJSON(r, &o); err != nil {
		return nil, err
	}
	return g.startUpload(ctx, r, &o)
}

// startUpload is CreateMultipartUpload.
func (g *Gateway) startUpload(ctx context.Context, r *Request, o *newObject) (*Response, error) {
	bucket, key, err := g.place(r, o)
	if err != nil {
		return nil, err
	}
	headers, err := o.headers()
	if err != nil {
		return nil, err
	}
	r.become(http.MethodPost, bucket, key, Query{{Name: "uploads"}}, nil, headers)
	resp, err := g.operate(ctx, r)
	if err != nil {
		return nil, err
	}
	return jsonInstead(resp, struct {
		Key      string `json:"key"`
		UploadID string `json:"uploadId"`
		Bucket   string `json:"bucket"`
	}{key, r.Event.UploadID, bucket}), nil
}

// ofUpload finds the bucket and key of a call about an upload. Callers name the key alone; a sealed id opens for one bucket only.
func (g *Gateway) ofUpload(ctx context.Context, r *Request, id, key string) (bucket string, err error) {
	if key == "" {
		return "", errInvalidArgument.saying("key is missing.")
	}
	if named := r.Query.Get("bucket"); named != "" {
		return named, nil
	}
	names, all := r.Identity.Buckets()
	for _, name := range names {
		if _, err := g.Sealer.Open(id, name, key); err == nil {
			return name, nil
		}
	}
	if !all {
		return "", errNoSuchUpload
	}
	u, err := g.Store.Upload(ctx, id)
	if err != nil {
		return "", asNoSuchUpload(err)
	}
	return u.Bucket, nil
}

// uploadedPart is a part as storage has it, in Companion's words.
type uploadedPart struct {
	namedPart
	Size int64
}

// namedPart is a part as a Complete names it.
type namedPart struct {
	PartNumber        int
	ETag              string
	ChecksumCRC32     string `json:",omitempty" xml:",omitempty"`
	ChecksumCRC32C    string `json:",omitempty" xml:",omitempty"`
	ChecksumCRC64NVME string `json:",omitempty" xml:",omitempty"`
	ChecksumSHA1      string `json:",omitempty" xml:",omitempty"`
	ChecksumSHA256    string `json:",omitempty" xml:",omitempty"`
}

func (g *Gateway) companionList(ctx context.Context, r *Request, segments []string) (*Response, error) {
	parts, err := g.landed(ctx, r, segments[0], r.Query.Get("key"))
	if err != nil {
		return nil, err
	}
	return jsonReply(http.StatusOK, orEmpty(parts)), nil
}

// landed is ListParts to its end: every part that storage has.
func (g *Gateway) landed(ctx context.Context, r *Request, id, key string) ([]uploadedPart, error) {
	bucket, err := g.ofUpload(ctx, r, id, key)
	if err != nil {
		return nil, err
	}
	var all []uploadedPart
	for marker := ""; ; {
		query := Query{{"uploadId", id}}
		if marker != "" {
			query = append(query, Param{"part-number-marker", marker})
		}
		r.become(http.MethodGet, bucket, key, query, nil, nil)
		resp, err := g.operate(ctx, r)
		if err != nil {
			return nil, err
		}
		var page struct {
			Part                 []uploadedPart
			IsTruncated          bool
			NextPartNumberMarker string
		}
		if err := xml.Unmarshal(resp.Body, &page); err != nil {
			return nil, errUnavailable.because(err)
		}
		all = append(all, page.Part...)
		if !page.IsTruncated {
			return all, nil
		}
		if len(all) > maxParts || page.NextPartNumberMarker == marker {
			return nil, errUnavailable.because(errors.New("storage's list of parts does not end"))
		}
		marker = page.NextPartNumberMarker
	}
}

func (g *Gateway) companionComplete(ctx context.Context, r *Request, segments []string) (*Response, error) {
	var list struct {
		Parts []namedPart `json:"parts"`
	}
	if err := readJSON(r, &list); err != nil {
		return nil, err
	}
	return g.finishUpload(ctx, r, segments[0], r.Query.Get("key"), list.Parts)
}

// finishUpload is CompleteMultipartUpload.
func (g *Gateway) finishUpload(ctx context.Context, r *Request, id, key string, parts []namedPart) (*Response, error) {
	if len(parts) == 0 {
		return nil, errInvalidArgument.saying("parts is missing: a Complete names its parts.")
	}
	bucket, err := g.ofUpload(ctx, r, id, key)
	if err != nil {
		return nil, err
	}
	r.become(http.MethodPost, bucket, key, Query{{"uploadId", id}}, completeBody(parts), nil)
	resp, err := g.operate(ctx, r)
	if err != nil {
		return nil, err
	}
	if resp.late == nil {
		return completedJSON(r, resp)
	}
	done, late := make(chan lateAnswer, 1), resp.late
	g.running.Go(func() {
		a := <-late
		if a.err == nil {
			a.resp, a.err = completedJSON(r, a.resp)
		}
		done <- a
	})
	return &Response{late: done}, nil
}

// completeBody is the list as S3 takes it.
func completeBody(parts []namedPart) []byte {
	return encodeXML(struct {
		XMLName xml.Name    `xml:"CompleteMultipartUpload"`
		Xmlns   string      `xml:"xmlns,attr"`
		Part    []namedPart `xml:"Part"`
	}{Xmlns: s3Namespace, Part: parts})
}

// completedObject is the receipt of an upload.
type completedObject struct {
	Location          string `json:"location"`
	Bucket            string `json:"bucket"`
	Key               string `json:"key"`
	ETag              string `json:"etag"`
	Size              int64  `json:"size"`
	UploadID          string `json:"uploadId"`
	ChecksumType      string `json:"checksum_type,omitempty"`
	ChecksumCRC32     string `json:"checksum_crc32,omitempty"`
	ChecksumCRC32C    string `json:"checksum_crc32c,omitempty"`
	ChecksumCRC64NVME string `json:"checksum_crc64nvme,omitempty"`
	ChecksumSHA1      string `json:"checksum_sha1,omitempty"`
	ChecksumSHA256    string `json:"checksum_sha256,omitempty"`
}

func completedJSON(r *Request, resp *Response) (*Response, error) {
	var made completedObject
	if err := xml.Unmarshal(resp.Body, &made); err != nil {
		return nil, errUnavailable.because(err)
	}
	made.Location, made.Bucket, made.Key = location(r), r.Bucket, r.Key
	made.Size, made.UploadID = r.Event.Bytes, r.Event.UploadID
	return jsonInstead(resp, made), nil
}

func (g *Gateway) companionAbort(ctx context.Context, r *Request, segments []string) (*Response, error) {
	id, key := segments[0], r.Query.Get("key")
	bucket, err := g.ofUpload(ctx, r, id, key)
	if err != nil {
		return nil, err
	}
	r.become(http.MethodDelete, bucket, key, Query{{"uploadId", id}}, nil, nil)
	resp, err := g.operate(ctx, r)
	if err != nil {
		return nil, err
	}
	return jsonInstead(resp, struct{}{}), nil // Uppy reads JSON from every answer
}

// jsonInstead is an S3 answer with its body said in JSON.
func jsonInstead[T any](resp *Response, v T) *Response {
	out := jsonReply(http.StatusOK, v)
	for _, h := range resp.Headers {
		if strings.HasPrefix(h.Name, "x-amz-") {
			out.Headers = append(out.Headers, h)
		}
	}
	return out
}

// readJSON reads the body of a call. What it does not know it leaves aside: pages send what their own backend would have read.
func readJSON(r *Request, v any) error {
	if err := json.NewDecoder(bytes.NewReader(r.Body)).Decode(v); err != nil {
		return errInvalidArgument.saying("The body is not the JSON of this call: " + err.Error())
	}
	return nil
}
