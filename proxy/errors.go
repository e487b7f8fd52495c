package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"partway/auth"
	"partway/proxy/awschunked"
	"partway/proxy/relay"
	"partway/proxy/storage"
	"partway/tracking"
)

// Error is a refusal in S3's own words. Its Message is shown to the client, its Cause only to the log.
// Source: "Error responses", Amazon S3 API Reference.
type Error struct {
	Code     string
	Status   int
	Message  string
	Elements []auth.Element // what S3 tells beside it; one without a Value is left out
	Cause    error
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Code + ": " + e.Cause.Error()
	}
	return e.Code + ": " + e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

// Is makes errors.Is compare codes, so that a refusal with a more helpful message is still the one of the table.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// saying returns a copy with a message for this one case.
func (e *Error) saying(message string) *Error {
	said := *e
	said.Message = message
	return &said
}

// with returns a copy with further elements, given as name and value alternating.
func (e *Error) with(elements ...string) *Error {
	more := *e
	for i := 0; i+1 < len(elements); i += 2 {
		more.Elements = append(slices.Clip(more.Elements), auth.Element{Name: elements[i], Value: elements[i+1]})
	}
	return &more
}

// invalidArgument is S3's refusal of one parameter or header.
func invalidArgument(name, value, message string) *Error {
	return errInvalidArgument.saying(message).with("ArgumentName", name, "ArgumentValue", value)
}

// because returns a copy with a cause for the log.
func (e *Error) because(cause error) *Error {
	caused := *e
	caused.Cause = cause
	return &caused
}

