package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// Under server.domains a bucket is a sub-domain, which is what newer SDKs do unless told otherwise. No name server knows the domain
// here: curl and boto3 are told its address.
func TestVirtualHostStyle(t *testing.T) {
	n := ownStack(t, harness.Setup{Config: []string{"server: {domains: [s3.test]}"}}).NewTenant(t)
	path, content := file(t, 9*mib)
	back := filepath.Join(t.TempDir(), "back")
	host := harness.Bucket + ".s3.test:" + n.Tap.Port()

	t.Run("boto3", func(t *testing.T) {
		n.Python(t, `
import sys, socket, boto3, botocore.config
bucket, key, path, back, endpoint = sys.argv[1:]
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *a, **k: real("127.0.0.1" if host.endswith(".s3.test") else host, *a, **k)
asked = []
s3 = boto3.client("s3", endpoint_url=endpoint, config=botocore.config.Config(s3={"addressing_style": "virtual"}))
s3.meta.events.register("before-send.s3", lambda request, **_: asked.append(request.url))
s3.upload_file(path, bucket, key)
s3.download_file(bucket, key, back)
assert [o["Key"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]] == [key]
assert all(u.startswith(endpoint.replace("//", "//" + bucket + ".")) for u in asked), asked
`, harness.Bucket, n.Prefix+"virtual", path, back, "http://s3.test:"+n.Tap.Port())
		sameFile(t, back, content)
	})
	t.Run("curl, redirected", func(t *testing.T) {
		heads := curl(t, n, "--fail", "-L", "-D", "-", "-T", path, "--resolve", host+":127.0.0.1", "-H", "x-partway-transfer: redirect",
			"-H", "Authorization: Bearer "+n.Bearer, "http://"+host+"/"+n.Prefix+"redirected")
		if !strings.HasPrefix(heads, "HTTP/1.1 307") {
			t.Errorf("answers:\n%s", heads)
		}
	})
	t.Run("the API's paths are keys there", func(t *testing.T) {
		out := curl(t, n, "-w", "%{http_code}", "--resolve", host+":127.0.0.1", "-H", "Authorization: Bearer "+n.Bearer, "http://"+host+"/_partway/health")
		if !strings.HasSuffix(out, "403") || !strings.Contains(out, "AccessDenied") {
			t.Errorf("/_partway/health of a bucket's host: %s", out)
		}
	})
	t.Run("path style", func(t *testing.T) {
		if err := os.Remove(back); err != nil {
			t.Fatal(err)
		}
		n.Aws(t, "s3", "cp", "--only-show-errors", "s3://"+harness.Bucket+"/"+n.Prefix+"redirected", back)
		sameFile(t, back, content)
	})
}
