package proxy

import (
	"context"

	"partway/proxy/storage"
)

// listParts is S3's ListParts: storage's own answer, which wins over any belief of ours, under our upload id.
func (g *Gateway) listParts(ctx context.Context, r *Request) (*Response, error) {
	ref, b, err := g.liveUpload(ctx, r)
	if err != nil {
		return nil, err
	}
	c := r.call()
	c.Query = append(c.Query, storage.Param{Name: "uploadId", Value: ref.StorageID})
	resp, err := g.forward(ctx, b, c, nil)
	if err != nil {
		return nil, err
	}
	resp.Body = replaceText(resp.Body, "UploadId", r.Event.UploadID)
	return resp, nil
}
