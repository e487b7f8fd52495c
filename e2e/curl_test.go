package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// curl runs curl and returns stdout.
func curl(t *testing.T, n *harness.Tenant, args ...string) string {
	t.Helper()
	out, err := harness.Run(t.Context(), nil, "curl", append([]string{"-sS"}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, n.Gateway.Tail())
	}
	return out
}

var uploadID = regexp.MustCompile(`<UploadId>([^<]+)</UploadId>`)

// create starts an upload with the tenant's bearer and returns its id.
func create(t *testing.T, n *harness.Tenant, key string) string {
	t.Helper()
	a := n.Do(t, n.Request(t, http.MethodPost, "/"+harness.Bucket+"/"+key+"?uploads", ""))
	m := uploadID.FindStringSubmatch(a.Text)
	if a.StatusCode != http.StatusOK || m == nil {
		t.Fatalf("CreateMultipartUpload: %s %s", a.Status, a.Text)
	}
	return m[1]
}

// complete ends an upload whose parts 1, 2, ... have these ETags.
func complete(t *testing.T, n *harness.Tenant, key, id string, etags ...string) harness.Answer {
	t.Helper()
	return n.Do(t, n.Request(t, http.MethodPost, "/"+harness.Bucket+"/"+key+"?uploadId="+id, partList(etags...)))
}

func partList(etags ...string) string {
	var b strings.Builder
	b.WriteString("<CompleteMultipartUpload>")
	for i, etag := range etags {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, etag)
	}
	b.WriteString("</CompleteMultipartUpload>")
	return b.String()
}

// lastETag among the heads of answers.
func lastETag(t *testing.T, heads string) string {
	t.Helper()
	etags := regexp.MustCompile(`(?i)\r\netag: *([^\r]+)`).FindAllStringSubmatch(heads, -1)
	if etags == nil {
		t.Fatalf("no ETag from storage:\n%s", heads)
	}
	return etags[len(etags)-1][1]
}

// toStorage is what storage was sent so far, from the gateway and past it; 0 where storage has no tap.
func toStorage(n *harness.Tenant) int64 {
	if n.ToStorage == nil {
		return 0
	}
	return n.ToStorage.Up()
}

func TestCurlIsRedirectedBeforeTheBodyLeaves(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		path, content := file(t, 20*mib)
		key := n.Prefix + "redirected"
		id := create(t, n, key)
		gatewayBefore, storageBefore := n.Tap.Up(), toStorage(n)

		heads := filepath.Join(t.TempDir(), "heads")
		curl(t, n, "--fail", "-L", "-D", heads, "-T", path,
			"-H", "x-partway-transfer: redirect", "-H", "Authorization: Bearer "+n.Bearer,
			n.Endpoint+"/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id)

		gateway, storage := n.Tap.Up()-gatewayBefore, toStorage(n)-storageBefore
		t.Logf("part of %d bytes, redirected: %d bytes to the gateway, %d to storage's tap", len(content), gateway, storage)
		if gateway >= 16<<10 {
			t.Errorf("the gateway was sent %d bytes for a part of %d, want headers alone", gateway, len(content))
		}
		if n.ToStorage != nil && (storage < int64(len(content)) || storage > int64(len(content))+64<<10) {
			t.Errorf("storage was sent %d bytes for a part of %d", storage, len(content))
		}
		head, err := os.ReadFile(heads)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(head), "\r\n\r\n")
		if !strings.HasPrefix(first, "HTTP/1.1 307") || !strings.Contains(strings.ToLower(first), "x-partway-transfer: redirect;reason=client-asked") {
			t.Errorf("first answer, without a 100 Continue before it:\n%s", first)
		}
		if strings.Contains(first, n.SecretAccessKey) || strings.Contains(strings.ToLower(first), "x-amz-bucket-region") {
			t.Errorf("the redirect gives away too much:\n%s", first)
		}
		if a := complete(t, n, key, id, lastETag(t, string(head))); a.StatusCode != http.StatusOK || a.Code != "" {
			t.Fatalf("Complete: %s %s", a.Status, a.Text)
		}
		back := filepath.Join(t.TempDir(), "back")
		curl(t, n, "--fail", "-o", back, "-H", "Authorization: Bearer "+n.Bearer, n.Endpoint+"/"+harness.Bucket+"/"+key)
		sameFile(t, back, content)

		parts := events(t, n, "UploadPart")
		if len(parts) != 1 || parts[0].Road != "redirect" || parts[0].Reason != "client-asked" || parts[0].Outcome != "granted" {
			t.Errorf("UploadPart events: %v, want one that was granted by redirect", parts)
		}
	})
}

func TestCurlPutObjectIsRedirected(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		path, content := file(t, 3*mib)
		key := n.Prefix + "put"
		curl(t, n, "--fail", "-L", "-T", path, "-H", "x-partway-transfer: redirect", "-H", "Authorization: Bearer "+n.Bearer,
			n.Endpoint+"/"+harness.Bucket+"/"+key)
		if got := n.Tap.Up(); got >= 16<<10 {
			t.Errorf("the gateway was sent %d bytes", got)
		}
		back := filepath.Join(t.TempDir(), "back")
		curl(t, n, "--fail", "-o", back, "-H", "Authorization: Bearer "+n.Bearer, n.Endpoint+"/"+harness.Bucket+"/"+key)
		sameFile(t, back, content)
	})
}

func TestCurlWithoutTheWishIsRelayed(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		path, content := file(t, 3*mib)
		key := n.Prefix + "relayed"
		head := curl(t, n, "--fail", "-D", "-", "-T", path, "-H", "Authorization: Bearer "+n.Bearer, n.Endpoint+"/"+harness.Bucket+"/"+key)
		if !strings.Contains(strings.ToLower(head), "x-partway-transfer: relay;reason=default") {
			t.Errorf("answer:\n%s", head)
		}
		if got := n.Tap.Up(); got < int64(len(content)) {
			t.Errorf("the gateway was sent %d bytes of %d", got, len(content))
		}
	})
}

// A client that declares 5 GiB and waits for 100 Continue has been answered for good before it sends a byte.
func TestRedirectOfFiveGiBNeverSent(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		key := n.Prefix + "never-sent"
		id := create(t, n, key)
		for _, expect := range []string{"Expect: 100-continue\r\n", "Expect: 100-Continue\r\n", "expect: 100-CONTINUE\r\n", ""} {
			a := n.Raw(t, "PUT /"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id+" HTTP/1.1\r\n"+
				"Host: localhost:"+n.Tap.Port()+"\r\n"+
				"Content-Length: 5368709120\r\nx-partway-transfer: redirect\r\nAuthorization: Bearer "+n.Bearer+"\r\n"+expect+"\r\n")
			if a.StatusCode != http.StatusTemporaryRedirect {
				t.Errorf("%q: first answer %s %s, want 307", expect, a.Status, a.Text)
			}
			if !a.Close {
				t.Errorf("%q: the connection stays open before an unread body", expect)
			}
			if a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%q: Cache-Control %q", expect, a.Header.Get("Cache-Control"))
			}
		}
		if a := n.Do(t, n.Request(t, http.MethodDelete, "/"+harness.Bucket+"/"+key+"?uploadId="+id, "")); a.StatusCode != http.StatusNoContent {
			t.Errorf("abort: %s %s", a.Status, a.Text)
		}
	})
}
