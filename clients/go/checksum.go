package partway

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// checksumID is the SDK's middleware that chooses between a checksum in a header and one in a trailer.
const checksumID = "AWSChecksum:ComputeInputPayloadChecksum"

// plain stands in that middleware's place: it sends a body that can be sent again plain, with its checksum in a header, for storage takes no
// trailers with a presigned URL.
type plain struct{ middleware.FinalizeMiddleware }

func (p plain) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	req, ok := in.Request.(*smithyhttp.Request)
	if !ok || !isS3(ctx) || !replayable(req) {
		return p.FinalizeMiddleware.HandleFinalize(ctx, in, next)
	}
	// Nor can a presigned URL bind the body's SHA-256.
	ctx = v4.SetPayloadHash(ctx, "UNSIGNED-PAYLOAD")
	// The SDK chooses by the scheme, which means nothing else to that middleware.
	scheme := req.URL.Scheme
	req.URL.Scheme = "http"
	return p.FinalizeMiddleware.HandleFinalize(ctx, in, finalizer(func(ctx context.Context, in middleware.FinalizeInput) (middleware.FinalizeOutput, middleware.Metadata, error) {
		req.URL.Scheme = scheme
		if err := ensureChecksum(req); err != nil {
			return middleware.FinalizeOutput{}, middleware.Metadata{}, fmt.Errorf("partway: checksum of the body: %w", err)
		}
		return next.HandleFinalize(ctx, in)
	}))
}

type finalizer func(context.Context, middleware.FinalizeInput) (middleware.FinalizeOutput, middleware.Metadata, error)

func (f finalizer) HandleFinalize(ctx context.Context, in middleware.FinalizeInput) (middleware.FinalizeOutput, middleware.Metadata, error) {
	return f(ctx, in)
}

// ensureChecksum gives a body without a checksum a Content-MD5, in place of the SHA-256 that would have been signed.
func ensureChecksum(req *smithyhttp.Request) error {
	for name := range req.Header {
		if name == "Content-Md5" || strings.HasPrefix(name, "X-Amz-Checksum-") {
			return nil
		}
	}
	sum := md5.New()
	if _, err := io.Copy(sum, req.GetStream()); err != nil {
		return err
	}
	req.Header.Set("Content-Md5", base64.StdEncoding.EncodeToString(sum.Sum(nil)))
	return req.RewindStream()
}

func isS3(ctx context.Context) bool { return awsmiddleware.GetServiceID(ctx) == "S3" }

// replayable reports that the body can be sent again from where it began. An empty one gains nothing by another road.
func replayable(req *smithyhttp.Request) bool {
	if req.GetStream() == nil || !req.IsStreamSeekable() || req.Header.Get("X-Amz-Trailer") != "" {
		return false
	}
	n, ok, err := req.StreamLength()
	return ok && err == nil && n > 0
}
