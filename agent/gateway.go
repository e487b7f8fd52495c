package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config of a Client.
type Config struct {
	Endpoint string         // of the gateway: http://HOST[:PORT] or https://HOST[:PORT]
	Token    Token          //
	CA       *x509.CertPool // who vouches for the gateway and for storage; nil: the system's
	Patience time.Duration  // how long a call waits for a gateway that is away, or for a token to be renewed [20s]
	Proxy    func(*http.Request) (*url.URL, error)
}

// Client speaks to one gateway, and to the storage that it names. Safe for concurrent use.
type Client struct {
	Stats Stats

	endpoint *url.URL
	token    Token
	patience time.Duration
	gateway  *http.Transport // shown the bearer
	storage  *http.Transport // never

	reports  reports
	wg       sync.WaitGroup // reports on their way
	noGet    atomic.Bool    // storage has no identity for downloads
	stopping context.Context
	stop     context.CancelFunc
}

// Stats are what a Client did, for the summary.
type Stats struct {
	DirectBytes, DirectBodies   atomic.Int64 // to and from storage
	RelayedBytes, RelayedBodies atomic.Int64 // of objects and parts, through the gateway
	StoredBytes, StoredBodies   atomic.Int64 // that need not travel, for storage held them
	Retries                     atomic.Int64
}

// NewClient checks the config. Close ends it.
func NewClient(c Config) (*Client, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("endpoint %q is not http://HOST[:PORT] or https://HOST[:PORT]", c.Endpoint)
	}
	if c.Patience == 0 {
		c.Patience = 20 * time.Second
	}
	if c.Proxy == nil {
		c.Proxy = http.ProxyFromEnvironment
	}
	client := &Client{endpoint: u, token: c.Token, patience: c.Patience, gateway: transport(c), storage: transport(c)}
	client.reports.changed = make(chan struct{}, 1)
	client.stopping, client.stop = context.WithCancel(context.Background())
	client.wg.Go(client.report)
	return client, nil
}

// transport is a pool of connections. A client of a transport follows no redirect: what should be followed, the gateway signs.
func transport(c Config) *http.Transport {
	t := &http.Transport{
		Proxy:                 c.Proxy,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		ResponseHeaderTimeout: 10 * time.Minute, // a Complete, or the last byte of 5 GiB
		IdleConnTimeout:       60 * time.Second,
		MaxIdleConnsPerHost:   64,
		WriteBufferSize:       256 << 10,
		ReadBufferSize:        64 << 10,
		DisableCompression:    true,
		// HTTP/1.1 only: one connection per part is what uploads want.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	if c.CA != nil {
		t.TLSClientConfig = &tls.Config{RootCAs: c.CA, MinVersion: tls.VersionTLS12}
	}
	return t
}

// Close waits until what landed was reported, or ctx ends, and closes the connections.
func (c *Client) Close(ctx context.Context) {
	c.stop()
	done := make(chan struct{})
	go func() { c.wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		c.gateway.CloseIdleConnections()
		<-done // a report under way is bounded by reportTimeout
	}
	c.gateway.CloseIdleConnections()
	c.storage.CloseIdleConnections()
}

// Refusal is an answer of the gateway or of storage that is no success, in S3's words.
type Refusal struct {
	Status        int
	Code, Message string
	reason        string // of x-partway-transfer: why it was not signed
}

func (e *Refusal) Error() string { return e.Code + ": " + e.Message }

// errAway is wrapped when the gateway or storage could not be reached, or broke off.
var errAway = errors.New("cannot be reached")

// Signed is a request that the gateway signed for storage. Exactly these headers are sent.
type Signed struct {
	PartNumber int               `json:"part_number"`
	Method     string            `json:"method"`
	URL        string            `json:"url"`
	Headers    map[string]string `json:"headers"`
	ExpiresAt  time.Time         `json:"expires_at"`
}

// Body declares one body to be signed.
type Body struct {
	PartNumber    int               `json:"part_number,omitempty"`
	ContentLength *int64            `json:"content_length,omitempty"`
	Headers       map[string]string `json:"headers,omitempty"`
}

type signCall struct {
	Method   string `json:"method,omitempty"`
	Bucket   string `json:"bucket"`
	Key      string `json:"key"`
	UploadID string `json:"upload_id,omitempty"`
	Parts    []Body `json:"parts,omitempty"`
}

// sign asks for signed requests, one for each of call.Parts.
func (c *Client) sign(ctx context.Context, call signCall) ([]Signed, error) {
	var out struct {
		Requests []Signed `json:"requests"`
	}
	if err := c.api(ctx, "sign", call, &out); err != nil {
		return nil, err
	}
	if len(out.Requests) != max(len(call.Parts), 1) {
		return nil, fmt.Errorf("the gateway signed %d requests of %d", len(out.Requests), len(call.Parts))
	}
	for _, s := range out.Requests {
		u, err := url.Parse(s.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, errors.New("the gateway signed a URL that is none")
		}
	}
	return out.Requests, nil
}

// api posts a call of the JSON API, and waits for a gateway that is away.
func (c *Client) api(ctx context.Context, path string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.patiently(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint.String()+"/_partway/"+path, bytes.NewReader(text))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := c.ask(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
		if err != nil {
			return fmt.Errorf("gateway %w: %w", errAway, err)
		}
		if resp.StatusCode/100 != 2 {
			return apiRefusal(resp, answer)
		}
		if err := json.Unmarshal(answer, out); err != nil {
			return fmt.Errorf("%s does not answer like a Partway gateway: %w", c.endpoint, err)
		}
		return nil
	}, c.mayPass)
}

func apiRefusal(resp *http.Response, answer []byte) *Refusal {
	var e struct{ Code, Message string }
	if json.Unmarshal(answer, &e) != nil || e.Code == "" { // a proxy in front of it, perhaps
		e.Code, e.Message = codeOf(resp.StatusCode), "The gateway answered "+resp.Status+"."
	}
	_, reason, _ := strings.Cut(resp.Header.Get("X-Partway-Transfer"), ";reason=")
	return &Refusal{Status: resp.StatusCode, Code: e.Code, Message: e.Message, reason: reason}
}

// ask sends a request to the gateway with the bearer. errAway, wrapped, if there is no answer.
func (c *Client) ask(req *http.Request) (*http.Response, error) {
	token, err := c.token.Get()
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.gateway.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("gateway %w: %w", errAway, err)
	}
	return resp, nil
}

// patiently repeats a call as long as its error may pass and there is time.
func (c *Client) patiently(ctx context.Context, call func() error, mayPass func(error) bool) error {
	for end, pause := time.Now().Add(c.patience), 100*time.Millisecond; ; pause = min(2*pause, 3*time.Second) {
		err := call()
		if err == nil || !mayPass(err) || time.Now().Add(pause).After(end) {
			return err
		}
		c.Stats.Retries.Add(1)
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-ctx.Done():
			return err
		}
	}
}

// mayPass: the gateway did not get the call, cannot answer now, or will not answer until the token is renewed.
func (c *Client) mayPass(err error) bool {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return refusal.Status >= 500 && refusal.Status != http.StatusNotImplemented && refusal.reason == "" ||
			refusal.Code == "ExpiredToken" && c.token.File != ""
	}
	return errors.Is(err, errAway)
}

func codeOf(status int) string {
	switch {
	case status == http.StatusForbidden:
		return "AccessDenied"
	case status == http.StatusNotFound:
		return "NoSuchKey"
	case status == http.StatusServiceUnavailable, status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return "ServiceUnavailable"
	case status >= 500 || status < 400:
		return "InternalError"
	}
	return "BadRequest"
}
