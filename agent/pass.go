package agent

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// maxControl is the largest body of a call that is kept, so that it can be sent again to a gateway that was away. The list of 10,000 parts has 2 MiB.
const maxControl = 4 << 20

// hop are the headers of one connection (RFC 9110, section 7.6.1), and what proves the child.
var hop = map[string]bool{
	"Authorization": true, "Connection": true, "Expect": true, "Keep-Alive": true, "Proxy-Authorization": true, "Proxy-Connection": true, "Te": true,
	"Trailer": true, "Transfer-Encoding": true, "Upgrade": true, "X-Amz-Date": true, "X-Amz-Security-Token": true, "Content-Length": true,
}

// pass sends a request to the gateway as it came but for its proof, and headers as they are given here ("": without it). A call whose body is small
// is repeated while the gateway cannot be reached.
func (s *Server) pass(w http.ResponseWriter, r *http.Request, body io.Reader, length int64, headers map[string]string) error {
	resp, err := s.answered(r, body, length, headers)
	if err != nil {
		return err
	}
	return s.passBack(w, r, resp)
}

// answered is the gateway's answer to a request that is passed on.
func (s *Server) answered(r *http.Request, body io.Reader, length int64, headers map[string]string) (*http.Response, error) {
	var kept []byte
	again := false
	if length <= maxControl && length >= 0 && (r.Method != http.MethodPut || headers == nil && length < 64<<10) {
		again = true
		var err error
		if kept, err = io.ReadAll(io.LimitReader(body, length+1)); err != nil || int64(len(kept)) != length {
			return nil, fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
		}
	}
	var resp *http.Response
	attempt := func() (err error) {
		content := body
		if again {
			content = bytes.NewReader(kept)
		}
		req, err := s.passed(r, content, length, headers)
		if err != nil {
			return err
		}
		if resp, err = s.client.ask(req); err == nil && again { //nolint:bodyclose // closed by passBack, which reads it
			err = s.client.expired(resp)
		}
		return err
	}
	var err error
	if again {
		harmless := r.Method != http.MethodPost || isComplete(r.URL.Query())
		err = s.client.patiently(r.Context(), attempt, func(err error) bool { return s.client.mayPass(err) && (harmless || unsent(err)) })
	} else {
		err = attempt()
	}
	return resp, err
}

// passBack gives the child the answer, each bit as it comes: a Complete that takes long keeps its client with white space.
func (s *Server) passBack(w http.ResponseWriter, r *http.Request, resp *http.Response) error {
	defer resp.Body.Close()
	for name, values := range resp.Header {
		if !hop[name] || name == "Content-Length" {
			w.Header()[wireName(name)] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	var to io.Writer = w
	if r.Method == http.MethodPost {
		to = flushing{w, http.NewResponseController(w)}
	}
	n, err := io.Copy(to, resp.Body)
	if r.Method == http.MethodGet && strings.HasPrefix(resp.Header.Get("X-Partway-Transfer"), "relay") {
		s.client.Stats.RelayedBytes.Add(n)
		s.client.Stats.RelayedBodies.Add(1)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // so that the child sees a cut body and not a short one
	}
	return nil
}

// passed is r for the gateway.
func (s *Server) passed(r *http.Request, body io.Reader, length int64, headers map[string]string) (*http.Request, error) {
	if length == 0 {
		body = http.NoBody
	}
	target := *s.client.endpoint
	req, err := http.NewRequestWithContext(r.Context(), r.Method, target.String(), body)
	if err != nil {
		return nil, errors.New("a request that cannot be passed on")
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	req.URL = &url.URL{Scheme: target.Scheme, Host: target.Host, Path: r.URL.Path, RawPath: path, RawQuery: query}
	req.ContentLength = length
	for name, values := range r.Header {
		if !hop[name] {
			req.Header[name] = values
		}
	}
	for name, value := range headers {
		req.Header.Del(name)
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "partway")
	}
	if length != 0 && r.Method == http.MethodPut {
		req.Header.Set("Expect", "100-continue")
	}
	return req, nil
}

// unsent reports whether a call that failed did nothing: the gateway refused it, or never got it.
func unsent(err error) bool {
	var op *net.OpError
	var refusal *Refusal
	return errors.As(err, &refusal) || errors.As(err, &op) && op.Op == "dial"
}

// expired is the gateway's refusal of a token that has expired and may be renewed; any other answer stays to be read.
func (c *Client) expired(resp *http.Response) error {
	if resp.StatusCode != http.StatusBadRequest || c.token.File == "" {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close() // read to its end, or of no use
	if refusal := storageRefusal(resp.StatusCode, text); err == nil && refusal.Code == "ExpiredToken" {
		return refusal
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return nil
}

// isComplete: sent again, the same Complete gets the same answer.
func isComplete(q url.Values) bool { return q.Has("uploadId") }

type flushing struct {
	io.Writer
	control *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}
