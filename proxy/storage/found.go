package storage

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"partway/auth/sigv4"
)

// findCredentials looks where AWS's SDKs do, in their order: environment, the shared files (of a profile, "" for AWS_PROFILE's), web identity,
// the container's endpoint, the instance's role. Each call looks anew, past the SDK's own cache: files that were changed are read, and who asks
// shortly before an end gets what comes after it. Zero: they do not end.
func findCredentials(ctx context.Context, profile, region string) (*sigv4.Signer, time.Time, error) {
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
		return nil, time.Time{}, fmt.Errorf("reading what AWS's SDKs read: %w", err)
	}
	c, err := found.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	var ends time.Time
	if c.CanExpire {
		ends = c.Expires
	}
	return &sigv4.Signer{AccessKeyID: c.AccessKeyID, Secret: c.SecretAccessKey, SessionToken: c.SessionToken, Region: region, Service: "s3"}, ends, nil
}
