package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"

	"partway/auth/sigv4"
)

// lookUp looks where AWS's SDKs do, in their order: environment, the shared files (of a profile, "" for AWS_PROFILE's), web identity,
// the container's endpoint, the instance's role. Each call looks anew, past the SDK's own cache: files that were changed are read, and who asks
// shortly before an end gets what comes after it.
func lookUp(ctx context.Context, profile, region string) (aws.Credentials, error) {
	options := []func(*config.LoadOptions) error{
		config.WithRegion(region),
		// The SDK would say that a container's and an instance's end five minutes early, which is when an instance's successors are sure to be there.
		config.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow, o.ExpiryWindowJitterFrac = 0, 0 }),
	}
	if profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	found, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Credentials{}, fmt.Errorf("reading what AWS's SDKs read: %w", err)
	}
	c, err := found.Credentials.Retrieve(ctx)
	if p := (*processcreds.ProviderError)(nil); errors.As(err, &p) {
		err = fmt.Errorf("credential_process: %w", innermost(p)) // p quotes what was said where it is no good, and it holds credentials all the same
	}
	return c, err
}

func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// findCredentials is what lookUp found, to sign with. Zero: they do not end.
func findCredentials(ctx context.Context, profile, region string) (*sigv4.Signer, time.Time, error) {
	c, err := lookUp(ctx, profile, region)
	if err != nil {
		return nil, time.Time{}, err
	}
	var ends time.Time
	if c.CanExpire {
		ends = c.Expires
	}
	return &sigv4.Signer{AccessKeyID: c.AccessKeyID, Secret: c.SecretAccessKey, SessionToken: c.SessionToken, Region: region, Service: "s3"}, ends, nil
}

// Found is where credentials were found.
type Found struct {
	Where string    // in words, for people; nothing of the credentials themselves
	Ends  time.Time // zero: they do not
}

// FoundCredentials looks for the backend's credentials, anew. nil: the configuration has them. Its errors wrap ErrNoIdentity.
func (b *Backend) FoundCredentials(ctx context.Context) (*Found, error) {
	if b.sign.found == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, ownTimeout)
	defer cancel()
	c, err := lookUp(ctx, b.config.Profile, b.config.Region)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoIdentity, err)
	}
	found := &Found{Where: whereFrom(c.Source, b.config.Profile)}
	if c.CanExpire {
		found.Ends = c.Expires
	}
	return found, nil
}

// whereFrom says in words what the SDK names by its types.
func whereFrom(source, profile string) string {
	if profile == "" {
		profile = os.Getenv("AWS_PROFILE")
	}
	if profile == "" {
		profile = "default"
	}
	if _, file, ok := strings.Cut(source, "SharedConfigCredentials: "); ok {
		return "profile " + profile + " of " + file
	}
	switch source {
	case config.CredentialsSourceName:
		return "the environment: AWS_ACCESS_KEY_ID"
	case stscreds.WebIdentityProviderName:
		return "web identity: a role, for a token in a file"
	case stscreds.ProviderName:
		return "a role that profile " + profile + " assumes"
	case endpointcreds.ProviderName:
		return "the container's endpoint"
	case ec2rolecreds.ProviderName:
		return "the instance's role"
	case processcreds.ProviderName:
		return "the credential_process of profile " + profile
	case ssocreds.ProviderName:
		return "single sign-on, by profile " + profile
	}
	return source
}
