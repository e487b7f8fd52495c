package proxy

import (
	"context"
	"net/http"
	"strings"
)

// Operation is one row of the table: what a request is called in S3's words, which action it needs, and who answers it.
type Operation struct {
	Name   string
	Method string
	Level  level
	Sub    string // the sub-resource that selects it; "" for none
	Copy   bool   // x-amz-copy-source selects it
	Action string // what a scope must allow; "" where the handler looks at the scopes itself
	Params []string
	handle func(*Gateway, context.Context, *Request) (*Response, error)
}

// writes reports whether the answer waits for its event.
func (o *Operation) writes() bool { return o.Method != http.MethodGet && o.Method != http.MethodHead }

// level is what a path names.
type level int

const (
	ofService level = iota
	ofBucket
	ofObject
)

// operations is the S3 surface. A new operation is one row here, one handler, one test; most need no handler of their own but passOn.
// Params are the query parameters that storage is sent beside Sub; no others are.
var operations = append([]*Operation{
	{Name: "ListBuckets", Method: "GET", Level: ofService, handle: (*Gateway).listBuckets},

	{Name: "CreateBucket", Method: "PUT", Level: ofBucket, Action: "s3:CreateBucket", handle: (*Gateway).createBucket},
	{Name: "HeadBucket", Method: "HEAD", Level: ofBucket, handle: (*Gateway).headBucket},
	{Name: "GetBucketLocation", Method: "GET", Level: ofBucket, Sub: "location", handle: (*Gateway).getBucketLocation},
	{Name: "ListObjects", Method: "GET", Level: ofBucket, handle: listing("s3:ListBucket", "ListBucketResult"),
		Params: []string{"delimiter", "encoding-type", "marker", "max-keys", "prefix"}},
	{Name: "ListObjectsV2", Method: "GET", Level: ofBucket, Sub: "list-type", handle: listing("s3:ListBucket", "ListBucketResult"),
		Params: []string{"continuation-token", "delimiter", "encoding-type", "fetch-owner", "max-keys", "prefix", "start-after"}},
	{Name: "ListObjectVersions", Method: "GET", Level: ofBucket, Sub: "versions", handle: listing("s3:ListBucketVersions", "ListVersionsResult"),
		Params: []string{"delimiter", "encoding-type", "key-marker", "max-keys", "prefix", "version-id-marker"}},
	{Name: "ListMultipartUploads", Method: "GET", Level: ofBucket, Sub: "uploads", handle: (*Gateway).listMultipartUploads},
	{Name: "DeleteBucket", Method: "DELETE", Level: ofBucket, Action: "s3:DeleteBucket", handle: (*Gateway).deleteBucket},
	{Name: "DeleteObjects", Method: "POST", Level: ofBucket, Sub: "delete", handle: (*Gateway).deleteObjects},

	{Name: "CreateMultipartUpload", Method: "POST", Level: ofObject, Sub: "uploads", Action: "s3:PutObject", handle: (*Gateway).createMultipartUpload},
	{Name: "UploadPart", Method: "PUT", Level: ofObject, Sub: "uploadId", Action: "s3:PutObject", handle: (*Gateway).uploadPart},
	{Name: "UploadPartCopy", Method: "PUT", Level: ofObject, Sub: "uploadId", Copy: true, Action: "s3:PutObject", handle: (*Gateway).uploadPartCopy},
	{Name: "CompleteMultipartUpload", Method: "POST", Level: ofObject, Sub: "uploadId", Action: "s3:PutObject", handle: (*Gateway).completeMultipartUpload},
	{Name: "AbortMultipartUpload", Method: "DELETE", Level: ofObject, Sub: "uploadId", Action: "s3:AbortMultipartUpload", handle: (*Gateway).abortMultipartUpload},
	{Name: "ListParts", Method: "GET", Level: ofObject, Sub: "uploadId", Action: "s3:ListMultipartUploadParts", handle: (*Gateway).listParts,
		Params: []string{"max-parts", "part-number-marker", "encoding-type"}},

	{Name: "PutObject", Method: "PUT", Level: ofObject, Action: "s3:PutObject", handle: (*Gateway).putObject},
	{Name: "CopyObject", Method: "PUT", Level: ofObject, Copy: true, Action: "s3:PutObject", handle: (*Gateway).copyObject},
	{Name: "GetObject", Method: "GET", Level: ofObject, Action: "s3:GetObject", handle: (*Gateway).getObject, Params: objectParams},
	{Name: "HeadObject", Method: "HEAD", Level: ofObject, Action: "s3:GetObject", handle: (*Gateway).getObject, Params: objectParams},
}, passedOn...)

var objectParams = []string{"partNumber", "versionId", "response-cache-control", "response-content-disposition",
	"response-content-encoding", "response-content-language", "response-content-type", "response-expires"}

