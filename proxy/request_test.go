package proxy

import (
	"errors"
	"slices"
	"testing"

	"partway/auth"
	"partway/auth/sigv4"
	"partway/proxy/relay"
)

func TestLocate(t *testing.T) {
	domains := []string{"gw.example.com"}
	tests := []struct {
		name, host, path string
		bucket, key      string
		onBase           bool
	}{
		{"service", "gw.example.com", "/", "", "", true},
		{"bucket", "gw.example.com", "/uploads", "uploads", "", true},
		{"bucket with a slash", "gw.example.com", "/uploads/", "uploads", "", true},
		{"key", "gw.example.com:8080", "/uploads/acme/a%20b", "uploads", "acme/a b", true},
		{"virtual host", "uploads.gw.example.com", "/acme/a", "uploads", "acme/a", false},
		{"virtual host, the API's path is a key", "uploads.gw.example.com", "/_partway/health", "uploads", "_partway/health", false},
		{"bucket with dots", "a.b.gw.example.com", "/k", "a.b", "k", false},
		{"another host is path style", "other.example.com", "/uploads/k", "uploads", "k", true},
		{"decoded once", "h", "/b/%252e%252e/x", "b", "%2e%2e/x", true},
		{"plus is a plus", "h", "/b/a+b", "b", "a+b", true},
		{"nothing is cleaned", "h", "/b//a/../c", "b", "/a/../c", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bucket, key, onBase, err := locate(domains, tt.host, tt.path)
			if bucket != tt.bucket || key != tt.key || onBase != tt.onBase || err != nil {
				t.Errorf("got %q, %q, %t, %v", bucket, key, onBase, err)
			}
		})
	}
	for _, path := range []string{"http://other/b/k", "*", "/b/%zz", "/b/%f"} {
		if _, _, _, err := locate(domains, "h", path); !errors.Is(err, errInvalidURI) {
			t.Errorf("%q: %v, want InvalidURI", path, err)
		}
	}
}

func TestParseQueryRefusesWhatTwoReadersWouldReadDifferently(t *testing.T) {
	for _, raw := range []string{"partNumber=1&partNumber=2", "uploadId=a&upload%49d=b", "a=%zz"} {
		if q, err := parseQuery(raw); err == nil {
			t.Errorf("%q: %v, want an error", raw, q)
		}
	}
	q, err := parseQuery("uploads&prefix=a%2Fb+c&&empty=")
	if err != nil || !q.Has("uploads") || q.Get("prefix") != "a/b c" || !q.Has("empty") {
		t.Errorf("%v, %v", q, err)
	}
}

func TestOperationOf(t *testing.T) {
	tests := []struct {
		method, bucket, key, query, want string
	}{
		{"GET", "", "", "", "ListBuckets"},
		{"HEAD", "b", "", "", "HeadBucket"},
		{"GET", "b", "", "location", "GetBucketLocation"},
		{"GET", "b", "", "list-type=2&prefix=a", "ListObjectsV2"},
		{"GET", "b", "", "uploads", "ListMultipartUploads"},
		{"POST", "b", "k", "uploads", "CreateMultipartUpload"},
		{"PUT", "b", "k", "partNumber=1&uploadId=x", "UploadPart"},
		{"PUT", "b", "k", "uploadId=x", "UploadPart"},
		{"POST", "b", "k", "uploadId=x", "CompleteMultipartUpload"},
		{"DELETE", "b", "k", "uploadId=x", "AbortMultipartUpload"},
		{"GET", "b", "k", "uploadId=x", "ListParts"},
		{"PUT", "b", "k", "x-id=PutObject", "PutObject"},
		{"GET", "b", "k", "partNumber=1", "GetObject"},
		{"HEAD", "b", "k", "versionId=v", "HeadObject"},
		{"DELETE", "b", "k", "", "DeleteObject"},
		{"GET", "b", "", "", "ListObjects"},
		{"PUT", "b", "", "", "CreateBucket"},
		{"PUT", "b", "k", "acl", "PutObjectAcl"},
		{"PUT", "b", "", "acl", "PutBucketAcl"},
		{"POST", "b", "", "delete", "DeleteObjects"},
	}
	for _, tt := range tests {
		r := requestOf(t, tt.method, tt.bucket, tt.key, tt.query)
		o, err := operationOf(r)
		if err != nil || o.Name != tt.want {
			t.Errorf("%s %s/%s?%s: %v, %v; want %s", tt.method, tt.bucket, tt.key, tt.query, o, err, tt.want)
		}
	}
}

