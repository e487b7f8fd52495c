package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Upload is an upload record as the JSON API shows it.
type Upload struct {
	ID        string    `json:"id"`
	Tenant    string    `json:"tenant"`
	Bucket    string    `json:"bucket"`
	Key       string    `json:"key"`
	Backend   string    `json:"backend"`
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	Bytes     int64     `json:"bytes"`
	Parts     int       `json:"parts"`
	ETag      string    `json:"etag"`
}

// Event is a line of the audit as the JSON API shows it.
type Event struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Tenant     string    `json:"tenant"`
	Subject    string    `json:"subject"`
	TokenID    string    `json:"token_id"`
	RequestID  string    `json:"request_id"`
	Operation  string    `json:"operation"`
	Bucket     string    `json:"bucket"`
	Key        string    `json:"key"`
	Keys       []string  `json:"keys"` // that DeleteObjects took away
	UploadID   string    `json:"upload_id"`
	PartNumber int       `json:"part_number"`
	Bytes      int64     `json:"bytes"`
	Parts      int       `json:"parts"`
	ETag       string    `json:"etag"`
	Road       string    `json:"road"`
	Reason     string    `json:"reason"`
	Outcome    string    `json:"outcome"`
	Status     int       `json:"status"`
	Client     string    `json:"client_address"`
	Count      int64     `json:"count"`
	Writer     string    `json:"writer"` // the gateway process
}

func (e Event) String() string {
	return fmt.Sprintf("%s %s %s/%s %s %s;%s %d", e.RequestID, e.Operation, e.Bucket, e.Key, e.Outcome, e.Road, e.Reason, e.Status)
}

// Scope is a grant of a token.
type Scope struct {
	Bucket         string            `json:"bucket"`
	Prefix         string            `json:"prefix"`
	Actions        []string          `json:"actions"`
	MaxObjectBytes int64             `json:"max_object_bytes,omitempty"`
	MaxPartBytes   int64             `json:"max_part_bytes,omitempty"`
	MaxTenantBytes int64             `json:"max_tenant_bytes,omitempty"`
	MaxOpenUploads int               `json:"max_open_uploads,omitempty"`
	Transfer       []string          `json:"transfer,omitempty"`
	Resume         bool              `json:"resume,omitempty"`
	NoOverwrite    bool              `json:"no_overwrite,omitempty"`
	ForceHeaders   map[string]string `json:"force_headers,omitempty"`
}

// Token is what POST /_partway/tokens answers.
type Token struct {
	Keys
	ID     string `json:"id"`
	Bearer string `json:"bearer"`
}

// Issue makes a token for a tenant, as the operator.
func (g *Gateway) Issue(ctx context.Context, tenant, class string, ttl time.Duration, scope ...Scope) (Token, error) {
	var t Token
	err := g.call(ctx, http.MethodPost, "/_partway/tokens", map[string]any{
		"tenant": tenant, "class": class, "ttl_seconds": int(ttl.Seconds()), "scope": scope,
	}, &t)
	return t, err
}

// Revoke ends a token.
func (g *Gateway) Revoke(ctx context.Context, id string) error {
	return g.call(ctx, http.MethodPost, "/_partway/tokens/"+url.PathEscape(id)+"/revoke", nil, nil)
}

// Events of a tenant, oldest first, all pages.
func (g *Gateway) Events(ctx context.Context, tenant string) ([]Event, error) {
	return pages[Event](ctx, g, "/_partway/events", url.Values{"tenant": {tenant}})
}

// EventsSince is Events from a time on, rounded down to a second. It reads them by the minute: what stands in MongoDB's place finds and sorts all
// that is asked for anew for each page.
func (g *Gateway) EventsSince(ctx context.Context, tenant string, since time.Time) ([]Event, error) {
	var all []Event
	for from, now := since.Truncate(time.Second), time.Now(); ; {
		until := from.Add(time.Minute)
		q := url.Values{"tenant": {tenant}, "since": {from.UTC().Format(time.RFC3339Nano)}}
		if until.Before(now) {
			q.Set("until", until.UTC().Format(time.RFC3339Nano))
		}
		some, err := pages[Event](ctx, g, "/_partway/events", q)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); !until.Before(now) {
			return all, nil
		}
		from = until
	}
}

// Uploads of a tenant, or of all (""), in these states, or in any; newest first, all pages.
func (g *Gateway) Uploads(ctx context.Context, tenant string, states ...string) ([]Upload, error) {
	q := url.Values{"tenant": {tenant}}
	if len(states) > 0 {
		q.Set("state", strings.Join(states, ","))
	}
	return pages[Upload](ctx, g, "/_partway/uploads", q)
}

// Spent is what a tenant uploaded in the current period.
func (g *Gateway) Spent(ctx context.Context, tenant string) (int64, error) {
	var usage struct {
		Bytes int64 `json:"bytes"`
	}
	err := g.call(ctx, http.MethodGet, "/_partway/usage?tenant="+url.QueryEscape(tenant), nil, &usage)
	return usage.Bytes, err
}

// Metric is the sum of a metric over its labels, as the operator sees it; 0 if it is not there.
func (g *Gateway) Metric(ctx context.Context, name string) (sum float64, err error) {
	var text []byte
	if err := g.call(ctx, http.MethodGet, "/_partway/metrics", nil, &text); err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		labelled, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if series, _, _ := strings.Cut(labelled, "{"); series == name {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, fmt.Errorf("metric %s: %w", name, err)
			}
			sum += n
		}
	}
	return sum, nil
}

// Drained waits until no event waits to be written and none is in the spool.
func (g *Gateway) Drained(ctx context.Context) error {
	var failed error
	err := Await(ctx, "the audit's drain", g.Process, func() bool {
		queued, err1 := g.Metric(ctx, "partway_audit_queue")
		spooled, err2 := g.Metric(ctx, "partway_audit_spooled_batches")
		failed = errors.Join(err1, err2)
		return failed == nil && queued+spooled == 0
	})
	if err != nil {
		err = errors.Join(err, failed)
	}
	return err
}

func pages[T any](ctx context.Context, g *Gateway, path string, q url.Values) ([]T, error) {
	q.Set("limit", "1000")
	var all []T
	for {
		var page struct {
			Items      []T    `json:"items"`
			NextCursor string `json:"next_cursor"`
		}
		if err := g.call(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.NextCursor == "" {
			return all, nil
		}
		q.Set("cursor", page.NextCursor)
	}
}

// call makes one request as the operator and reads its JSON answer into out.
func (g *Gateway) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, g.Endpoint+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+g.Operator)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := g.client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*out = b
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s %s: %w in %s", method, path, err, b)
	}
	return nil
}
