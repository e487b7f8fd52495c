package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"partway/tracking"
)

// message is the body. Nothing in it opens anything: no secret, no signature, no URL.
type message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"` // when the state was reached
	Data      data      `json:"data"`
}

type data struct {
	UploadID   string         `json:"upload_id"`
	Tenant     string         `json:"tenant"`
	Bucket     string         `json:"bucket"`
	Key        string         `json:"key"`
	State      tracking.State `json:"state"`
	Bytes      int64          `json:"bytes,omitempty"`
	Parts      int            `json:"parts,omitempty"`
	ETag       string         `json:"etag,omitempty"`
	ResultCode string         `json:"result_code,omitempty"`
	CreatedAt  time.Time      `json:"created_at"`
}

// post tells one receiver. nil means that it answered 2xx.
func (n *Notifier) post(ctx context.Context, to *receiver, u *tracking.Upload) error {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	body, err := json.Marshal(message{u.Notice.Event, u.Notice.Since, data{u.ID, u.Tenant, u.Bucket, u.Key, u.State, u.Bytes, u.Parts, u.ETag, u.ResultCode, u.CreatedAt}})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		return withoutURL(err)
	}
	at := strconv.FormatInt(n.now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "partway")
	request.Header.Set("webhook-id", u.Notice.ID)
	request.Header.Set("webhook-timestamp", at)
	request.Header.Set("webhook-signature", "v1,"+sign(to.key, u.Notice.ID, at, body))
	answer, err := n.client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 4<<10) // so that the connection can be used again; what it says is of no interest
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %d", answer.StatusCode)
	}
	return nil
}

func sign(key []byte, id, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(h, "%s.%s.%s", id, timestamp, body) // a hash takes everything
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// withoutURL is err for the log: a receiver's URL may hold a secret.
func withoutURL(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}
