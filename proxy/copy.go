package proxy

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"partway/auth"
	"partway/auth/sigv4"
	"partway/proxy/storage"
	"partway/tracking"
)

// copySource is what x-amz-copy-source names.
type copySource struct{ bucket, key, version string }

// copyHeaders are the request headers that copies have beside those of forwarded. The source itself is written anew.
var copyHeaders = headerNames("x-amz-copy-source", "x-amz-copy-source-if-*", "x-amz-copy-source-range", "x-amz-copy-source-server-side-encryption-customer-*",
	"x-amz-metadata-directive", "x-amz-source-expected-bucket-owner", "x-amz-tagging-directive")

// copyObject is S3's CopyObject.
func (g *Gateway) copyObject(ctx context.Context, r *Request) (*Response, error) {
	b, src, source, err := g.copyFrom(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.HasHeader("x-amz-copy-source-range") {
		return nil, errInvalidArgument.saying("x-amz-copy-source-range is for parts.")
	}
	if err := g.mayCopy(ctx, r, b); err != nil {
		return nil, err
	}
	c := r.copyCall(src)
	r.force(c)
	r.refuseOverwrite(c)
	if g.tenantLimit(r) == 0 {
		return g.copyOn(ctx, b, c)
	}
	if !r.HasHeader("x-amz-copy-source-if-match") {
		setHeader(c, "x-amz-copy-source-if-match", source.ETag) // what is copied is what was charged
	}
	charge, err := g.charge(ctx, r, "", source.Size)
	if err != nil {
		return nil, err
	}
	resp, err := g.copyOn(ctx, b, c)
	g.endPut(ctx, charge, err)
	return resp, err
}

// mayCopy holds a copy to what its token asks of every object. Some storage overlooks If-None-Match on copies, so the destination is looked at
// (two copies at one instant may both pass); and a copy keeps the metadata of its source, whatever headers are forced.
func (g *Gateway) mayCopy(ctx context.Context, r *Request, b *storage.Backend) error {
	for name := range r.Scope.ForceHeaders {
		if name = strings.ToLower(name); name != "x-amz-storage-class" && !strings.HasPrefix(name, "x-amz-server-side-encryption") {
			return errAccessDenied.saying("Your token forces the header " + name + ", which a copy would not take.")
		}
	}
	if !r.Scope.NoOverwrite {
		return nil
	}
	_, err := b.HeadObject(ctx, r.Bucket, r.Key, "")
	switch {
	case err == nil:
		return errPrecondition.saying("The key exists, and your token may not overwrite.")
	case errors.Is(err, storage.ErrNotFound):
		return nil
	}
	return err
}

// copyOn sends a copy to storage, whose 200 may carry an error.
func (g *Gateway) copyOn(ctx context.Context, b *storage.Backend, c *storage.Call) (*Response, error) {
	resp, err := g.forward(ctx, b, c, nil)
	if err == nil && isErrorXML(resp.Body) {
		return nil, storageError(statusOfCode(resp.Body), resp.Body)
	}
	return resp, err
}

// uploadPartCopy is S3's UploadPartCopy.
func (g *Gateway) uploadPartCopy(ctx context.Context, r *Request) (*Response, error) {
	number, err := partNumber(r)
	if err != nil {
		return nil, err
	}
	b, src, source, err := g.copyFrom(ctx, r)
	if err != nil {
		return nil, err
	}
	ref, home, err := g.liveUpload(ctx, r)
	if err != nil {
		return nil, err
	}
	if b != home {
		return nil, errInvalidRequest.saying("The upload and the source of the copy are on different storage.")
	}
	if source != nil {
		if err := g.reserve(ctx, r, tracking.Part{Number: number, Bytes: source.Size, Road: string(RoadNone)}); err != nil {
			return nil, err
		}
	}
	c := r.copyCall(src)
	c.Query = []storage.Param{{Name: "partNumber", Value: strconv.Itoa(number)}, {Name: "uploadId", Value: ref.StorageID}}
	return g.copyOn(ctx, b, c)
}

// copyFrom authorises the source for reading and holds what is copied of it to the token's limit. Storage copies on its own, so source and
// destination must be on the same. found is the source, its size what is copied of it; nil where there is no limit that it matters for.
func (g *Gateway) copyFrom(ctx context.Context, r *Request) (b *storage.Backend, src copySource, found *storage.Object, err error) {
	if src, err = parseCopySource(r.Header("x-amz-copy-source")); err != nil {
		return nil, src, nil, err
	}
	r.Event.Target = src.bucket + "/" + src.key
	action := "s3:GetObject"
	if src.version != "" {
		action = "s3:GetObjectVersion"
	}
	if _, err := r.Identity.Authorize(action, src.bucket, src.key); err != nil {
		return nil, src, nil, err
	}
	if b, err = g.backendOf(r.Bucket); err != nil {
		return nil, src, nil, err
	}
	if from, err := g.backendOf(src.bucket); err != nil || from != b {
		return nil, src, nil, errInvalidRequest.saying("The source of the copy is on different storage.")
	}
	limit := r.Scope.MaxObjectBytes
	if limit == 0 && r.Scope.MaxPartBytes == 0 && g.tenantLimit(r) == 0 {
		return b, src, nil, nil
	}
	found, err = b.HeadObject(ctx, src.bucket, src.key, src.version)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, src, nil, errNoSuchKey
	}
	if err != nil {
		return nil, src, nil, err
	}
	if r.HasHeader("x-amz-copy-source-range") {
		if found.Size, err = rangeBytes(r.Header("x-amz-copy-source-range")); err != nil {
			return nil, src, nil, err
		}
	}
	if limit > 0 && found.Size > limit {
		return nil, src, nil, overLimit(limit)
	}
	return b, src, found, nil
}