// Every refusal of the gateway's own.
var (
	errAccessDenied       = &Error{Code: "AccessDenied", Status: 403, Message: "Access Denied"}
	errBadDigest          = &Error{Code: "BadDigest", Status: 400, Message: "The checksum you specified did not match what we received."}
	errBadRequest         = &Error{Code: "BadRequest", Status: 400, Message: "An error occurred when parsing the HTTP request."}
	errClockSkew          = &Error{Code: "RequestTimeTooSkewed", Status: 403, Message: "The difference between the request time and the current time is too large."}
	errEntityTooLarge     = &Error{Code: "EntityTooLarge", Status: 400, Message: "Your proposed upload exceeds the maximum allowed size."}
	errExpiredToken       = &Error{Code: "ExpiredToken", Status: 400, Message: "The provided token has expired."}
	errHeadersNotSigned   = &Error{Code: "AccessDenied", Status: 403, Message: "There were headers present in the request which were not signed"}
	errIncompleteBody     = &Error{Code: "IncompleteBody", Status: 400, Message: "The request body terminated unexpectedly"}
	errBodyLength         = &Error{Code: "IncompleteBody", Status: 400, Message: "You did not provide the number of bytes specified by the Content-Length HTTP header"}
	errInternal           = &Error{Code: "InternalError", Status: 500, Message: "We encountered an internal error. Please try again."}
	errInvalidAccessKeyID = &Error{Code: "InvalidAccessKeyId", Status: 403, Message: "The AWS Access Key Id you provided does not exist in our records."}
	errInvalidArgument    = &Error{Code: "InvalidArgument", Status: 400, Message: "Invalid Argument"}
	errInvalidBucketName  = &Error{Code: "InvalidBucketName", Status: 400, Message: "The specified bucket is not valid."}
	errInvalidPart        = &Error{Code: "InvalidPart", Status: 400, Message: "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."}
	errInvalidChunkSize   = &Error{Code: "InvalidChunkSizeError", Status: 400, Message: "Only the last chunk is allowed to have a size less than 8192 bytes"}
	errInvalidRequest     = &Error{Code: "InvalidRequest", Status: 400, Message: "Invalid Request"}
	errInvalidToken       = &Error{Code: "InvalidToken", Status: 400, Message: "The provided token is malformed or otherwise invalid."}
	errInvalidURI         = &Error{Code: "InvalidURI", Status: 400, Message: "Couldn't parse the specified URI."}
	errKeyTooLong         = &Error{Code: "KeyTooLongError", Status: 400, Message: "Your key is too long."}
	errMalformedAuth      = &Error{Code: "AuthorizationHeaderMalformed", Status: 400, Message: "The authorization header that you provided is not valid."}
	errMalformedQueryAuth = &Error{Code: "AuthorizationQueryParametersError", Status: 400, Message: "The authorization parameters of the query are not valid."}
	errMalformedTrailer   = &Error{Code: "MalformedTrailerError", Status: 400, Message: "The request contained trailing data that was not well-formed or did not conform to our published schema."}
	errMalformedXML       = &Error{Code: "MalformedXML", Status: 400, Message: "The XML you provided was not well-formed or did not validate against our published schema."}
	errMethodNotAllowed   = &Error{Code: "MethodNotAllowed", Status: 405, Message: "The specified method is not allowed against this resource."}
	errMissingDate        = &Error{Code: "AccessDenied", Status: 403, Message: "AWS authentication requires a valid Date or x-amz-date header."}
	errMissingLength      = &Error{Code: "MissingContentLength", Status: 411, Message: "You must provide the Content-Length HTTP header."}
	errNoSuchBucket       = &Error{Code: "NoSuchBucket", Status: 404, Message: "The specified bucket does not exist."}
	errNoSuchKey          = &Error{Code: "NoSuchKey", Status: 404, Message: "The specified key does not exist."}
	errNoSuchUpload       = &Error{Code: "NoSuchUpload", Status: 404, Message: "The specified multipart upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."}
	errNotFound           = &Error{Code: "NotFound", Status: 404, Message: "There is nothing at this path."}
	errNotImplemented     = &Error{Code: "NotImplemented", Status: 501, Message: "A header or operation you provided implies functionality that is not implemented"}
	errOperationAborted   = &Error{Code: "OperationAborted", Status: 409, Message: "A conflicting conditional operation is currently in progress against this resource. Try again."}
	errHeadTooLarge       = &Error{Code: "RequestHeaderSectionTooLarge", Status: 400, Message: "Your request header section exceeds the maximum allowed size."}
	errPayloadHash        = &Error{Code: "XAmzContentSHA256Mismatch", Status: 400, Message: "The provided 'x-amz-content-sha256' header does not match what was computed."}
	errPrecondition       = &Error{Code: "PreconditionFailed", Status: 412, Message: "At least one of the pre-conditions you specified did not hold."}
	errPresignExpired     = &Error{Code: "AccessDenied", Status: 403, Message: "Request has expired."}
	errSignature          = &Error{Code: "SignatureDoesNotMatch", Status: 403, Message: "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
	errSlowDown           = &Error{Code: "SlowDown", Status: 503, Message: "Please reduce your request rate."}
	errTooLargeBody       = &Error{Code: "MaxMessageLengthExceeded", Status: 400, Message: "Your request was too big."}
	errUnsupportedAuth    = &Error{Code: "InvalidRequest", Status: 400, Message: "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."}
	errUnavailable        = &Error{Code: "ServiceUnavailable", Status: 503, Message: "Service is unable to handle request. Please try again."}
)

// translations turns the errors of the inner packages, which know no HTTP, into refusals; the first that matches counts.
// Those marked helpful were written for the caller and are shown; an auth.Refusal says itself what to show.
var translations = []struct {
	inner   error
	wire    *Error
	helpful bool
}{
	{auth.ErrNoCredentials, errAccessDenied, true},
	{auth.ErrTwoMechanisms, errInvalidRequest, true},
	{auth.ErrSigV2, errUnsupportedAuth, true},
	{auth.ErrMalformedQuery, errMalformedQueryAuth, true},
	{auth.ErrInvalidArgument, errInvalidArgument, true},
	{auth.ErrNoDate, errMissingDate, false},
	{auth.ErrMalformed, errMalformedAuth, true},
	{auth.ErrToken, errInvalidAccessKeyID, true},
	{auth.ErrExpired, errExpiredToken, true},
	{auth.ErrRevoked, errInvalidToken, true},
	{auth.ErrIssuerUnreachable, errUnavailable, true},
	{auth.ErrFrozen, errAccessDenied, true},
	{auth.ErrSecurityToken, errInvalidToken, true},
	{auth.ErrSignature, errSignature, false},
	{auth.ErrClockSkew, errClockSkew, true},
	{auth.ErrPresignExpired, errPresignExpired, true},
	{auth.ErrUnsignedHeader, errHeadersNotSigned, true},
	{auth.ErrStale, errUnavailable, false},
	{auth.ErrAccessDenied, errAccessDenied, true},
	{auth.ErrSealedID, errNoSuchUpload, false},
	{auth.ErrBadKey, errInvalidArgument, true},
	{auth.ErrKeyTooLong, errKeyTooLong, false},
	{auth.ErrTokenTooLong, errInvalidArgument, true},
	{auth.ErrGrant, errInvalidArgument, true},
	{awschunked.ErrSignature, errSignature, false},
	{awschunked.ErrChecksum, errBadDigest, false},
	{awschunked.ErrTrailer, errMalformedTrailer, false},
	{awschunked.ErrLength, errBodyLength, false},
	{awschunked.ErrFraming, errIncompleteBody, false},
	{relay.ErrFraming, errBadRequest, true},
	{relay.ErrClient, errIncompleteBody, false},
	{relay.ErrDial, errUnavailable, false},
	{relay.ErrStorage, errUnavailable, false},
	{relay.ErrCanceled, errUnavailable, false},
	{storage.ErrNoSuchUpload, errNoSuchUpload, false},
	{storage.ErrUnavailable, errUnavailable, false},
	{tracking.ErrBadCursor, errInvalidArgument, true},
	{tracking.ErrUnavailable, errUnavailable, false},
	{tracking.ErrConflict, errOperationAborted, false},
}

// asError turns any error into the refusal that the client sees. What nobody foresaw is InternalError.
func asError(err error) *Error {
	var e *Error
	var small *awschunked.ChunkSizeError
	var value *awschunked.TrailerValueError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &small):
		return errInvalidChunkSize.with("Chunk", strconv.Itoa(small.Chunk), "BadChunkSize", strconv.FormatInt(small.Size, 10)).because(err)
	case errors.As(err, &value):
		return errInvalidRequest.saying("Value for " + value.Trailer + " trailing header is invalid.").because(err)
	}
	for _, t := range translations {
		if errors.Is(err, t.inner) {
			return t.wire.told(err, t.helpful)
		}
	}
	return errInternal.because(err)
}

