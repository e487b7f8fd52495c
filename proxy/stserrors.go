package proxy

import (
	"errors"

	"partway/auth"
)

// Refusals in STS's own words: "Common Errors" and the errors of AssumeRoleWithWebIdentity, STS API Reference.
var (
	errSTSValidation   = &Error{Code: "ValidationError", Status: 400, Message: "The request is not valid."}
	errMissingAction   = &Error{Code: "MissingAction", Status: 400, Message: "The request has no Action."}
	errInvalidAction   = &Error{Code: "InvalidAction", Status: 400, Message: "The actions here are AssumeRoleWithWebIdentity and GetCallerIdentity."}
	errInvalidIdentity = &Error{Code: "InvalidIdentityToken", Status: 400}
	errExpiredIdentity = &Error{Code: "ExpiredTokenException", Status: 400}
	errProviderAway    = &Error{Code: "IDPCommunicationError", Status: 400} // botocore tries again
	errMalformedPolicy = &Error{Code: "MalformedPolicyDocument", Status: 400}
	errPolicyTooLarge  = &Error{Code: "PackedPolicyTooLarge", Status: 400}
	errNoSignature     = &Error{Code: "MissingAuthenticationToken", Status: 403}
	errIncompleteSig   = &Error{Code: "IncompleteSignature", Status: 400}
	errInvalidClient   = &Error{Code: "InvalidClientTokenId", Status: 403}
	errExpiredKey      = &Error{Code: "ExpiredToken", Status: 403}
	errRequestExpired  = &Error{Code: "RequestExpired", Status: 400}
)

type stsTranslation struct {
	inner error
	wire  *Error
}

// stsTranslations are translations for STS: of one operation, and of both. The first that matches counts; all were written
// for the caller. What they do not name is told as S3 tells it.
var (
	stsTranslations = map[*Operation][]stsTranslation{
		assumeRole: {
			{auth.ErrIssuerUnreachable, errProviderAway},
			{auth.ErrToken, errInvalidIdentity},
			{auth.ErrExpired, errExpiredIdentity},
			{auth.ErrRevoked, errInvalidIdentity},
			{auth.ErrNoRole, errAccessDenied},
			{auth.ErrPolicy, errMalformedPolicy},
			{auth.ErrPolicyTooLarge, errPolicyTooLarge},
			{auth.ErrTokenTooLong, errPolicyTooLarge}, // the scopes that a policy leaves take more than a key holds
		},
		callerIdentity: {
			{auth.ErrToken, errInvalidClient},
			{auth.ErrExpired, errExpiredKey},
			{auth.ErrRevoked, errInvalidClient},
			{auth.ErrSecurityToken, errInvalidClient},
			{auth.ErrClockSkew, errRequestExpired},
		},
	}
	stsTranslationsOfBoth = []stsTranslation{
		{auth.ErrSTSRequest, errSTSValidation},
		{auth.ErrTwoMechanisms, errSTSValidation},
		{auth.ErrNoCredentials, errNoSignature},
		{auth.ErrMalformed, errIncompleteSig},
		{auth.ErrSigV2, errIncompleteSig},
		{auth.ErrUnsignedHeader, errIncompleteSig},
	}
)

// asSTSError turns an error of an STS operation into the refusal that the client sees.
func asSTSError(o *Operation, err error) *Error {
	for _, list := range [][]stsTranslation{stsTranslations[o], stsTranslationsOfBoth} {
		for _, t := range list {
			if errors.Is(err, t.inner) {
				return &Error{Code: t.wire.Code, Status: t.wire.Status, Message: err.Error(), Cause: err}
			}
		}
	}
	return asError(err)
}
