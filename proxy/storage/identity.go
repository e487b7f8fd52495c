package storage

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"partway/auth/sigv4"
)

// identity signs in one name: with the credentials of the configuration, or with those that are found where AWS's SDKs look for them (found.go),
// which end and are asked for anew before they do.
type identity struct {
	fixed *sigv4.Signer
	found *leases // nil: fixed
}

// signer returns what signs, and when it ends; zero: it does not. ErrNoIdentity, wrapped, if nothing was found before ctx ended.
func (i *identity) signer(ctx context.Context, now time.Time) (*sigv4.Signer, time.Time, error) {
	if i.found == nil {
		return i.fixed, time.Time{}, nil
	}
	return i.found.get(ctx, holding{}, now)
}

// provider is the identity in the SDK's words.
func (i *identity) provider() aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		s, ends, err := i.signer(ctx, time.Now())
		if err != nil {
			return aws.Credentials{}, err
		}
		return aws.Credentials{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.Secret, SessionToken: s.SessionToken, CanExpire: !ends.IsZero(), Expires: ends}, nil
	})
}

func (i *identity) close() {
	if i != nil && i.found != nil {
		i.found.close()
	}
}

// identity makes one. No credentials at all are those that are found; half of a pair is a mistake.
func (c *Config) identity(id *Credentials) (*identity, error) {
	if c.Region == "" {
		return nil, errors.New("region must be set")
	}
	if *id == (Credentials{}) {
		return &identity{found: newLeases("credentials", func(ctx context.Context, _ holding) (*sigv4.Signer, time.Time, error) {
			return findCredentials(ctx, c.Profile, c.Region)
		})}, nil
	}
	s, err := c.signer(id)
	return &identity{fixed: s}, err
}
