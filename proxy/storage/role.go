package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"partway/auth/sigv4"
)

// Role is what the put identity assumes for each prefix of each tenant, so that no signed URL is backed by credentials that could write
// for another. Source: AssumeRole in the AWS STS API Reference; MinIO answers it at the endpoint of its storage.
type Role struct {
	ARN        string // "arn:PARTITION:iam::ACCOUNT:role/NAME"
	Endpoint   string // of the STS; "": AWS's own for storage at AWS, else the storage's
	ExternalID string // "": none
}

// Grantee is whom a URL is made for, and the prefix of keys, whole or ending in "/", that their token allows.
type Grantee struct{ Tenant, Prefix string }

// holding is what one lease is for.
type holding struct{ bucket, tenant, prefix string }

// leaseLife is how long assumed credentials live: STS's default, and the most when a role assumes a role.
const leaseLife = time.Hour

// putActions are all that an upload needs, in S3's names.
var putActions = []string{"s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"}

// errPrefix: in a policy, * ? and ${} in a resource stand for other text than themselves, and servers differ in how to write them.
var errPrefix = errors.New("a session policy cannot name a bucket or prefix with *, ? or $ in it")

// sessionPolicy allows putActions below a prefix of a bucket. What it allows, the role's own policies must allow as well.
func sessionPolicy(partition string, h holding) (string, error) {
	if strings.ContainsAny(h.bucket+h.prefix, "*?$") {
		return "", errPrefix
	}
	type statement struct{ Effect, Action, Resource any }
	policy, err := json.Marshal(struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{{"Allow", putActions, "arn:" + partition + ":s3:::" + h.bucket + "/" + h.prefix + "*"}}})
	return string(policy), err
}

// sessionName is what STS and its audit trail call the session: the tenant, as far as the rules for such names allow.
func sessionName(tenant string) string {
	name := []byte("partway-" + tenant)
	for i, c := range name {
		allowed := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_+=,.@-", c) >= 0
		if !allowed {
			name[i] = '-'
		}
	}
	return string(name[:min(len(name), 64)])
}

// assumer asks STS for credentials.
type assumer struct {
	role      Role
	region    string
	partition string
	sdk       *sts.Client
	transport *http.Transport
}

func (b *Backend) newAssumer() (*assumer, error) {
	role := *b.config.PutRole
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
	arn := strings.SplitN(role.ARN, ":", 6)
	if len(arn) < 6 || arn[0] != "arn" || arn[1] == "" || arn[2] != "iam" {
		return nil, fmt.Errorf("role_arn %q is not arn:PARTITION:iam::ACCOUNT:role/NAME", role.ARN)
	}
	if role.Endpoint == "" {
		role.Endpoint = b.stsEndpoint()
	}
	at, err := parseEndpoint(role.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("sts_endpoint: %w", err)
	}
	tlsConfig, err := b.config.tls(at)
	if err != nil {
		return nil, err
	}
	a := &assumer{role: role, region: b.config.Region, partition: arn[1], transport: newTransport(at.address, tlsConfig)}
	// As newSDK: nothing of the machine's has a say, and nothing is sent twice.
	a.sdk = sts.New(sts.Options{
		Region:       b.config.Region,
		BaseEndpoint: aws.String(at.scheme + "://" + at.host),
		Credentials:  b.presignPut.provider(),
		HTTPClient:   sdkHTTP(a.transport),
		Retryer:      aws.NopRetryer{},
	})
	return a, nil
}

// stsEndpoint is where STS is when nobody says. https://docs.aws.amazon.com/general/latest/gr/sts.html
func (b *Backend) stsEndpoint() string {
	name := (&url.URL{Host: b.host}).Hostname()
	for _, domain := range []string{"amazonaws.com", "amazonaws.com.cn"} {
		if strings.HasSuffix(name, "."+domain) {
			return "https://sts." + b.config.Region + "." + domain
		}
	}
	return b.scheme + "://" + b.host
}

// assume returns a signer that can put below h's prefix alone, until expires.
func (a *assumer) assume(ctx context.Context, h holding) (signer *sigv4.Signer, expires time.Time, err error) {
	policy, err := sessionPolicy(a.partition, h)
	if err != nil {
		return nil, time.Time{}, err
	}
	in := &sts.AssumeRoleInput{
		RoleArn:         &a.role.ARN,
		RoleSessionName: aws.String(sessionName(h.tenant)),
		Policy:          &policy,
		DurationSeconds: aws.Int32(int32(leaseLife / time.Second)),
	}
	if a.role.ExternalID != "" {
		in.ExternalId = &a.role.ExternalID
	}
	out, err := a.sdk.AssumeRole(ctx, in)
	if err != nil {
		return nil, time.Time{}, err
	}
	c := out.Credentials
	// Without a token they would be credentials that no session policy narrows.
	if c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" || aws.ToString(c.SessionToken) == "" || c.Expiration == nil {
		return nil, time.Time{}, errors.New("the answer lacks a key, a session token or an expiration")
	}
	return &sigv4.Signer{
		AccessKeyID: *c.AccessKeyId, Secret: *c.SecretAccessKey, SessionToken: *c.SessionToken, Region: a.region, Service: "s3",
	}, *c.Expiration, nil
}