// told is e for err, with what the client is shown of it.
func (e *Error) told(err error, helpful bool) *Error {
	var refusal *auth.Refusal
	switch {
	case errors.As(err, &refusal):
		e = e.because(err)
		e.Elements = refusal.Elements
		if refusal.Message != "" {
			e.Message = refusal.Message
		}
		return e
	case helpful:
		return e.saying(err.Error()).because(err)
	}
	return e.because(err)
}

// ownedByGateway are the refusals of storage that speak of the gateway's identity there. The client can do nothing about them
// and must not take them for its own.
var ownedByGateway = map[string]bool{
	"AuthorizationHeaderMalformed": true, "ExpiredToken": true, "InvalidAccessKeyId": true, "InvalidToken": true,
	"RequestExpired": true, "RequestTimeTooSkewed": true, "SignatureDoesNotMatch": true,
}

// storageError turns an error answer of storage into the refusal that the client sees: same status, code and message.
func storageError(status int, body []byte) *Error {
	code, message := errorElements(body)
	if status >= http.StatusMultipleChoices && status < http.StatusBadRequest && status != http.StatusNotModified {
		return errInternal.because(fmt.Errorf("storage redirects (%d %s): is its endpoint or region right?", status, code))
	}
	if ownedByGateway[code] {
		return errInternal.because(errors.New("storage refused the gateway's own identity: " + code + ": " + message))
	}
	if code == "" {
		code, message = codeOfStatus(status), http.StatusText(status)
	}
	return &Error{Code: code, Status: status, Message: message, Elements: details(body)}
}

// codeOfStatus names an answer that came without a body, as those to HEAD do.
func codeOfStatus(status int) string {
	switch status {
	case http.StatusNotModified:
		return "NotModified"
	case http.StatusForbidden:
		return errAccessDenied.Code
	case http.StatusNotFound:
		return "NoSuchKey"
	case http.StatusPreconditionFailed:
		return "PreconditionFailed"
	case http.StatusRequestedRangeNotSatisfiable:
		return "InvalidRange"
	case http.StatusServiceUnavailable:
		return errUnavailable.Code
	}
	if status < 500 {
		return errBadRequest.Code
	}
	return errInternal.Code
}
