package proxy

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"partway/auth/sigv4"
	"partway/proxy/relay"
	"partway/proxy/storage"
	"partway/tracking"
)

func headers(h ...sigv4.Header) []sigv4.Header { return h }

// createBucket is S3's CreateBucket. Storage's answer but for the Location, which is the gateway's.
func (g *Gateway) createBucket(ctx context.Context, r *Request) (*Response, error) {
	resp, err := g.passOn(ctx, r)
	if err != nil {
		return nil, err
	}
	named := func(resp *Response, err error) (*Response, error) {
		if err == nil {
			resp.Headers = append(resp.Headers, sigv4.Header{Name: "location", Value: "/" + r.Bucket})
		}
		return resp, err
	}
	if take := resp.take; take != nil { // the body is still to come
		resp.take = func(ctx context.Context, x *relay.Exchange) (*Response, error) { return named(take(ctx, x)) }
		return resp, nil
	}
	return named(resp, nil)
}

// headBucket is S3's HeadBucket. Tools ask it before they do anything, so every token that may do something in the bucket may ask.
func (g *Gateway) headBucket(ctx context.Context, r *Request) (*Response, error) {
	b, err := g.knownBucket(r)
	if err != nil {
		return nil, err
	}
	resp, err := g.forward(ctx, b, r.call(), nil)
	if err != nil {
		return nil, err
	}
	resp.Headers = append(resp.Headers, sigv4.Header{Name: "x-amz-bucket-region", Value: g.Region})
	return resp, nil
}

// orNoSuchBucket is the refusal of a request for something in a bucket: err if storage has the bucket, or cannot say.
func (g *Gateway) orNoSuchBucket(ctx context.Context, r *Request, err error) error {
	b, unknown := g.backendOf(r.Bucket)
	if unknown != nil {
		return unknown
	}
	_, head := g.forward(ctx, b, &storage.Call{Method: http.MethodHead, Bucket: r.Bucket, ContentLength: -1}, nil)
	if refusal := (*Error)(nil); errors.As(head, &refusal) && refusal.Status == http.StatusNotFound {
		return errNoSuchBucket
	}
	return err
}

// deleteBucket is S3's DeleteBucket. With the bucket, storage drops its open uploads: their records end too, or they would be listed in
// another bucket of that name.
func (g *Gateway) deleteBucket(ctx context.Context, r *Request) (*Response, error) {
	b, err := g.backendOf(r.Bucket)
	if err != nil {
		return nil, err
	}
	resp, err := g.forward(ctx, b, r.call(), nil)
	if err != nil {
		return nil, err
	}
	if err := g.endUploads(ctx, r.Bucket); err != nil {
		g.Log.Warn("records of uploads outlive their bucket", "request_id", r.ID, "bucket", r.Bucket, "error", err)
	}
	return resp, nil
}

// endUploads closes the records of every open upload of a bucket that is gone. One that is just being completed learns it from storage.
func (g *Gateway) endUploads(ctx context.Context, bucket string) error {
	at := tracking.OpenQuery{Bucket: bucket, Limit: uploadsPage}
	for {
		page, err := g.Store.OpenUploads(ctx, at)
		if err != nil {
			return err
		}
		for i := range page {
			u := &page[i]
			at = at.After(u)
			if g.atWork(u) {
				continue
			}
			if err := g.endUpload(ctx, u, errNoSuchBucket.Code); err != nil && !errors.Is(err, tracking.ErrConflict) {
				return err
			}
		}
		if len(page) < at.Limit {
			return nil
		}
	}
}

// endUpload takes a record to aborted of an upload that storage ended for a reason of its own.
func (g *Gateway) endUpload(ctx context.Context, u *tracking.Upload, code string) error {
	if u.State == tracking.StateCompleting {
		if err := g.move(ctx, u, tracking.StateUnknown); err != nil {
			return err
		}
	}
	u.ResultCode = code
	for _, to := range []tracking.State{tracking.StateAborting, tracking.StateAborted} {
		if err := g.move(ctx, u, to); err != nil {
			return err
		}
	}
	g.putState(ctx, u.ID, tracking.StateAborted)
	return nil
}