// rangeBytes is the length of "bytes=FIRST-LAST", the one form that x-amz-copy-source-range has.
func rangeBytes(text string) (int64, error) {
	first, last, _ := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	from, err := strconv.ParseUint(first, 10, 62)
	to, err2 := strconv.ParseUint(last, 10, 62)
	if err != nil || err2 != nil || to < from || !strings.HasPrefix(text, "bytes=") {
		return 0, invalidArgument("x-amz-copy-source-range", text, "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	return int64(to - from + 1), nil
}

// parseCopySource reads "/bucket/key?versionId=v", percent-encoded, with or without the first slash. Key rules hold for what is read too.
func parseCopySource(raw string) (copySource, error) {
	path, query, _ := strings.Cut(raw, "?")
	if _, err := url.PathUnescape(path); err != nil {
		return copySource{}, invalidArgument("x-amz-copy-source", raw, "Invalid copy source encoding")
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	key, _ = url.PathUnescape(key) // it was just tried
	src := copySource{bucket: bucket, key: key}
	if !validBucket(bucket) {
		return src, invalidArgument("x-amz-copy-source", raw, "Invalid copy source bucket name")
	}
	if key == "" {
		return src, invalidArgument("x-amz-copy-source", raw, "Invalid copy source object key")
	}
	if err := auth.ValidKey(key); err != nil {
		return src, invalidArgument("x-amz-copy-source", raw, "Invalid copy source object key").with("Hint", err.Error())
	}
	if query != "" {
		q, err := parseQuery(query)
		if err != nil || len(q) != 1 || q[0].Name != "versionId" {
			return src, invalidArgument("x-amz-copy-source", raw, "x-amz-copy-source takes versionId and no other parameter.")
		}
		src.version = q[0].Value
	}
	return src, nil
}

// copyCall makes a copy into a call. The source is written anew from what was authorised.
func (r *Request) copyCall(src copySource) *storage.Call {
	c := r.call()
	for _, h := range r.Head.Headers {
		if copyHeaders.has(h.Name) {
			c.Headers = append(c.Headers, h)
		}
	}
	source := src.bucket + sigv4.EncodePath("/"+src.key)
	if src.version != "" {
		source += "?versionId=" + sigv4.EncodeQuery(src.version)
	}
	setHeader(c, "x-amz-copy-source", source) // in place of the client's
	return c
}
