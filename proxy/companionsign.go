package proxy

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// signedURL is how Companion tells a signed request. Expires is in seconds; Uppy gives a request up after them.
type signedURL struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Expires int64             `json:"expires"`
	Headers map[string]string `json:"headers"`
	Fields  map[string]string `json:"fields"`
}

func (g *Gateway) signedURL(r signedRequest) signedURL {
	return signedURL{r.Method, r.URL, int64(max(1, r.ExpiresAt.Sub(g.Now())/time.Second)), r.Headers, map[string]string{}}
}

// companionPart is one part's URL. Uppy does not say how long the part is, so the URL signs no length, and limits count what undeclared parts count as.
func (g *Gateway) companionPart(ctx context.Context, r *Request, segments []string) (*Response, error) {
	return g.signParts(ctx, r, segments[0], r.Query.Get("key"), []string{segments[1]}, func(out []signedRequest) any { return g.signedURL(out[0]) })
}

// companionBatch is the URLs of the parts that partNumbers names, as older Uppys ask for them.
func (g *Gateway) companionBatch(ctx context.Context, r *Request, segments []string) (*Response, error) {
	return g.signParts(ctx, r, segments[0], r.Query.Get("key"), strings.Split(r.Query.Get("partNumbers"), ","), func(out []signedRequest) any {
		urls := map[string]string{}
		for _, s := range out {
			urls[strconv.Itoa(s.PartNumber)] = s.URL
		}
		return map[string]any{"presignedUrls": urls}
	})
}

// signParts signs parts of one upload, by their numbers.
func (g *Gateway) signParts(ctx context.Context, r *Request, id, key string, numbers []string, body func([]signedRequest) any) (*Response, error) {
	bucket, err := g.ofUpload(ctx, r, id, key)
	if err != nil {
		return nil, err
	}
	ask := &signRequest{Bucket: bucket, Key: key, UploadID: id}
	for _, s := range numbers {
		n, err := strconv.Atoi(s)
		if err != nil {
			return nil, invalidArgument("partNumber", s, "Part number must be an integer between 1 and 10000, inclusive.")
		}
		ask.Parts = append(ask.Parts, signPart{PartNumber: n})
	}
	return g.signAs(ctx, r, ask, body)
}

// signAs is apiSign for a call that asks in other words.
func (g *Gateway) signAs(ctx context.Context, r *Request, ask *signRequest, body func([]signedRequest) any) (*Response, error) {
	operation, err := g.speaksOf(r, ask)
	if err != nil {
		return nil, err
	}
	r.Method, r.Event.Operation = operation.Method, operation.Name // a grant is a write, whatever verb asked for it: its event comes first
	signed := make([]*signing, len(ask.Parts))
	for i := range ask.Parts {
		if signed[i], err = g.signing(r, operation, ask, i); err != nil {
			return nil, err
		}
	}
	return g.sign(ctx, r, signed, body)
}

// companionParams signs a PutObject, for files that Uppy does not send in parts. Their size is not told unless as metadata.size, and without it
// there is no URL where a limit would have to count it.
func (g *Gateway) companionParams(ctx context.Context, r *Request, _ []string) (*Response, error) {
	o := newObject{Filename: r.Query.Get("filename"), Type: r.Query.Get("type"), Metadata: map[string]string{}}
	for _, p := range r.Query {
		if name, ok := strings.CutPrefix(p.Name, "metadata["); ok {
			o.Metadata[strings.TrimSuffix(name, "]")] = p.Value
		}
	}
	var length *int64
	if size, given := o.Metadata["size"]; given {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || n < 0 {
			return nil, errInvalidArgument.saying("metadata.size is the file's size in bytes.")
		}
		length = &n
	}
	bucket, key, err := g.place(r, &o)
	if err != nil {
		return nil, err
	}
	headers, err := o.headers()
	if err != nil {
		return nil, err
	}
	part := signPart{ContentLength: length, Headers: map[string]string{}}
	for _, h := range headers {
		part.Headers[h.Name] = h.Value
	}
	resp, err := g.signAs(ctx, r, &signRequest{Bucket: bucket, Key: key, Parts: []signPart{part}, anyLength: true}, func(out []signedRequest) any {
		u := g.signedURL(out[0])
		u.Fields["key"], u.Fields["bucket"] = key, bucket // Uppy reads them here; a PUT sends none
		return u
	})
	if errors.Is(err, errMissingLength) {
		err = errMissingLength.saying("Your token limits sizes, so a URL for a whole file needs the file's: set metadata.size, or send every file in parts (shouldUseMultipart: true).")
	}
	return resp, err
}

// The four calls of the tutorial that many a page began with (start-upload, get-signed-url, upload-part, complete-upload), by thin rows over the same.

type tutorialCall struct {
	newObject
	FileName    string      `json:"fileName"`
	FileType    string      `json:"fileType"`
	ContentType string      `json:"contentType"`
	Key         string      `json:"key"`
	UploadID    string      `json:"uploadId"`
	PartNumber  int         `json:"partNumber"`
	ETag        string      `json:"ETag"`
	Parts       []namedPart `json:"parts"`
}

// tutorial reads a call. Where it names no key, its file name says which, as it did when the upload was started.
func (g *Gateway) tutorial(r *Request) (*tutorialCall, error) {
	var c tutorialCall
	if err := readJSON(r, &c); err != nil {
		return nil, err
	}
	if c.Filename == "" {
		c.Filename = c.FileName
	}
	for _, t := range []string{c.FileType, c.ContentType} {
		if c.Type == "" {
			c.Type = t
		}
	}
	if c.Key == "" && c.UploadID != "" {
		var err error
		if _, c.Key, err = g.place(r, &c.newObject); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

func (g *Gateway) tutorialStart(ctx context.Context, r *Request, _ []string) (*Response, error) {
	c, err := g.tutorial(r)
	if err != nil {
		return nil, err
	}
	return g.startUpload(ctx, r, &c.newObject)
}

func (g *Gateway) tutorialURL(ctx context.Context, r *Request, _ []string) (*Response, error) {
	c, err := g.tutorial(r)
	if err != nil {
		return nil, err
	}
	return g.signParts(ctx, r, c.UploadID, c.Key, []string{strconv.Itoa(c.PartNumber)}, func(out []signedRequest) any {
		return map[string]any{"url": out[0].URL, "signedUrl": out[0].URL, "headers": out[0].Headers}
	})
}

// tutorialPart says whether a part has landed: what storage holds, not what the page claims.
func (g *Gateway) tutorialPart(ctx context.Context, r *Request, _ []string) (*Response, error) {
	c, err := g.tutorial(r)
	if err != nil {
		return nil, err
	}
	parts, err := g.landed(ctx, r, c.UploadID, c.Key)
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if p.PartNumber == c.PartNumber && (c.ETag == "" || strings.Trim(p.ETag, `"`) == strings.Trim(c.ETag, `"`)) {
			return jsonReply(http.StatusOK, p), nil
		}
	}
	return nil, errInvalidPart
}

// tutorialComplete completes with the parts that the page names or, if it names none, with all that storage holds.
func (g *Gateway) tutorialComplete(ctx context.Context, r *Request, _ []string) (*Response, error) {
	c, err := g.tutorial(r)
	if err != nil {
		return nil, err
	}
	if c.Parts == nil {
		parts, err := g.landed(ctx, r, c.UploadID, c.Key)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			c.Parts = append(c.Parts, p.namedPart)
		}
	}
	return g.finishUpload(ctx, r, c.UploadID, c.Key, c.Parts)
}
