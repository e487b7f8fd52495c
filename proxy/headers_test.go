package proxy

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// What a client says about an object reaches storage with every operation that takes it, and what storage says reaches the client: names and values
// as S3's API has them.
func TestHeadersAreCarriedWhole(t *testing.T) {
	var mu sync.Mutex
	var got http.Header
	b := played(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		mu.Lock()
		got = r.Header
		mu.Unlock()
		for name, value := range answeredByStorage {
			w.Header().Set(name, value)
		}
		switch {
		case strings.Contains(r.RequestURI, "uploads="):
			_, _ = io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodGet && strings.Contains(r.RequestURI, "uploadId="):
			_, _ = io.WriteString(w, "<ListPartsResult/>")
		case r.Method == http.MethodPost:
			_, _ = io.WriteString(w, "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
		}
	})
	owner := []string{"x-amz-expected-bucket-owner", "111122223333", "x-amz-request-payer", "requester"}
	customerKey := []string{"x-amz-server-side-encryption-customer-algorithm", "AES256", "x-amz-server-side-encryption-customer-key", "a2V5",
		"x-amz-server-side-encryption-customer-key-MD5", "bWQ1"}
	conditions := []string{"If-Match", `"e"`, "If-None-Match", "*"}
	described := join(owner, customerKey, []string{
		"Cache-Control", "no-cache", "Content-Disposition", "attachment; filename=a", "Content-Encoding", "gzip", "Content-Language", "de", "Content-Type", "text/x-a",
		"Expires", "Wed, 21 Oct 2026 07:28:00 GMT", "x-amz-meta-Made-By", "us", "x-amz-acl", "private", "x-amz-grant-read", "id=1", "x-amz-storage-class", "STANDARD_IA",
		"x-amz-tagging", "a=b", "x-amz-website-redirect-location", "/other", "x-amz-object-lock-mode", "GOVERNANCE", "x-amz-object-lock-retain-until-date", "2027-01-01T00:00:00Z",
		"x-amz-object-lock-legal-hold", "ON", "x-amz-server-side-encryption", "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id", "key", "x-amz-server-side-encryption-context", "e30=",
		"x-amz-server-side-encryption-bucket-key-enabled", "true"})
	made := b.create(key)
	for _, c := range []struct {
		name, method, target, body string
		headers                    []string
	}{
		{"PutObject", "PUT", "/uploads/acme/x", "hello", join(described, conditions, []string{"Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==", "x-amz-checksum-sha256", "c3Vt", "x-amz-sdk-checksum-algorithm", "SHA256"})},
		{"CreateMultipartUpload", "POST", "/uploads/acme/x?uploads", "", join(described, []string{"x-amz-checksum-algorithm", "SHA256", "x-amz-checksum-type", "COMPOSITE"})},
		{"UploadPart", "PUT", "/uploads/" + key + "?partNumber=1&uploadId=" + made, "hello", join(owner, customerKey, []string{"Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==", "x-amz-checksum-crc32", "c3Vt"})},
		{"CompleteMultipartUpload", "POST", "/uploads/" + key + "?uploadId=" + made, partList("hello"), join(owner, customerKey, conditions, []string{
			"x-amz-mp-object-size", "5", "x-amz-checksum-crc32", "c3Vt", "x-amz-checksum-type", "FULL_OBJECT"})},
		{"CopyObject", "PUT", "/uploads/acme/x", "", join(described, []string{"x-amz-copy-source", "uploads/acme/y", "x-amz-copy-source-if-match", `"e"`, "x-amz-metadata-directive", "REPLACE",
			"x-amz-tagging-directive", "REPLACE", "x-amz-source-expected-bucket-owner", "111122223333", "x-amz-copy-source-server-side-encryption-customer-key", "a2V5"})},
		{"GetObject", "GET", "/uploads/acme/x", "", join(owner, customerKey, []string{"Range", "bytes=0-3", "If-Match", `"e"`, "If-Modified-Since", "Wed, 21 Oct 2026 07:28:00 GMT", "x-amz-checksum-mode", "ENABLED"})},
		{"HeadObject", "HEAD", "/uploads/acme/x", "", join(owner, customerKey, []string{"If-None-Match", `"e"`, "x-amz-checksum-mode", "ENABLED"})},
		{"DeleteObject", "DELETE", "/uploads/acme/x", "", join(owner, []string{"If-Match", `"e"`, "x-amz-bypass-governance-retention", "true", "x-amz-if-match-size", "5"})},
		{"GetObjectAttributes", "GET", "/uploads/acme/x?attributes", "", join(owner, []string{"x-amz-object-attributes", "ETag,Checksum", "x-amz-max-parts", "5", "x-amz-part-number-marker", "1"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := b.ask(c.method, c.target, c.body, c.headers...)
			if a.status >= 300 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			mu.Lock()
			defer mu.Unlock()
			for i := 0; i < len(c.headers); i += 2 {
				if v := got.Get(c.headers[i]); v != c.headers[i+1] {
					t.Errorf("storage got %s: %q, want %q", c.headers[i], v, c.headers[i+1])
				}
			}
			for name, want := range answeredByStorage {
				if name == "x-amz-request-id" || name == "x-amz-bucket-region" || name == "x-amz-id-2" { // storage's own affair
					if v := a.header.Get(name); v == want {
						t.Errorf("the client got storage's %s", name)
					}
				} else if v := a.header.Get(name); v != want {
					t.Errorf("the client got %s: %q, want %q", name, v, want)
				}
			}
		})
	}
}

var answeredByStorage = map[string]string{
	"x-amz-version-id": "v", "x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": "key", "x-amz-server-side-encryption-bucket-key-enabled": "true",
	"x-amz-expiration": "soon", "x-amz-request-charged": "requester", "x-amz-checksum-crc32": "c3Vt", "x-amz-checksum-type": "FULL_OBJECT", "x-amz-object-lock-mode": "GOVERNANCE",
	"x-amz-storage-class": "STANDARD_IA", "x-amz-request-id": "storage-1", "x-amz-id-2": "storage-2", "x-amz-bucket-region": "storage-region",
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}
