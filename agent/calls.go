package agent

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Object is an object's place.
type Object struct{ Bucket, Key string }

func (o Object) String() string { return "s3://" + o.Bucket + "/" + o.Key }

// ParseObject reads s3://BUCKET/KEY; the key may be empty.
func ParseObject(text string) (o Object, ok bool) {
	rest, ok := strings.CutPrefix(text, "s3://")
	o.Bucket, o.Key, _ = strings.Cut(rest, "/")
	return o, ok && o.Bucket != ""
}

// s3 asks the gateway one thing about o. The answer's body is read whole; a refusal is an error. repeat says that it may be asked again after an
// answer that was lost.
func (c *Client) s3(ctx context.Context, method string, o Object, query string, body []byte, headers map[string]string, repeat bool) (header http.Header, text []byte, err error) {
	err = c.patiently(ctx, func() error {
		req, err := c.request(ctx, method, o, query, bytes.NewReader(body), int64(len(body)))
		if err != nil {
			return err
		}
		for name, value := range headers {
			req.Header.Set(name, value)
		}
		resp, err := c.ask(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if text, err = io.ReadAll(io.LimitReader(resp.Body, 16<<20)); err != nil {
			return fmt.Errorf("gateway %w: %w", errAway, err)
		}
		header = resp.Header
		if resp.StatusCode/100 != 2 || method == http.MethodPost && isError(text) { // a Complete's 200 may carry one
			return storageRefusal(max(resp.StatusCode, 400), text)
		}
		return nil
	}, func(err error) bool { return c.mayPass(err) && (repeat || unsent(err)) })
	return header, text, err
}

func (c *Client) request(ctx context.Context, method string, o Object, query string, body io.Reader, length int64) (*http.Request, error) {
	if length == 0 {
		body = http.NoBody
	}
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint.String(), body)
	if err != nil {
		return nil, err
	}
	req.URL.Path, req.URL.RawPath, req.URL.RawQuery = "/"+o.Bucket+"/"+o.Key, "/"+url.PathEscape(o.Bucket)+"/"+escapeKey(o.Key), query
	req.ContentLength = length
	req.Header.Set("User-Agent", "partway")
	if length > maxControl {
		req.Header.Set("Expect", "100-continue")
	}
	return req, nil
}

