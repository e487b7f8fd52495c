package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"partway/agent"
)

// answerTimeout bounds one call of the JSON API, whose pages are small.
const answerTimeout = 30 * time.Second

// client speaks the JSON API of a running gateway.
type client struct {
	endpoint string // without a slash at its end
	bearer   string
	http     *http.Client
}

// clientFlags are the flags of every command that is a client.
type clientFlags struct{ endpoint, token, tokenFile, ca string }

func (f *clientFlags) add(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.endpoint, "endpoint", "", "URL of the gateway [$PARTWAY_ENDPOINT]")
	flags.StringVar(&f.token, "token", "", "bearer token [$PARTWAY_TOKEN]")
	flags.StringVar(&f.tokenFile, "token-file", "", "file with the bearer token [$PARTWAY_TOKEN_FILE]")
	flags.StringVar(&f.ca, "ca", "", "PEM file of the authorities that vouch for the gateway [$PARTWAY_CA; the system's]")
}

// endpointURL returns the gateway's URL, or "" if neither flag nor environment has one.
func (f *clientFlags) endpointURL() (string, error) {
	endpoint := strings.TrimRight(cmp.Or(f.endpoint, os.Getenv("PARTWAY_ENDPOINT")), "/")
	if endpoint == "" {
		return "", nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Path != "" || u.RawQuery != "" {
		return "", usagef("endpoint %q is not http://HOST[:PORT] or https://HOST[:PORT]", endpoint)
	}
	return endpoint, nil
}

// bearer returns the token; a flag wins over the environment, and in each a token over a file.
func (f *clientFlags) bearer() (string, error) {
	token, file := f.token, f.tokenFile
	if token == "" && file == "" {
		token, file = os.Getenv("PARTWAY_TOKEN"), os.Getenv("PARTWAY_TOKEN_FILE")
	}
	if token != "" || file == "" {
		return token, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", usagef("reading the token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// proof returns the gateway's URL, the bearer and who vouches for the gateway (nil: the system's), all of which a client must have.
func (f *clientFlags) proof() (endpoint, bearer string, ca *x509.CertPool, err error) {
	if endpoint, err = f.endpointURL(); err != nil {
		return "", "", nil, err
	}
	if endpoint == "" {
		return "", "", nil, usagef("which gateway? Give --endpoint or PARTWAY_ENDPOINT")
	}
	if bearer, err = f.bearer(); err != nil {
		return "", "", nil, err
	}
	if bearer == "" {
		return "", "", nil, usagef("no token: give --token, --token-file, PARTWAY_TOKEN or PARTWAY_TOKEN_FILE")
	}
	if file := cmp.Or(f.ca, os.Getenv("PARTWAY_CA")); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return "", "", nil, usagef("reading the certificate authorities: %w", err)
		}
		ca = x509.NewCertPool()
		if !ca.AppendCertsFromPEM(pem) {
			return "", "", nil, usagef("%s: no PEM certificate in it", file)
		}
	}
	return endpoint, bearer, ca, nil
}

// agent is a client for bodies; it reads a token's file again whenever it needs the token.
func (f *clientFlags) agent() (c *agent.Client, endpoint string, err error) {
	endpoint, bearer, ca, err := f.proof()
	if err != nil {
		return nil, "", err
	}
	token := agent.Token{Text: bearer}
	if f.token == "" && (f.tokenFile != "" || os.Getenv("PARTWAY_TOKEN") == "") {
		token = agent.Token{File: cmp.Or(f.tokenFile, os.Getenv("PARTWAY_TOKEN_FILE"))}
	}
	c, err = agent.NewClient(agent.Config{Endpoint: endpoint, Token: token, CA: ca})
	return c, endpoint, err
}

func (f *clientFlags) client() (*client, error) {
	endpoint, bearer, ca, err := f.proof()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if ca != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: ca, MinVersion: tls.VersionTLS12}
	}
	return &client{endpoint: endpoint, bearer: bearer, http: &http.Client{
		Transport: transport,
		Timeout:   answerTimeout,
		// The API answers; whatever redirects us is not it, and must not be shown the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// call sends in (nil: no body) as JSON to /_partway/PATH and reads the answer into out (nil: drops it).
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.endpoint+"/_partway/"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.bearer)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", c.endpoint, err)
	}
	if resp.StatusCode/100 != 2 {
		return refusal(c.endpoint, resp.Status, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%s does not answer like a Partway gateway: %w", c.endpoint, err)
	}
	return nil
}

// refusal is the one line that a user sees of the gateway's error.
func refusal(endpoint, status string, text []byte) error {
	var e struct {
		Code      string `json:"code"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
	}
	if json.Unmarshal(text, &e) != nil || e.Code == "" {
		return fmt.Errorf("%s answered %s", endpoint, status)
	}
	line := e.Code + ": " + e.Message
	if e.RequestID != "" {
		line += " (request " + e.RequestID + ")"
	}
	return errors.New(line)
}

// pageSize is the most that the gateway puts into one page.
const pageSize = "1000"

// each walks all pages of a list and calls show with each page's items.
func each[T any](ctx context.Context, c *client, path string, query url.Values, show func([]T) error) error {
	query.Set("limit", pageSize)
	for {
		var page struct {
			Items      []T    `json:"items"`
			NextCursor string `json:"next_cursor"`
		}
		if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
			return err
		}
		if err := show(page.Items); err != nil {
			return err
		}
		if page.NextCursor == "" {
			return nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

// filter is a query of the parameters that are not empty, given as name, value, ...
func filter(pairs ...string) url.Values {
	query := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			query.Set(pairs[i], pairs[i+1])
		}
	}
	return query
}