// An unknown sub-resource must never fall through to the plain operation: a PUT ?acl is not a PutObject.
func TestOperationOfRefuses(t *testing.T) {
	tests := []struct {
		method, bucket, key, query string
		want                       *Error
	}{
		{"PUT", "b", "k", "torrent", errNotImplemented},
		{"PUT", "b", "k", "attributes", errNotImplemented},
		{"POST", "b", "k", "select", errNotImplemented},
		{"PUT", "b", "k", "partNumber=1", errInvalidArgument},
		{"PUT", "b", "k", "acl&uploadId=x", errInvalidArgument},
		{"PUT", "b", "", "inventory", errNotImplemented},
		{"GET", "b", "k", "uploads", errInvalidRequest},
		{"GET", "b", "k", "versions", errInvalidRequest},
		{"PATCH", "b", "k", "", errNotImplemented},
		{"POST", "", "", "", errNotImplemented},
	}
	for _, tt := range tests {
		if o, err := operationOf(requestOf(t, tt.method, tt.bucket, tt.key, tt.query)); !errors.Is(err, tt.want) {
			t.Errorf("%s %s/%s?%s: %v, %v; want %s", tt.method, tt.bucket, tt.key, tt.query, o, err, tt.want.Code)
		}
	}
}

func TestACopyIsNeverAnythingElse(t *testing.T) {
	for query, want := range map[string]string{"": "CopyObject", "partNumber=1&uploadId=x": "UploadPartCopy", "acl": ""} {
		for _, source := range []string{"/b/other", ""} {
			r := requestOf(t, "PUT", "b", "k", query)
			r.Head.Headers = []sigv4.Header{{Name: "x-amz-copy-source", Value: source}}
			o, err := operationOf(r)
			if want == "" && !errors.Is(err, errInvalidArgument) || want != "" && (err != nil || o.Name != want) {
				t.Errorf("?%s from %q: %v, %v; want %s", query, source, o, err, want)
			}
		}
	}
}

func requestOf(t *testing.T, method, bucket, key, query string) *Request {
	t.Helper()
	q, err := parseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Method: method, Bucket: bucket, Key: key, Query: q, Head: &relay.Head{Length: -1}}
}

func TestEveryActionCanBeGranted(t *testing.T) {
	needed := []string{"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObjectVersion"}
	for _, o := range operations {
		if o.Action == "" {
			continue
		}
		needed = append(needed, o.Action)
		if o.Level == ofObject {
			needed = append(needed, o.action(requestOf(t, o.Method, "b", "k", "versionId=v")))
		}
	}
	for _, g := range gated {
		needed = append(needed, g.action)
	}
	for _, action := range needed {
		if !slices.Contains(auth.Actions, action) {
			t.Errorf("%s cannot be granted", action)
		}
	}
}

func TestValidBucket(t *testing.T) {
	for _, name := range []string{"abc", "a-b.c", "0ab"} {
		if !validBucket(name) {
			t.Errorf("%q refused", name)
		}
	}
	for _, name := range []string{"ab", "A-b", "a..b", "-ab", "ab-", "a/b", "a b", "_partway", "a%2fb", "aé", ""} {
		if validBucket(name) {
			t.Errorf("%q taken", name)
		}
	}
}
