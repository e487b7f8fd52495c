package storage

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"partway/auth/sigv4"
)

// Presigned signs c into its query with PresignPut (PUT) or PresignGet (GET), content-length of a PUT and c.Headers signed too, and
// returns the URL. The client must send exactly c.Headers (and Content-Length).
//
// Only PutObject, UploadPart and GetObject can be presigned, and never a copy: the holder of a URL chooses what it is used with.
func (b *Backend) Presigned(c *Call, ttl time.Duration, now time.Time) (url string, err error) {
	operation, err := presignable(c)
	if err != nil {
		return "", fmt.Errorf("presign %s: %w", c.Method, err)
	}
	host := b.hostOf(c.Bucket)
	headers := make([]sigv4.Header, 0, len(c.Headers)+2)
	headers = append(headers, sigv4.Header{Name: "host", Value: host})
	headers = append(headers, c.Headers...)
	signer := b.presignPut
	if c.Method == http.MethodGet {
		if signer = b.presignGet; signer == nil {
			return "", fmt.Errorf("presign GET: storage %q has no presign_get", b.config.Name)
		}
	} else if c.ContentLength >= 0 {
		headers = append(headers, sigv4.Header{Name: "content-length", Value: strconv.FormatInt(c.ContentLength, 10)})
	}
	// x-id is what the SDKs add to say which operation a URL is for; storage ignores it.
	query := "x-id=" + operation
	if q := c.query(); q != "" {
		query = q + "&" + query
	}
	path := b.path(c)
	return b.scheme + "://" + host + path + "?" + signer.Presign(&sigv4.Request{
		Method: c.Method, Path: path, Query: query, Headers: headers, Payload: sigv4.UnsignedPayload,
	}, ttl, now), nil
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
