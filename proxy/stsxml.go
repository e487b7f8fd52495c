package proxy

import (
	"encoding/xml"
	"net/http"
	"time"

	"partway/auth"
	"partway/auth/sigv4"
)

// stsType is what STS itself says; SDKs read the body whatever it is.
var stsType = sigv4.Header{Name: "content-type", Value: "text/xml"}

type stsMetadata struct {
	RequestID string `xml:"RequestId"`
}

type assumedRoleAnswer struct {
	XMLName  xml.Name          `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
	Result   assumedRoleResult `xml:"AssumeRoleWithWebIdentityResult"`
	Metadata stsMetadata       `xml:"ResponseMetadata"`
}

type assumedRoleResult struct {
	Credentials struct {
		AccessKeyID     string `xml:"AccessKeyId"`
		SecretAccessKey string
		SessionToken    string // there and empty: botocore needs the element, and a value would be replayed to storage
		Expiration      string
	}
	AssumedRoleUser struct {
		Arn           string
		AssumedRoleID string `xml:"AssumedRoleId"`
	}
	SubjectFromWebIdentityToken string
	Audience                    string
	Provider                    string
}

func assumedRoleXML(r *Request, ask *auth.AssumeRole, who *auth.WebIdentity, issued *auth.Issued) *Response {
	a := assumedRoleAnswer{Metadata: stsMetadata{r.ID}}
	a.Result.Credentials.AccessKeyID, a.Result.Credentials.SecretAccessKey = issued.Token, issued.Secret
	a.Result.Credentials.Expiration = issued.ExpiresAt.Format(time.RFC3339)
	a.Result.AssumedRoleUser.Arn = ask.AssumedRoleARN()
	a.Result.AssumedRoleUser.AssumedRoleID = issued.ID + ":" + ask.Session
	a.Result.SubjectFromWebIdentityToken, a.Result.Audience, a.Result.Provider = who.Subject, who.Audience, who.Issuer
	return stsReply(a)
}

type callerIdentityAnswer struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ GetCallerIdentityResponse"`
	Result  struct {
		Arn     string
		UserID  string `xml:"UserId"`
		Account string
	} `xml:"GetCallerIdentityResult"`
	Metadata stsMetadata `xml:"ResponseMetadata"`
}

func callerIdentityXML(r *Request, id *auth.Identity) *Response {
	a := callerIdentityAnswer{Metadata: stsMetadata{r.ID}}
	a.Result.Arn, a.Result.UserID, a.Result.Account = id.CallerARN(), id.TokenID, auth.STSAccount
	return stsReply(a)
}

func stsReply(answer any) *Response {
	return &Response{Status: http.StatusOK, Body: encodeXML(answer),
		Headers: headers(stsType, sigv4.Header{Name: "cache-control", Value: "no-store"})} // it may hold a secret
}

// stsErrorXML is the form of STS's refusals.
func stsErrorXML(e *Error, r *Request) []byte {
	type refusal struct{ Type, Code, Message string }
	fault := "Sender"
	if e.Status >= http.StatusInternalServerError {
		fault = "Receiver"
	}
	return encodeXML(struct {
		XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
		Error     refusal
		RequestID string `xml:"RequestId"`
	}{Error: refusal{fault, e.Code, e.Message}, RequestID: r.ID})
}
