package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// ForeignIssuer is an OpenID Connect provider whose tokens roles let in.
type ForeignIssuer struct {
	Issuer     string   // its iss claim, to the letter; https
	Audiences  []string // one of them must stand in aud
	JWKSURL    string   // of its keys; "": the jwks_uri of Issuer + "/.well-known/openid-configuration"
	Algorithms []string // what its keys may sign with, the first that fits for keys that name none; none: all of RS, PS, ES, EdDSA
}

// Check says what is wrong with the configuration of one issuer.
func (i *ForeignIssuer) Check() error {
	if err := checkForeignURL(i.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if i.JWKSURL != "" {
		if err := checkForeignURL(i.JWKSURL); err != nil {
			return fmt.Errorf("jwks_url: %w", err)
		}
	}
	// Without one, a token that the provider made for any other service would do here.
	if len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
		return errors.New("audiences: name at least one")
	}
	for _, algorithm := range i.Algorithms {
		if !slices.Contains(foreignAlgorithms, algorithm) {
			return fmt.Errorf("algorithms: %q is not one of %s", algorithm, strings.Join(foreignAlgorithms, ", "))
		}
	}
	return nil
}

func (i *ForeignIssuer) algorithms() []string {
	if len(i.Algorithms) == 0 {
		return foreignAlgorithms
	}
	return i.Algorithms
}

// ForeignConfig is what NewForeign needs.
type ForeignConfig struct {
	Issuers   []ForeignIssuer
	Roles     []Role            // in this order a bearer finds its role
	Transport http.RoundTripper // to the issuers; nil: net/http's, by the environment's proxy
	Now       func() time.Time  // of fetching; nil: time.Now
	Log       *slog.Logger      // nil: slog.Default
}

// Foreign lets in whom other issuers vouch for, by roles. Safe for concurrent use.
type Foreign struct {
	keySets map[string]*keySet // by issuer
	roles   []Role
}

// NewForeign checks the configuration. Nothing is fetched before Watch or the first token.
func NewForeign(c ForeignConfig) (*Foreign, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	f := &Foreign{keySets: make(map[string]*keySet, len(c.Issuers)), roles: c.Roles}
	client := newKeySetClient(c.Transport)
	for _, i := range c.Issuers {
		if err := i.Check(); err != nil {
			return nil, fmt.Errorf("foreign issuer %q: %w", i.Issuer, err)
		}
		if f.keySets[i.Issuer] != nil {
			return nil, fmt.Errorf("foreign issuer %q is listed twice", i.Issuer)
		}
		f.keySets[i.Issuer] = &keySet{issuer: i, client: client, now: c.Now, log: c.Log}
	}
	names := map[string]bool{}
	for i := range c.Roles {
		r := &c.Roles[i]
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("role %q: %w", r.Name, err)
		}
		if f.keySets[r.Issuer] == nil {
			return nil, fmt.Errorf("role %q: its issuer %q is not a foreign issuer that is listed", r.Name, r.Issuer)
		}
		if names[r.Name] {
			return nil, fmt.Errorf("role %q is listed twice", r.Name)
		}
		names[r.Name] = true
	}
	return f, nil
}

// Watch reads the keys of all issuers now and again, until ctx ends. The caller owns the goroutine that it runs on.
func (f *Foreign) Watch(ctx context.Context) {
	tick := time.NewTicker(fetchEvery)
	defer tick.Stop()
	for {
		// At once: an issuer that hangs must not keep the others waiting.
		var all sync.WaitGroup
		for _, s := range f.keySets {
			all.Go(func() { _ = s.refresh(s.interval()) }) // logged there
		}
		all.Wait()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// bearer proves a foreign token and finds its role: the first of its issuer's whose conditions its claims meet. What an
// issuer made for longer than the role's longest life is good for that life since it was issued.
func (f *Foreign) bearer(text string, now time.Time) (*Identity, error) {
	t, err := f.verify(text, now)
	if err != nil {
		return nil, err
	}
	for i := range f.roles {
		r := &f.roles[i]
		if r.admits(t) != nil {
			continue
		}
		id, err := r.identity(t)
		if err != nil {
			return nil, err
		}
		if end := t.issuedAt.Add(r.maxTTL()); end.Before(id.ExpiresAt) {
			id.ExpiresAt = end
		}
		if err := notExpired(id.ExpiresAt, now); err != nil {
			return nil, err
		}
		return id, nil
	}
	return nil, fmt.Errorf("%w: it is genuine, but its claims meet the conditions of no role", ErrToken)
}

// role finds a role by name.
func (f *Foreign) role(name string) *Role {
	for i := range f.roles {
		if f.roles[i].Name == name {
			return &f.roles[i]
		}
	}
	return nil
}
