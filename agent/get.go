package agent

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// conditions are the headers of a GET that go along unsigned.
var conditions = []string{"Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range"}

// get fetches an object from storage where that has an identity for downloads, and through the gateway otherwise.
func (s *Server) get(w http.ResponseWriter, r *http.Request, o object) error {
	for name := range r.Header {
		if len(name) > 6 && name[:6] == "X-Amz-" && !consumed[strings.ToLower(name)] && name != "X-Amz-Checksum-Mode" {
			return s.pass(w, r, r.Body, r.ContentLength, nil) // it asks for more than a signed GET may carry
		}
	}
	signed, err := s.client.sign(r.Context(), signCall{Method: http.MethodGet, Bucket: o.bucket, Key: o.key})
	if unsigned := (*Refusal)(nil); errors.As(err, &unsigned) && unsigned.reason != "" {
		if unsigned.reason == "identity" {
			s.client.noGet.Store(true)
		}
		return s.pass(w, r, r.Body, r.ContentLength, nil)
	}
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, signed[0].URL, nil)
	if err != nil {
		return errors.New("the gateway signed a request that cannot be sent")
	}
	for _, name := range conditions {
		if v := r.Header.Get(name); v != "" {
			req.Header.Set(name, v)
		}
	}
	req.Header.Set("User-Agent", "partway")
	resp, err := s.client.storage.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("storage %w: %w", errAway, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode != http.StatusNotModified {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what was readable is all there is to say
		refusal := storageRefusal(resp.StatusCode, text)
		if ofSignature[refusal.Code] || refusal.Message == expiredMessage {
			return fmt.Errorf("storage %w: %w", errAway, refusal)
		}
		return refusal
	}
	copyHeaders(w.Header(), resp.Header)
	w.Header().Set("X-Partway-Transfer", "sign")
	w.WriteHeader(resp.StatusCode)
	n, err := io.Copy(w, resp.Body)
	s.client.Stats.DirectBytes.Add(n)
	s.client.Stats.DirectBodies.Add(1)
	if err != nil {
		panic(http.ErrAbortHandler) // so that the child sees a cut body and not a short one
	}
	return nil
}