func escapeKey(key string) string {
	segments := strings.Split(key, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}

func isError(text []byte) bool {
	var e struct{ XMLName xml.Name }
	return xml.Unmarshal(text, &e) == nil && e.XMLName.Local == "Error"
}

// createUpload makes an upload or takes one up again, which then has parts.
func (c *Client) createUpload(ctx context.Context, o Object) (id string, have map[int]storedPart, err error) {
	header, text, err := c.s3(ctx, http.MethodPost, o, "uploads=", nil, nil, false)
	if err != nil {
		return "", nil, err
	}
	if id = uploadIDIn(text); id == "" {
		return "", nil, errors.New("the gateway made an upload without an id")
	}
	have, err = c.takenUp(ctx, header, o, id)
	return id, have, err
}

// uploadIDIn is "" for what is no answer to CreateMultipartUpload.
func uploadIDIn(text []byte) string {
	var made struct {
		XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
		UploadID string   `xml:"UploadId"`
	}
	if xml.Unmarshal(text, &made) != nil {
		return ""
	}
	return made.UploadID
}

// storedPart is a part as storage lists it.
type storedPart struct {
	PartNumber     int
	ETag           string
	Size           int64
	ChecksumSHA256 string
}

// holds reports whether the part is the body of that size and those sums. What counts is what storage lists of the bytes that it has: an ETag that is an
// MD5, or a SHA-256. An ETag that is none (SSE-KMS, SSE-C) is no body's MD5.
func (p storedPart) holds(size int64, md5, sha256 []byte) bool {
	return p.Size == size && (strings.Trim(p.ETag, `"`) == hex.EncodeToString(md5) ||
		p.ChecksumSHA256 != "" && p.ChecksumSHA256 == base64.StdEncoding.EncodeToString(sha256))
}

func (c *Client) listParts(ctx context.Context, o Object, id string) (map[int]storedPart, error) {
	parts := map[int]storedPart{}
	for marker := ""; ; {
		query := "uploadId=" + url.QueryEscape(id) + "&max-parts=1000"
		if marker != "" {
			query += "&part-number-marker=" + marker
		}
		_, text, err := c.s3(ctx, http.MethodGet, o, query, nil, nil, true)
		if err != nil {
			return nil, err
		}
		var page struct {
			IsTruncated          bool
			NextPartNumberMarker string
			Part                 []storedPart
		}
		if err := xml.Unmarshal(text, &page); err != nil {
			return nil, fmt.Errorf("the list of parts: %w", err)
		}
		for _, p := range page.Part {
			parts[p.PartNumber] = p
		}
		if !page.IsTruncated || page.NextPartNumberMarker == marker {
			return parts, nil
		}
		marker = page.NextPartNumberMarker
	}
}

// completeUpload returns the object's ETag.
func (c *Client) completeUpload(ctx context.Context, o Object, id string, parts []storedPart) (etag string, err error) {
	type part struct {
		PartNumber int
		ETag       string
	}
	list := struct {
		XMLName xml.Name `xml:"CompleteMultipartUpload"`
		Part    []part
	}{}
	for _, p := range parts {
		list.Part = append(list.Part, part{p.PartNumber, p.ETag})
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return "", err
	}
	_, text, err := c.s3(ctx, http.MethodPost, o, "uploadId="+url.QueryEscape(id), body, nil, true)
	if err != nil {
		return "", err
	}
	var done struct{ ETag string }
	if err := xml.Unmarshal(text, &done); err != nil {
		return "", fmt.Errorf("the answer of CompleteMultipartUpload: %w", err)
	}
	return done.ETag, nil
}

// putDirectly sends a body by a signed request or, where none is to be had, through the gateway. sum is the MD5 of the body, which storage verifies.
func (c *Client) putDirectly(ctx context.Context, o Object, uploadID string, number int, body io.ReadSeeker, length int64, sum []byte) (etag string, err error) {
	headers := map[string]string{"content-md5": base64.StdEncoding.EncodeToString(sum)}
	call := signCall{Bucket: o.Bucket, Key: o.Key, UploadID: uploadID, Parts: []Body{{PartNumber: number, ContentLength: &length, Headers: headers}}}
	header, err := c.put(ctx, func() (Signed, error) {
		signed, err := c.sign(ctx, call)
		if err != nil {
			return Signed{}, err
		}
		return signed[0], nil
	}, body, length)
	if unsigned := (*Refusal)(nil); errors.As(err, &unsigned) && unsigned.reason != "" {
		return c.putRelayed(ctx, o, uploadID, number, body, length, headers)
	}
	if err != nil {
		return "", err
	}
	etag = header.Get("Etag")
	if uploadID != "" {
		c.landed(upload{o.Bucket, o.Key, uploadID}, Landed{PartNumber: number, ContentLength: length, ETag: etag, MD5: hex.EncodeToString(sum)})
	}
	return etag, nil
}

func (c *Client) putRelayed(ctx context.Context, o Object, uploadID string, number int, body io.ReadSeeker, length int64, headers map[string]string) (etag string, err error) {
	query := ""
	if uploadID != "" {
		query = "partNumber=" + strconv.Itoa(number) + "&uploadId=" + url.QueryEscape(uploadID)
	}
	req, err := c.request(ctx, http.MethodPut, o, query, io.NopCloser(body), length)
	if err != nil {
		return "", err
	}
	for name, value := range headers {
		req.Header.Set(name, value)
	}
	resp, err := c.ask(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what was readable is all there is to say
	if resp.StatusCode/100 != 2 {
		return "", storageRefusal(resp.StatusCode, text)
	}
	c.Stats.RelayedBytes.Add(length)
	c.Stats.RelayedBodies.Add(1)
	return resp.Header.Get("Etag"), nil
}

// md5Of is the MD5 of a body, from its beginning, to which it goes back.
func md5Of(body io.ReadSeeker) ([]byte, error) {
	h := md5.New()
	if _, err := io.Copy(h, body); err != nil {
		return nil, err
	}
	_, err := body.Seek(0, io.SeekStart)
	return h.Sum(nil), err
}