// getBucketLocation is S3's GetBucketLocation: the gateway's region, which is the one that clients sign for.
func (g *Gateway) getBucketLocation(ctx context.Context, r *Request) (*Response, error) {
	b, err := g.knownBucket(r)
	if err != nil {
		return nil, err
	}
	if _, err := g.forward(ctx, b, &storage.Call{Method: http.MethodHead, Bucket: r.Bucket, ContentLength: -1}, nil); err != nil {
		if refusal := (*Error)(nil); errors.As(err, &refusal) && refusal.Status == http.StatusNotFound {
			return nil, errNoSuchBucket
		}
		return nil, err
	}
	region := g.Region
	if region == "us-east-1" {
		region = "" // S3's way to say so
	}
	body := encodeXML(struct {
		XMLName xml.Name `xml:"LocationConstraint"`
		Xmlns   string   `xml:"xmlns,attr"`
		Region  string   `xml:",chardata"`
	}{Xmlns: s3Namespace, Region: region})
	return &Response{Status: http.StatusOK, Headers: headers(xmlType), Body: body}, nil
}

// knownBucket is the storage of a bucket that some scope of the caller names.
func (g *Gateway) knownBucket(r *Request) (*storage.Backend, error) {
	names, all := r.Identity.Buckets()
	if !all && !slices.Contains(names, r.Bucket) {
		_, err := r.Identity.Authorize("s3:ListBucket", r.Bucket, "")
		if err == nil {
			err = errAccessDenied
		}
		return nil, err
	}
	return g.backendOf(r.Bucket)
}

// bucketsPage is S3's limit on max-buckets.
const bucketsPage = 10000

type listedBucket struct {
	Name         string
	CreationDate string
	BucketRegion string `xml:",omitempty"`
}

// listBuckets is S3's ListBuckets: those that storage has and the caller's scopes name.
func (g *Gateway) listBuckets(ctx context.Context, r *Request) (*Response, error) {
	limit := bucketsPage
	if s := r.Query.Get("max-buckets"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > bucketsPage {
			return nil, invalidArgument("max-buckets", s, "Argument max-buckets must be an integer between 1 and 10000.")
		}
		limit = n
	}
	found, err := g.bucketsOf(ctx, r)
	if err != nil {
		return nil, err
	}
	next := ""
	if len(found) > limit {
		found, next = found[:limit], found[limit-1].Name // tokens are names: they stay right while buckets come and go
	}
	body := encodeXML(struct {
		XMLName           xml.Name       `xml:"ListAllMyBucketsResult"`
		Xmlns             string         `xml:"xmlns,attr"`
		ID                string         `xml:"Owner>ID"`
		Buckets           []listedBucket `xml:"Buckets>Bucket"`
		ContinuationToken string         `xml:",omitempty"`
		Prefix            string         `xml:",omitempty"`
	}{Xmlns: s3Namespace, ID: r.Identity.Tenant, Buckets: found, ContinuationToken: next, Prefix: r.Query.Get("prefix")})
	return &Response{Status: http.StatusOK, Headers: headers(xmlType), Body: body}, nil
}

// bucketsOf are the buckets that a list asks for, by name: of every storage, behind the continuation-token.
func (g *Gateway) bucketsOf(ctx context.Context, r *Request) ([]listedBucket, error) {
	names, all := r.Identity.Buckets()
	prefix, after := r.Query.Get("prefix"), r.Query.Get("continuation-token")
	found := []listedBucket{}
	if region := r.Query.Get("bucket-region"); region != "" && region != g.Region {
		return found, nil
	}
	for name, b := range g.backends {
		at, err := g.bucketsAt(ctx, b)
		if err != nil {
			return nil, err
		}
		for _, e := range at {
			home, err := g.backendOf(e.Name)
			if err == nil && home.Name() == name && (all || slices.Contains(names, e.Name)) && strings.HasPrefix(e.Name, prefix) && e.Name > after {
				e.BucketRegion = g.Region // storage's own is nothing that a client could sign for
				found = append(found, e)
			}
		}
	}
	slices.SortFunc(found, func(a, b listedBucket) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// bucketsAt are all buckets of one storage.
func (g *Gateway) bucketsAt(ctx context.Context, b *storage.Backend) ([]listedBucket, error) {
	var all []listedBucket
	c := &storage.Call{Method: http.MethodGet, ContentLength: -1}
	for {
		answer, err := g.forward(ctx, b, c, nil)
		if err != nil {
			return nil, err
		}
		var list struct {
			Buckets           struct{ Bucket []listedBucket }
			ContinuationToken string
		}
		if err := xml.Unmarshal(answer.Body, &list); err != nil {
			return nil, errInternal.because(fmt.Errorf("storage's list of buckets: %w", err))
		}
		all = append(all, list.Buckets.Bucket...)
		if list.ContinuationToken == "" || len(list.Buckets.Bucket) == 0 {
			return all, nil
		}
		c.Query = []storage.Param{{Name: "continuation-token", Value: list.ContinuationToken}}
	}
}
