package harness

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Asked is one request of a client and what became of it.
type Asked struct {
	Operation, Key, UploadID string
	PartNumber               int
	Want                     string // ETag of what the request would store
	Size                     int64  // of the object that it would make
	Began, Ended             time.Time

	Status                int // 0: no answer, or not a whole one
	Code                  string
	RequestID, ETag, Text string
	RetryAfter            string
}

// Acknowledged reports whether the client was told of success.
func (a Asked) Acknowledged() bool { return a.Status/100 == 2 && a.Code == "" }

// Granted reports whether the client was sent to storage.
func (a Asked) Granted() bool { return a.Status == http.StatusTemporaryRedirect }

// Refused reports whether the client was told that it cannot be: asking again would not help.
func (a Asked) Refused() bool { return a.Status >= 400 && a.Status < 500 }

func (a Asked) String() string {
	return fmt.Sprintf("%s %s %s part %d: %d %s %s", a.Operation, a.Key, a.UploadID, a.PartNumber, a.Status, a.Code, a.RequestID)
}

// Client is a careful client: it asks again until it is told one way or the other, and remembers all it asked and was told.
// Safe for concurrent use.
type Client struct {
	Tenant *Tenant
	Prefix string // of its keys, which no other client of the tenant has; ends with "/"
	http   *http.Client

	mu    sync.Mutex
	asked []Asked
}

// NewClient of a tenant, by way of its tap.
func (n *Tenant) NewClient() *Client {
	return &Client{Tenant: n, Prefix: n.Prefix, http: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}}
}

// History is all requests so far, in the order in which they ended.
func (c *Client) History() []Asked {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Asked(nil), c.asked...)
}

// retryPause is between two tries of a request that was not answered, or with a 5xx.
const retryPause = 50 * time.Millisecond

// until asks until there is an answer that asking again would not change.
func (c *Client) until(ctx context.Context, a Asked, method, target string, body []byte, headers ...string) (Asked, error) {
	for {
		now := c.Ask(ctx, a, method, target, body, headers...)
		if now.Acknowledged() || now.Granted() || now.Refused() {
			return now, nil
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return now, fmt.Errorf("%v: %w", now, context.Cause(ctx))
		}
	}
}

// Ask makes one request and remembers it.
func (c *Client) Ask(ctx context.Context, a Asked, method, target string, body []byte, headers ...string) Asked {
	a.Began = time.Now()
	answer := c.send(ctx, method, target, body, headers)
	a.Status, a.Code, a.RequestID, a.ETag, a.Text, a.RetryAfter = answer.Status, answer.Code, answer.RequestID, answer.ETag, answer.Text, answer.RetryAfter
	a.Ended = time.Now()
	if a.Operation == "CreateMultipartUpload" && a.Acknowledged() {
		var made struct {
			UploadID string `xml:"UploadId"`
		}
		if err := xml.Unmarshal([]byte(a.Text), &made); err != nil || made.UploadID == "" {
			a.Status = 0 // an answer that is none
		}
		a.UploadID = made.UploadID
	}
	c.mu.Lock()
	c.asked = append(c.asked, a)
	c.mu.Unlock()
	return a
}

// send asks once; what it returns has the fields of an answer alone.
func (c *Client) send(ctx context.Context, method, target string, body []byte, headers []string) (a Asked) {
	url := target
	if strings.HasPrefix(target, "/") {
		url = c.Tenant.Endpoint + target
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		panic(err) // of the test's own making
	}
	if url != target {
		req.Header.Set("Authorization", "Bearer "+c.Tenant.Bearer)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return a
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return a
	}
	if m := code.FindSubmatch(b[:min(len(b), 4096)]); m != nil && method != http.MethodGet {
		a.Code = string(m[1]) + string(m[2])
	}
	a.Status, a.Text = resp.StatusCode, string(b)
	a.RequestID, a.ETag, a.RetryAfter = resp.Header.Get("X-Amz-Request-Id"), resp.Header.Get("ETag"), resp.Header.Get("Retry-After")
	switch {
	case a.Code != "" && a.Status == http.StatusOK: // S3's way to fail after it has begun to answer
		a.Status = http.StatusInternalServerError
	case a.Granted():
		a.Code, a.Text = "", resp.Header.Get("Location")
	}
	return a
}

// Create makes an upload.
func (c *Client) Create(ctx context.Context, key string) (id string, err error) {
	a, err := c.until(ctx, Asked{Operation: "CreateMultipartUpload", Key: key}, http.MethodPost, object(key)+"?uploads", nil)
	if err != nil {
		return "", err
	}
	if !a.Acknowledged() {
		return "", fmt.Errorf("refused: %v %s", a, a.Text)
	}
	return a.UploadID, nil
}

// Part sends a part through the gateway, or past it.
func (c *Client) Part(ctx context.Context, key, id string, number int, body []byte, redirected bool) (etag string, err error) {
	ask := Asked{Operation: "UploadPart", Key: key, UploadID: id, PartNumber: number}
	target := fmt.Sprintf("%s?partNumber=%d&uploadId=%s", object(key), number, id)
	if !redirected {
		a, err := c.until(ctx, ask, http.MethodPut, target, body)
		return a.ETag, acknowledged(a, err)
	}
	for {
		a, err := c.until(ctx, ask, http.MethodPut, target, body, "x-partway-transfer", "redirect")
		if err != nil || !a.Granted() {
			return "", fmt.Errorf("%v is not granted (%w)", a, err)
		}
		// What storage is asked past the gateway is none of its history.
		sent := c.send(ctx, http.MethodPut, a.Text, body, nil)
		if sent.Acknowledged() {
			return sent.ETag, nil
		}
		if sent.Refused() {
			return "", fmt.Errorf("storage refused what the gateway granted: %d %s", sent.Status, sent.Text)
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return "", fmt.Errorf("part past the gateway: %d: %w", sent.Status, context.Cause(ctx))
		}
	}
}

// Complete ends an upload of these parts.
func (c *Client) Complete(ctx context.Context, key, id string, parts ...[]byte) (Asked, error) {
	list, want, size := PartList(parts...)
	ask := Asked{Operation: "CompleteMultipartUpload", Key: key, UploadID: id, Want: want, Size: size}
	a, err := c.until(ctx, ask, http.MethodPost, object(key)+"?uploadId="+id, []byte(list))
	return a, acknowledged(a, err)
}

// Abort gives an upload up. It may be told that there is none if it asked before and heard nothing.
func (c *Client) Abort(ctx context.Context, key, id string) error {
	a, err := c.until(ctx, Asked{Operation: "AbortMultipartUpload", Key: key, UploadID: id}, http.MethodDelete, object(key)+"?uploadId="+id, nil)
	if a.Code == "NoSuchUpload" && c.askedBefore(a) {
		return err
	}
	return acknowledged(a, err)
}

func (c *Client) askedBefore(a Asked) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.asked {
		if b.Operation == a.Operation && b.UploadID == a.UploadID && b.RequestID != a.RequestID {
			return true
		}
	}
	return false
}

// Put writes an object whole.
func (c *Client) Put(ctx context.Context, key string, body []byte) error {
	a, err := c.until(ctx, Asked{Operation: "PutObject", Key: key, Want: ETag(body), Size: int64(len(body))}, http.MethodPut, object(key), body)
	return acknowledged(a, err)
}

func acknowledged(a Asked, err error) error {
	if err == nil && !a.Acknowledged() {
		err = fmt.Errorf("refused: %v %s", a, a.Text)
	}
	return err
}

func object(key string) string { return "/" + Bucket + "/" + key }
