package doctor

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"time"

	"partway/auth/sigv4"
	"partway/proxy/storage"
)

// answer is what storage said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a *answer) ok() bool { return a.status/100 == 2 }

// refused is a clear no. A storage that is busy or broken (5xx) has not refused anything.
func (a *answer) refused() bool { return a.status/100 == 4 }

// String is "403 AccessDenied".
func (a *answer) String() string {
	var e struct {
		Code string `xml:"Code"`
	}
	if xml.Unmarshal(a.body, &e) != nil || e.Code == "" || a.ok() {
		return fmt.Sprint(a.status)
	}
	return fmt.Sprintf("%d %s", a.status, e.Code)
}

// answerBytes is more than any answer to a test has.
const answerBytes = 1 << 20

func read(resp *http.Response) (*answer, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerBytes))
	return &answer{resp.StatusCode, resp.Header, body}, err
}

// ask sends a call with the gateway's credentials.
func (x *examination) ask(ctx context.Context, c *storage.Call, body []byte) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := x.Backend.Do(ctx, c, body)
	if err != nil {
		return nil, err
	}
	return read(resp)
}

// doAs is DoAsPut or DoAsGet of a Backend.
type doAs func(context.Context, storage.Grantee, *storage.Call, []byte) (*http.Response, error)

// askAs sends a call signed by another identity than the gateway's own.
func (x *examination) askAs(ctx context.Context, do doAs, c *storage.Call) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	resp, err := do(ctx, x.own.attacker(), c, nil)
	if err != nil {
		return nil, err
	}
	return read(resp)
}

// follow presigns c for the attacker, as a redirect would, and sends it as they please: with headers that nobody signed, and change to the
// whole request.
func (x *examination) follow(ctx context.Context, c *storage.Call, body []byte, unsigned []sigv4.Header, change func(*http.Request)) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	url, _, err := x.Backend.Presigned(ctx, c, x.own.attacker(), time.Minute, time.Now())
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, c.Method, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("the storage's URL: %w", err)
	}
	for _, h := range append(unsigned, c.Headers...) {
		r.Header.Set(h.Name, h.Value)
	}
	if change != nil {
		change(r)
	}
	// RoundTrip, because http.Client puts the URL, and so the signature, into its errors.
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return read(resp)
}
