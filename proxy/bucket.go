package proxy

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"

	"partway/auth/sigv4"
	"partway/proxy/storage"
	"partway/tracking"
)

func headers(h ...sigv4.Header) []sigv4.Header { return h }

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
func (g *Gateway) getBucketLocation(_ context.Context, r *Request) (*Response, error) {
	if _, err := g.knownBucket(r); err != nil {
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

// listBuckets is S3's ListBuckets: those that storage has and the caller's scopes name.
func (g *Gateway) listBuckets(ctx context.Context, r *Request) (*Response, error) {
	type bucket struct{ Name, CreationDate string }
	names, all := r.Identity.Buckets()
	found := []bucket{}
	for name, b := range g.backends {
		answer, err := b.Do(ctx, &storage.Call{Method: http.MethodGet, ContentLength: -1}, nil)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(io.LimitReader(answer.Body, answerBytes))
		answer.Body.Close()
		if err != nil {
			return nil, errUnavailable.because(err)
		}
		if answer.StatusCode != http.StatusOK {
			return nil, storageError(answer.StatusCode, body)
		}
		var list struct {
			Buckets struct{ Bucket []bucket }
		}
		if err := xml.Unmarshal(body, &list); err != nil {
			return nil, errInternal.because(err)
		}
		for _, e := range list.Buckets.Bucket {
			home, err := g.backendOf(e.Name)
			if err == nil && home.Name() == name && (all || slices.Contains(names, e.Name)) {
				found = append(found, e)
			}
		}
	}
	slices.SortFunc(found, func(a, b bucket) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	body := encodeXML(struct {
		XMLName xml.Name `xml:"ListAllMyBucketsResult"`
		Xmlns   string   `xml:"xmlns,attr"`
		ID      string   `xml:"Owner>ID"`
		Buckets []bucket `xml:"Buckets>Bucket"`
	}{Xmlns: s3Namespace, ID: r.Identity.Tenant, Buckets: found})
	return &Response{Status: http.StatusOK, Headers: headers(xmlType), Body: body}, nil
}
