package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"partway/auth/sigv4"
)

// Presigned signs c for g into its query, with the put identity (PUT) or PresignGet (GET), content-length of a PUT and c.Headers signed
// too, and returns the URL and when it ends: ttl from now, or with the credentials if those are leased and end before. The client must
// send exactly c.Headers (and Content-Length).
//
// Only PutObject, UploadPart and GetObject can be presigned, and never a copy: the holder of a URL chooses what it is used with.
// ErrNoIdentity, wrapped, if there are no credentials for g before ctx ends.
func (b *Backend) Presigned(ctx context.Context, c *Call, g Grantee, ttl time.Duration, now time.Time) (url string, until time.Time, err error) {
	operation, err := presignable(c)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("presign %s: %w", c.Method, err)
	}
	host := b.hostOf(c.Bucket)
	headers := make([]sigv4.Header, 0, len(c.Headers)+2)
	headers = append(headers, sigv4.Header{Name: "host", Value: host})
	headers = append(headers, c.Headers...)
	until = now.Add(ttl)
	sign := b.getSigner
	if c.Method == http.MethodPut {
		sign = b.putSigner
		if c.ContentLength >= 0 {
			headers = append(headers, sigv4.Header{Name: "content-length", Value: strconv.FormatInt(c.ContentLength, 10)})
		}
	}
	signer, ends, err := sign(ctx, c.Bucket, g, now)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("presign %s: %w", c.Method, err)
	}
	if !ends.IsZero() && ends.Before(until) {
		until = ends
	}
	// x-id is what the SDKs add to say which operation a URL is for; storage ignores it.
	query := "x-id=" + operation
	if q := c.query(); q != "" {
		query = q + "&" + query
	}
	path := b.path(c)
	return b.scheme + "://" + host + path + "?" + signer.Presign(&sigv4.Request{
		Method: c.Method, Path: path, Query: query, Headers: headers, Payload: sigv4.UnsignedPayload,
	}, until.Sub(now), now), until, nil
}

// putSigner returns what signs g's uploads to bucket, and when it ends if it does.
func (b *Backend) putSigner(ctx context.Context, bucket string, g Grantee, now time.Time) (*sigv4.Signer, time.Time, error) {
	if b.leases == nil {
		return b.presignPut.signer(ctx, now)
	}
	return b.leases.get(ctx, holding{bucket, g.Tenant, g.Prefix}, now)
}

// getSigner returns what signs downloads, the same for everybody.
func (b *Backend) getSigner(ctx context.Context, _ string, _ Grantee, now time.Time) (*sigv4.Signer, time.Time, error) {
	if b.presignGet == nil {
		return nil, time.Time{}, fmt.Errorf("%w: storage %q has no presign_get", ErrNoIdentity, b.config.Name)
	}
	return b.presignGet.signer(ctx, now)
}

// presignable returns the operation that c is, or why it must not be presigned.
func presignable(c *Call) (operation string, err error) {
	if c.Bucket == "" || c.Key == "" {
		return "", errors.New("no bucket or no key")
	}
	for _, h := range c.Headers {
		// With it, storage reads another object in place of the body.
		if strings.HasPrefix(strings.ToLower(h.Name), "x-amz-copy-source") {
			return "", fmt.Errorf("header %s cannot be in a presigned request", h.Name)
		}
	}
	switch c.Method {
	case http.MethodGet:
		return "GetObject", onlyParams(c, func(name string) bool {
			return name == "versionId" || name == "partNumber" || strings.HasPrefix(name, "response-")
		})
	case http.MethodPut:
		if len(c.Query) == 0 {
			return "PutObject", nil
		}
		if len(c.Query) != 2 {
			return "", errors.New("an UploadPart has partNumber and uploadId")
		}
		return "UploadPart", onlyParams(c, func(name string) bool { return name == "partNumber" || name == "uploadId" })
	}
	return "", errors.New("only PUT and GET can be presigned")
}

// onlyParams refuses sub-resources (acl, tagging, policy, ...), each of which makes the request another operation.
func onlyParams(c *Call, allowed func(name string) bool) error {
	for _, p := range c.Query {
		if !allowed(p.Name) {
			return fmt.Errorf("query parameter %q cannot be in a presigned %s", p.Name, c.Method)
		}
	}
	return nil
}
