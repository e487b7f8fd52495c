// Package partway lets a client of aws-sdk-go-v2 send UploadPart and PutObject past a Partway gateway, straight to storage:
//
//	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
//		o.APIOptions = append(o.APIOptions, partway.Direct())
//	})
//
// The gateway answers such a request with 307 and a presigned URL before the body is sent; the SDK does not follow that. With Direct it
// does, once per attempt, with the client's own HTTP client, and sends storage nothing but the body and the headers that the URL has
// signed. What cannot go that way goes through the gateway: bodies that cannot be read again, and every redirect that is refused.
//
// location.go: which URLs are followed, and with which headers. checksum.go: bodies without trailers. follow.go: the redirect.
package partway

import (
	"fmt"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/middleware"
)

// Direct is for the APIOptions of an S3 client (or of an aws.Config: other services are left alone). storage names the origins that
// bodies may be sent to, like "https://s3.example.com"; without any, that is every https host but the gateway's own. Plain http is for
// those that are named. A name that is no URL is the error of every call.
//
// Storage that could not be reached is left alone for five minutes, by all clients that share the returned function.
func Direct(storage ...string) func(*middleware.Stack) error {
	d := &direct{}
	var invalid error
	for _, text := range storage {
		o, err := parseOrigin(text)
		if err != nil {
			invalid = fmt.Errorf("partway: storage: %w", err)
		}
		d.allowed = append(d.allowed, o)
	}
	return func(stack *middleware.Stack) error {
		_, presigning := stack.Finalize.Get((*v4.PresignHTTPRequestMiddleware)(nil).ID())
		if id := stack.ID(); id != "UploadPart" && id != "PutObject" || presigning || invalid != nil {
			return invalid
		}
		if checksum, ok := stack.Finalize.Get(checksumID); ok {
			if _, err := stack.Finalize.Swap(checksumID, plain{checksum}); err != nil {
				return fmt.Errorf("partway: %w", err)
			}
		}
		// Innermost, so that what follows it is the HTTP client alone.
		return stack.Deserialize.Add(d, middleware.After)
	}
}
