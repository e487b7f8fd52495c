package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// secureStack speaks https on both sides.
func secureStack(t *testing.T, config ...string) *harness.Stack {
	t.Helper()
	c, err := harness.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config = append([]string{"server:", "  tls: {cert_file: " + c.Cert + ", key_file: " + c.Key + "}"}, config...)
	s := ownStack(t, harness.Setup{StorageTLS: c, Config: config})
	if err := s.Gateway.Trust(c.CA); err != nil {
		t.Fatal(err)
	}
	return s
}

// Over https aws-cli sends its parts in another form: aws-chunked with a trailer, Transfer-Encoding: chunked, no length.
func TestStockAwsCliOverTLS(t *testing.T) {
	s := secureStack(t)
	for _, c := range []struct{ name, config string }{
		{"stock", ""},
		{"checksums when required", "[default]\nrequest_checksum_calculation = when_required\n"},
		{"signed payload", "[default]\ns3 =\n  payload_signing_enabled = true\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := s.NewTenant(t)
			if err := os.WriteFile(n.AwsConfig(), []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{70_000, 20 * mib} {
				path, content := file(t, size)
				object := "s3://" + harness.Bucket + "/" + n.Prefix + "file"
				n.Aws(t, "s3", "cp", "--only-show-errors", path, object)
				head := n.Aws(t, "s3api", "head-object", "--bucket", harness.Bucket, "--key", n.Prefix+"file", "--query", "ContentEncoding", "--output", "text")
				if head != "None\n" {
					t.Errorf("the object's Content-Encoding is %q", head)
				}
				back := filepath.Join(t.TempDir(), "back")
				n.Aws(t, "s3", "cp", "--only-show-errors", object, back)
				sameFile(t, back, content)
			}
		})
	}
}

func TestCurlIsRedirectedOverTLS(t *testing.T) {
	s := secureStack(t)
	n := s.NewTenant(t)
	path, content := file(t, 20*mib)
	key := n.Prefix + "redirected"
	id := create(t, n, key)
	gateway, storage := n.Tap.Up(), s.ToStorage.Up()
	heads := curl(t, n, "--fail", "-L", "-D", "-", "-T", path, "--cacert", s.Gateway.CA,
		"-H", "x-partway-transfer: redirect", "-H", "Authorization: Bearer "+n.Bearer,
		n.Endpoint+"/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id)
	gateway, storage = n.Tap.Up()-gateway, s.ToStorage.Up()-storage
	t.Logf("part of %d bytes, redirected over TLS: %d bytes to the gateway, %d to storage", len(content), gateway, storage)
	if gateway >= 16<<10 || storage < int64(len(content)) {
		t.Errorf("%d bytes to the gateway, %d to storage, for a part of %d", gateway, storage, len(content))
	}
	if !strings.HasPrefix(heads, "HTTP/1.1 307") || !strings.Contains(heads, "ocation: https://"+s.ToStorage.Addr()+"/") {
		t.Errorf("answers:\n%s", heads)
	}
	if a := complete(t, n, key, id, lastETag(t, heads)); a.StatusCode != http.StatusOK || a.Code != "" {
		t.Fatalf("Complete: %s %s", a.Status, a.Text)
	}
	get := n.Do(t, n.Request(t, http.MethodGet, "/"+harness.Bucket+"/"+key, ""))
	if get.Text != string(content) {
		t.Errorf("%d bytes back, not the %d sent", len(get.Text), len(content))
	}
}

func TestCommandsTrustTheCAThatTheyAreGiven(t *testing.T) {
	s := secureStack(t)
	args := []string{"token", "list", "--endpoint", s.Gateway.Endpoint, "--token", s.Gateway.Operator}
	if out, err := harness.Run(t.Context(), nil, s.Bin, append(args, "--ca", s.Gateway.CA)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := harness.Run(t.Context(), []string{"PARTWAY_CA=" + s.Gateway.CA}, s.Bin, args...); err != nil {
		t.Errorf("PARTWAY_CA: %v", err)
	}
	if _, err := harness.Run(t.Context(), nil, s.Bin, args...); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its CA: %v, want a word about the certificate", err)
	}
}
