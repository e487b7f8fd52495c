package agent

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	reportWindow  = 200 * time.Millisecond // how long a landed part waits for company
	reportTimeout = 10 * time.Second
	reportParts   = 1000 // of one call
	reportQueue   = 20000
)

// Landed is a part that storage has taken, as its 200 said.
type Landed struct {
	PartNumber    int    `json:"part_number"`
	ContentLength int64  `json:"content_length"`
	ETag          string `json:"etag"`
	Checksum      string `json:"checksum,omitempty"`
	SHA256        string `json:"sha256,omitempty"`
	MD5           string `json:"md5,omitempty"`
}

type upload struct{ Bucket, Key, ID string }

// reports wait to be told to the gateway. They are a courtesy: losing some costs who resumes the upload the parts' time.
type reports struct {
	mu      sync.Mutex
	waiting map[upload][]Landed
	n       int
	changed chan struct{} // has room for one
}

// landed queues a report. Of a part that landed twice the last counts.
func (c *Client) landed(u upload, l Landed) {
	r := &c.reports
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n >= reportQueue {
		return
	}
	if r.waiting == nil {
		r.waiting = map[upload][]Landed{}
	}
	if i := slices.IndexFunc(r.waiting[u], func(o Landed) bool { return o.PartNumber == l.PartNumber }); i >= 0 {
		r.waiting[u][i] = l
		return
	}
	r.waiting[u] = append(r.waiting[u], l)
	r.n++
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// report is the goroutine that tells the gateway; it ends with Close, after a last round.
func (c *Client) report() {
	for {
		select {
		case <-c.reports.changed:
			select {
			case <-time.After(reportWindow):
			case <-c.stopping.Done():
			}
		case <-c.stopping.Done():
			c.flush()
			return
		}
		c.flush()
	}
}

func (c *Client) flush() {
	r := &c.reports
	r.mu.Lock()
	waiting := r.waiting
	r.waiting, r.n = nil, 0
	r.mu.Unlock()
	for u, parts := range waiting {
		for chunk := range slices.Chunk(parts, reportParts) {
			ctx, cancel := context.WithTimeout(context.Background(), reportTimeout)
			_ = c.api(ctx, "landed", struct {
				Bucket   string   `json:"bucket"`
				Key      string   `json:"key"`
				UploadID string   `json:"upload_id"`
				Parts    []Landed `json:"parts"`
			}{u.Bucket, u.Key, u.ID, chunk}, new(struct{})) // a courtesy
			cancel()
		}
	}
}