// passedOn are the operations that need nothing but their action: authorised, signed again, and storage's answer is the answer.
// Source of the actions: "Actions, resources, and condition keys for Amazon S3", Service Authorization Reference.
var passedOn = []*Operation{
	passing("GetBucketAcl", "GET", ofBucket, "acl", "s3:GetBucketAcl"),
	passing("PutBucketAcl", "PUT", ofBucket, "acl", "s3:PutBucketAcl"),
	passing("GetBucketCors", "GET", ofBucket, "cors", "s3:GetBucketCORS"),
	passing("PutBucketCors", "PUT", ofBucket, "cors", "s3:PutBucketCORS"),
	passing("DeleteBucketCors", "DELETE", ofBucket, "cors", "s3:PutBucketCORS"),
	passing("GetBucketEncryption", "GET", ofBucket, "encryption", "s3:GetEncryptionConfiguration"),
	passing("PutBucketEncryption", "PUT", ofBucket, "encryption", "s3:PutEncryptionConfiguration"),
	passing("DeleteBucketEncryption", "DELETE", ofBucket, "encryption", "s3:PutEncryptionConfiguration"),
	passing("GetBucketLifecycleConfiguration", "GET", ofBucket, "lifecycle", "s3:GetLifecycleConfiguration"),
	passing("PutBucketLifecycleConfiguration", "PUT", ofBucket, "lifecycle", "s3:PutLifecycleConfiguration"),
	passing("DeleteBucketLifecycle", "DELETE", ofBucket, "lifecycle", "s3:PutLifecycleConfiguration"),
	passing("GetBucketLogging", "GET", ofBucket, "logging", "s3:GetBucketLogging"),
	passing("PutBucketLogging", "PUT", ofBucket, "logging", "s3:PutBucketLogging"),
	passing("GetBucketNotificationConfiguration", "GET", ofBucket, "notification", "s3:GetBucketNotification"),
	passing("PutBucketNotificationConfiguration", "PUT", ofBucket, "notification", "s3:PutBucketNotification"),
	passing("GetObjectLockConfiguration", "GET", ofBucket, "object-lock", "s3:GetBucketObjectLockConfiguration"),
	passing("PutObjectLockConfiguration", "PUT", ofBucket, "object-lock", "s3:PutBucketObjectLockConfiguration"),
	passing("GetBucketOwnershipControls", "GET", ofBucket, "ownershipControls", "s3:GetBucketOwnershipControls"),
	passing("PutBucketOwnershipControls", "PUT", ofBucket, "ownershipControls", "s3:PutBucketOwnershipControls"),
	passing("DeleteBucketOwnershipControls", "DELETE", ofBucket, "ownershipControls", "s3:PutBucketOwnershipControls"),
	passing("GetBucketPolicy", "GET", ofBucket, "policy", "s3:GetBucketPolicy"),
	passing("PutBucketPolicy", "PUT", ofBucket, "policy", "s3:PutBucketPolicy"),
	passing("DeleteBucketPolicy", "DELETE", ofBucket, "policy", "s3:DeleteBucketPolicy"),
	passing("GetBucketPolicyStatus", "GET", ofBucket, "policyStatus", "s3:GetBucketPolicyStatus"),
	passing("GetPublicAccessBlock", "GET", ofBucket, "publicAccessBlock", "s3:GetBucketPublicAccessBlock"),
	passing("PutPublicAccessBlock", "PUT", ofBucket, "publicAccessBlock", "s3:PutBucketPublicAccessBlock"),
	passing("DeletePublicAccessBlock", "DELETE", ofBucket, "publicAccessBlock", "s3:PutBucketPublicAccessBlock"),
	passing("GetBucketReplication", "GET", ofBucket, "replication", "s3:GetReplicationConfiguration"),
	passing("PutBucketReplication", "PUT", ofBucket, "replication", "s3:PutReplicationConfiguration"),
	passing("DeleteBucketReplication", "DELETE", ofBucket, "replication", "s3:PutReplicationConfiguration"),
	passing("GetBucketRequestPayment", "GET", ofBucket, "requestPayment", "s3:GetBucketRequestPayment"),
	passing("PutBucketRequestPayment", "PUT", ofBucket, "requestPayment", "s3:PutBucketRequestPayment"),
	passing("GetBucketTagging", "GET", ofBucket, "tagging", "s3:GetBucketTagging"),
	passing("PutBucketTagging", "PUT", ofBucket, "tagging", "s3:PutBucketTagging"),
	passing("DeleteBucketTagging", "DELETE", ofBucket, "tagging", "s3:PutBucketTagging"),
	passing("GetBucketVersioning", "GET", ofBucket, "versioning", "s3:GetBucketVersioning"),
	passing("PutBucketVersioning", "PUT", ofBucket, "versioning", "s3:PutBucketVersioning"),
	passing("GetBucketWebsite", "GET", ofBucket, "website", "s3:GetBucketWebsite"),
	passing("PutBucketWebsite", "PUT", ofBucket, "website", "s3:PutBucketWebsite"),
	passing("DeleteBucketWebsite", "DELETE", ofBucket, "website", "s3:DeleteBucketWebsite"),

	passing("DeleteObject", "DELETE", ofObject, "", "s3:DeleteObject"),
	passing("GetObjectAcl", "GET", ofObject, "acl", "s3:GetObjectAcl"),
	passing("PutObjectAcl", "PUT", ofObject, "acl", "s3:PutObjectAcl"),
	passing("GetObjectAttributes", "GET", ofObject, "attributes", "s3:GetObjectAttributes"),
	passing("GetObjectLegalHold", "GET", ofObject, "legal-hold", "s3:GetObjectLegalHold"),
	passing("PutObjectLegalHold", "PUT", ofObject, "legal-hold", "s3:PutObjectLegalHold"),
	passing("GetObjectRetention", "GET", ofObject, "retention", "s3:GetObjectRetention"),
	passing("PutObjectRetention", "PUT", ofObject, "retention", "s3:PutObjectRetention"),
	passing("GetObjectTagging", "GET", ofObject, "tagging", "s3:GetObjectTagging"),
	passing("PutObjectTagging", "PUT", ofObject, "tagging", "s3:PutObjectTagging"),
	passing("DeleteObjectTagging", "DELETE", ofObject, "tagging", "s3:DeleteObjectTagging"),
	passing("RestoreObject", "POST", ofObject, "restore", "s3:RestoreObject"),
}

