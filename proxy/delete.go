package proxy

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"partway/auth/sigv4"
	"partway/proxy/storage"
)

// maxDeletes is S3's limit on the keys of one DeleteObjects.
const maxDeletes = 1000

type deleteList struct {
	XMLName xml.Name `xml:"Delete"`
	Xmlns   string   `xml:"xmlns,attr,omitempty"`
	Object  []deleteObject
	Quiet   bool `xml:",omitempty"`
}

// deleteObject is one of them; its conditions go along as they came.
type deleteObject struct {
	Key              string
	VersionID        string `xml:"VersionId,omitempty"`
	ETag             string `xml:",omitempty"`
	LastModifiedTime string `xml:",omitempty"`
	Size             string `xml:",omitempty"`
}

type deleteResult struct {
	XMLName xml.Name `xml:"DeleteResult"`
	Xmlns   string   `xml:"xmlns,attr,omitempty"`
	Deleted []struct {
		Key                   string
		VersionID             string `xml:"VersionId,omitempty"`
		DeleteMarker          *bool  `xml:",omitempty"` // as storage says it; some say false too
		DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
	}
	Error []deleteError
}

type deleteError struct {
	Key       string
	VersionID string `xml:"VersionId,omitempty"`
	Code      string
	Message   string
}

// deleteObjects is S3's DeleteObjects: each key is authorised by itself, and those that are refused come back as errors beside what storage says
// of the others.
func (g *Gateway) deleteObjects(ctx context.Context, r *Request) (*Response, error) {
	list, err := parseDeleteList(r.Body)
	if err != nil {
		return nil, err
	}
	b, err := g.backendOf(r.Bucket)
	if err != nil {
		return nil, err
	}
	var refused []deleteError
	allowed := deleteList{Xmlns: s3Namespace, Quiet: list.Quiet}
	for _, o := range list.Object {
		action := "s3:DeleteObject"
		if o.VersionID != "" {
			action = "s3:DeleteObjectVersion"
		}
		if _, err := r.Identity.Authorize(action, r.Bucket, o.Key); err != nil {
			e := asError(err)
			refused = append(refused, deleteError{Key: o.Key, VersionID: o.VersionID, Code: e.Code, Message: e.Message})
			continue
		}
		allowed.Object = append(allowed.Object, o)
	}
	if len(allowed.Object) == 0 {
		return &Response{Status: http.StatusOK, Headers: headers(xmlType), Body: encodeXML(deleteResult{Xmlns: s3Namespace, Error: refused})}, nil
	}
	return g.deleteAllowed(ctx, r, b, allowed, refused)
}

// deleteAllowed asks storage to delete what was authorised, and nothing that another parser might read in the client's bytes: the list
// is written anew, and so is its checksum.
func (g *Gateway) deleteAllowed(ctx context.Context, r *Request, b *storage.Backend, allowed deleteList, refused []deleteError) (*Response, error) {
	c := r.call()
	body := encodeXML(allowed)
	c.Headers = slices.DeleteFunc(c.Headers, func(h sigv4.Header) bool {
		return strings.HasPrefix(h.Name, "x-amz-checksum-") || h.Name == "x-amz-sdk-checksum-algorithm"
	})
	sum := md5.Sum(body)
	setHeader(c, "content-md5", base64.StdEncoding.EncodeToString(sum[:]))
	resp, err := g.forward(ctx, b, c, body)
	if err != nil {
		return nil, err
	}
	var said deleteResult
	if err := xml.Unmarshal(resp.Body, &said); err != nil {
		return nil, errInternal.because(fmt.Errorf("storage's answer to DeleteObjects: %w", err))
	}
	for _, d := range said.Deleted {
		r.Event.Keys = append(r.Event.Keys, d.Key)
	}
	if allowed.Quiet { // storage names only what failed
		for _, o := range allowed.Object {
			if !slices.ContainsFunc(said.Error, func(e deleteError) bool { return e.Key == o.Key && e.VersionID == o.VersionID }) {
				r.Event.Keys = append(r.Event.Keys, o.Key)
			}
		}
	}
	said.XMLName, said.Xmlns, said.Error = xml.Name{Local: "DeleteResult"}, s3Namespace, append(said.Error, refused...)
	resp.Body = encodeXML(said)
	return resp, nil
}

func parseDeleteList(body []byte) (deleteList, error) {
	var list deleteList
	if err := xml.Unmarshal(body, &list); err != nil {
		return list, errMalformedXML.because(err)
	}
	if n := len(list.Object); n == 0 || n > maxDeletes {
		return list, errMalformedXML.because(fmt.Errorf("%d keys", n))
	}
	return list, nil
}
