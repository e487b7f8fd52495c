package proxy

import "context"

// Operation is one row of the table: what a request is called in S3's words, which action it needs, and who answers it.
type Operation struct {
	Name   string
	Method string
	Level  level
	Sub    string // the sub-resource that selects it; "" for none
	Action string // what a scope must allow; "" where the handler looks at the scopes itself
	Write  bool   // answered only after its event is durable
	Params []string
	handle func(*Gateway, context.Context, *Request) (*Response, error)
}

// level is what a path names.
type level int

const (
	ofService level = iota
	ofBucket
	ofObject
)

// operations is the S3 surface. A new operation is one row here, one handler, one test.
// Params are the query parameters that storage is sent; no others are.
var operations = []*Operation{
	{Name: "ListBuckets", Method: "GET", Level: ofService, handle: (*Gateway).listBuckets},

	{Name: "HeadBucket", Method: "HEAD", Level: ofBucket, handle: (*Gateway).headBucket},
	{Name: "GetBucketLocation", Method: "GET", Level: ofBucket, Sub: "location", handle: (*Gateway).getBucketLocation},
	{Name: "ListObjectsV2", Method: "GET", Level: ofBucket, Sub: "list-type", handle: (*Gateway).listObjectsV2,
		Params: []string{"list-type", "continuation-token", "delimiter", "encoding-type", "fetch-owner", "max-keys", "prefix", "start-after"}},
	{Name: "ListMultipartUploads", Method: "GET", Level: ofBucket, Sub: "uploads", handle: (*Gateway).listMultipartUploads},

	{Name: "CreateMultipartUpload", Method: "POST", Level: ofObject, Sub: "uploads", Action: "s3:PutObject", Write: true, handle: (*Gateway).createMultipartUpload},
	{Name: "UploadPart", Method: "PUT", Level: ofObject, Sub: "uploadId", Action: "s3:PutObject", Write: true, handle: (*Gateway).uploadPart},
	{Name: "CompleteMultipartUpload", Method: "POST", Level: ofObject, Sub: "uploadId", Action: "s3:PutObject", Write: true, handle: (*Gateway).completeMultipartUpload},
	{Name: "AbortMultipartUpload", Method: "DELETE", Level: ofObject, Sub: "uploadId", Action: "s3:AbortMultipartUpload", Write: true, handle: (*Gateway).abortMultipartUpload},
	{Name: "ListParts", Method: "GET", Level: ofObject, Sub: "uploadId", Action: "s3:ListMultipartUploadParts", handle: (*Gateway).listParts,
		Params: []string{"max-parts", "part-number-marker", "encoding-type"}},

	{Name: "PutObject", Method: "PUT", Level: ofObject, Action: "s3:PutObject", Write: true, handle: (*Gateway).putObject},
	{Name: "GetObject", Method: "GET", Level: ofObject, Action: "s3:GetObject", handle: (*Gateway).getObject, Params: objectParams},
	{Name: "HeadObject", Method: "HEAD", Level: ofObject, Action: "s3:GetObject", handle: (*Gateway).getObject, Params: objectParams},
	{Name: "DeleteObject", Method: "DELETE", Level: ofObject, Action: "s3:DeleteObject", Write: true, handle: (*Gateway).deleteObject,
		Params: []string{"versionId"}},
}

var objectParams = []string{"partNumber", "versionId", "response-cache-control", "response-content-disposition",
	"response-content-encoding", "response-content-language", "response-content-type", "response-expires"}

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
	case r.Bucket == "":
		at = ofService
	case r.Key == "":
		at = ofBucket
	}
	if r.Header("x-amz-copy-source") != "" {
		return nil, errNotImplemented.saying("Copying (x-amz-copy-source) is not implemented.")
	}
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
	if sub == "" && r.Query.Has("partNumber") && r.Method != "GET" && r.Method != "HEAD" {
		return nil, errInvalidArgument.saying("partNumber needs an uploadId.")
	}
	for _, o := range operations {
		if o.Method == r.Method && o.Level == at && o.Sub == sub {
			return o, nil
		}
	}
	return nil, errNotImplemented
}