func passing(name, method string, at level, sub, action string) *Operation {
	o := &Operation{Name: name, Method: method, Level: at, Sub: sub, Action: action, handle: (*Gateway).passOn}
	if at == ofObject {
		o.Params = []string{"versionId"}
	}
	return o
}

// action is what a scope must allow for r. S3 has actions of their own for one version of an object, named after the plain ones.
func (o *Operation) action(r *Request) string {
	if o.Level == ofObject && r.Query.Get("versionId") != "" {
		switch o.Action {
		case "s3:GetObject", "s3:DeleteObject", "s3:GetObjectAcl", "s3:PutObjectAcl", "s3:GetObjectAttributes", "s3:GetObjectTagging", "s3:PutObjectTagging",
			"s3:DeleteObjectTagging":
			return strings.Replace(o.Action, "Object", "ObjectVersion", 1)
		}
	}
	return o.Action
}

// subResources are the query parameters that make a request another operation. One that no row names is NotImplemented; it must never fall
// through to the plain operation on the same path (a PUT ?acl is not a PutObject).
var subResources = map[string]bool{}

func init() {
	for _, name := range []string{
		"accelerate", "acl", "analytics", "attributes", "cors", "delete", "encryption", "intelligent-tiering", "inventory", "legal-hold", "lifecycle",
		"list-type", "location", "logging", "metadataConfiguration", "metadataTable", "metrics", "notification", "object-lock", "ownershipControls",
		"policy", "policyStatus", "publicAccessBlock", "renameObject", "replication", "requestPayment", "restore", "retention", "select", "session",
		"tagging", "torrent", "uploadId", "uploads", "versioning", "versions", "website",
	} {
		subResources[name] = true
	}
}

// operationOf finds the row of a request.
func operationOf(r *Request) (*Operation, error) {
	at := ofObject
	switch {
	case r.Bucket == "" && r.Key != "":
		return nil, errInvalidBucketName
	case r.Bucket == "":
		at = ofService
	case r.Key == "":
		at = ofBucket
	}
	copying := r.HasHeader("x-amz-copy-source")
	sub := ""
	for _, p := range r.Query {
		switch {
		case !subResources[p.Name]:
		case sub != "":
			return nil, errInvalidArgument.saying("The query parameters " + sub + " and " + p.Name + " exclude each other.")
		default:
			sub = p.Name
		}
	}
	if sub == "" && r.Query.Has("partNumber") && r.Method != http.MethodGet && r.Method != http.MethodHead {
		return nil, invalidArgument("partNumber", r.Query.Get("partNumber"), "This operation does not accept partNumber without uploadId")
	}
	for _, o := range operations {
		if o.Method == r.Method && o.Level == at && o.Sub == sub && o.Copy == copying {
			return o, nil
		}
	}
	return nil, noOperation(r, at, sub, copying)
}

// noOperation is the refusal of a request that no row names, in the words that S3 has for the likelier mistakes.
func noOperation(r *Request, at level, sub string, copying bool) error {
	switch {
	case copying:
		return invalidArgument("x-amz-copy-source", r.Header("x-amz-copy-source"), "You can only specify a copy source header for copy requests.")
	case at == ofObject && sub == "uploads" && r.Method == http.MethodGet:
		return errInvalidRequest.saying("Key is not expected for the GET method ?uploads subresource")
	case at == ofObject && sub == "versions" && r.Method == http.MethodGet:
		return errInvalidRequest.saying("There is no such thing as the ?versions sub-resource for a key")
	}
	return errNotImplemented
}
