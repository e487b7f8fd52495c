package main

import (
	"context"
	"fmt"
	"sync"

	"partway/auth"
	"partway/cmd/partway/config"
	"partway/tracking"
)

// authority is what the gateway's own keys make.
type authority struct {
	keys       *config.Keys
	issuer     *auth.Issuer
	sealer     *auth.Sealer
	jwks       []byte
	chainKeys  map[int][]byte // of the audit trail, by the version of the master key
	keyVersion int            // of the active one
}

func newAuthority(c *config.Config) (*authority, error) {
	keys, err := c.Keys()
	if err != nil {
		return nil, err
	}
	a := &authority{keys: keys}
	a.issuer, err = auth.NewIssuer(auth.IssuerConfig{Issuer: c.Auth.Issuer, Audience: c.Auth.Audience, SigningKeys: keys.Signing, MasterKeys: keys.Master})
	if err != nil {
		return nil, err
	}
	if a.sealer, err = auth.NewSealer(keys.Master); err != nil {
		return nil, err
	}
	if a.jwks, err = auth.JWKS(keys.Signing); err != nil {
		return nil, fmt.Errorf("publishing the signing keys: %w", err)
	}
	a.chainKeys, a.keyVersion = chainKeys(keys.Master)
	return a, nil
}

// chainKeys derives the keys of the audit trail, and tells which one is active.
func chainKeys(master []auth.MasterKey) (keys map[int][]byte, active int) {
	keys = map[int][]byte{}
	for _, m := range master {
		chain := auth.ChainKey(m)
		keys[m.Version] = chain[:]
		if m.Active {
			active = m.Version
		}
	}
	return keys, active
}

// newVerifier returns a verifier that has read the revocations and goes on reading them, and the keys of foreign issuers, until
// the server is closed.
func (s *server) newVerifier() (*auth.Verifier, error) {
	foreign, err := auth.NewForeign(auth.ForeignConfig{Issuers: s.config.Auth.ForeignIssuers(), Roles: s.config.Auth.ForeignRoles(), Log: s.log})
	if err != nil {
		return nil, err
	}
	verifier, err := auth.NewVerifier(auth.VerifierConfig{
		Issuer: s.config.Auth.Issuer, Audience: s.config.Auth.Audience, Region: s.config.Server.Region,
		SigningKeys: s.authority.keys.Signing, MasterKeys: s.authority.keys.Master,
		Revocations: revocationsOf(s.store), Foreign: foreign, Log: s.log, Now: now,
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := verifier.Refresh(ctx); err != nil {
		cancel()
		return nil, err
	}
	var watching sync.WaitGroup
	watching.Go(func() { verifier.Watch(ctx) })
	watching.Go(func() { foreign.Watch(ctx) })
	s.closers.add(func() error {
		cancel()
		watching.Wait()
		return nil
	})
	return verifier, nil
}

// revocationsOf puts the store's revocations into auth's words: neither package knows the other.
func revocationsOf(store tracking.Tokens) auth.RevocationSource {
	return func(ctx context.Context) ([]auth.Revocation, error) {
		recorded, err := store.Revocations(ctx)
		if err != nil {
			return nil, err
		}
		list := make([]auth.Revocation, len(recorded))
		for i, r := range recorded {
			list[i] = auth.Revocation{TokenID: r.TokenID, KID: r.KID, Tenant: r.Tenant, Freeze: r.Freeze, At: r.At}
		}
		return list, nil
	}
}
