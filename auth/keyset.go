package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	fetchTimeout  = 3 * time.Second  // of one refresh: discovery and keys together
	maxKeySet     = 256 << 10        // bytes of either document
	fetchEvery    = 30 * time.Second // the least time between two refreshes, whatever asks for them
	refreshEvery  = 5 * time.Minute  // in the background, so that a key that was withdrawn ends
	maxKeySetAge  = 24 * time.Hour   // how long keys hold that can no longer be read
	discoveryPath = "/.well-known/openid-configuration"
)

// keySet is the public keys of one foreign issuer, as they were read last. They come from the configured address alone:
// what a token says about keys beside their kid (jku, x5u, jwk, x5c: RFC 7515 section 4.1) is never looked at.
type keySet struct {
	issuer ForeignIssuer
	client *http.Client
	now    func() time.Time
	log    *slog.Logger
	flight singleflight.Group

	mu    sync.Mutex
	keys  map[string]foreignKey // never changed after it is set
	read  time.Time             // when keys were asked for
	tried time.Time             // when anything was asked for
}

// key returns the key that a kid names. One that is unknown may be new: the set is then read again, once for all that
// wait, unless that was tried within fetchEvery. ErrIssuerUnreachable if there are no keys to look in.
func (s *keySet) key(kid string) (foreignKey, error) {
	if k, known := s.lookup(kid); known {
		return k, nil
	}
	err := s.refresh(fetchEvery)
	k, known := s.lookup(kid)
	switch {
	case known:
		return k, nil
	case err != nil:
		return foreignKey{}, err
	case !s.usable():
		return foreignKey{}, fmt.Errorf("%w: the keys of %s could not be read", ErrIssuerUnreachable, s.issuer.Issuer)
	}
	return foreignKey{}, fmt.Errorf("%w: its signing key is not among those of %s", ErrToken, s.issuer.Issuer)
}

func (s *keySet) lookup(kid string) (foreignKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, known := s.keys[kid]
	return k, known && s.fresh()
}

func (s *keySet) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys != nil && s.fresh()
}

// fresh wants mu.
func (s *keySet) fresh() bool { return s.now().Sub(s.read) <= maxKeySetAge }

// refresh reads the keys, unless it was tried less than every ago. Those who ask while it is under way wait for it. On an
// error the keys that were read before stay.
func (s *keySet) refresh(every time.Duration) error {
	_, err, _ := s.flight.Do("", func() (any, error) {
		began, due := s.begin(every)
		if !due {
			return nil, nil
		}
		// Not any one request's context: others wait for the same answer, and the next ask is half a minute away.
		ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
		defer cancel()
		keys, err := s.fetch(ctx)
		if err != nil {
			s.log.Warn("the keys of a foreign issuer could not be read; those read before still hold",
				"issuer", s.issuer.Issuer, "error", err, "max_age", maxKeySetAge)
			return nil, fmt.Errorf("%w: the keys of %s could not be read", ErrIssuerUnreachable, s.issuer.Issuer)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.keys, s.read = keys, began
		return nil, nil
	})
	return err
}

func (s *keySet) begin(every time.Duration) (at time.Time, due bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at = s.now()
	if !s.tried.IsZero() && at.Sub(s.tried) < every {
		return at, false
	}
	s.tried = at
	return at, true
}

func (s *keySet) fetch(ctx context.Context) (map[string]foreignKey, error) {
	from := s.issuer.JWKSURL
	if from == "" {
		var err error
		if from, err = s.discover(ctx); err != nil {
			return nil, err
		}
	}
	document, err := s.get(ctx, from)
	if err != nil {
		return nil, err
	}
	return parseJWKS(document, s.issuer.algorithms())
}

// discover asks the issuer where its keys are: OpenID Connect Discovery 1.0, section 4. Its section 4.3 wants the
// document's issuer to be the one that was asked, or one issuer could speak for another.
func (s *keySet) discover(ctx context.Context) (string, error) {
	document, err := s.get(ctx, strings.TrimSuffix(s.issuer.Issuer, "/")+discoveryPath)
	if err != nil {
		return "", err
	}
	var provider struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(document, &provider); err != nil {
		return "", fmt.Errorf("parse discovery document: %w", err)
	}
	if provider.Issuer != s.issuer.Issuer {
		return "", fmt.Errorf("the discovery document is of issuer %q", provider.Issuer)
	}
	if err := checkForeignURL(provider.JWKSURI); err != nil {
		return "", fmt.Errorf("jwks_uri of the discovery document: %w", err)
	}
	return provider.JWKSURI, nil
}

func (s *keySet) get(ctx context.Context, from string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", from, err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err // names method and URL
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", from, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", from, err)
	}
	if len(body) > maxKeySet {
		return nil, fmt.Errorf("get %s: more than %d bytes", from, maxKeySet)
	}
	return body, nil
}

// newKeySetClient keeps no connection, of which one is needed every few minutes, and follows nothing: keys are fetched
// from where the configuration says, or not at all.
func newKeySetClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.DisableKeepAlives = true
		transport = own
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it redirects, which is not followed: configure the address that it redirects to")
	}}
}

// checkForeignURL wants https, or http to this machine itself: whoever can change the keys on their way can sign.
func checkForeignURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%q is not https://HOST/PATH", text)
	}
	loopback := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback) {
		return fmt.Errorf("%q: only https is safe; http is allowed to localhost alone", text)
	}
	return nil
}

// interval is how long Watch waits for the next refresh: not long, if the last one failed.
func (s *keySet) interval() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil || s.read.Before(s.tried) {
		return fetchEvery
	}
	return refreshEvery
}
