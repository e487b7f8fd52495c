package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// The commands that ask a running gateway, with an operator's bearer.
func TestCommandsShowUploadsAuditAndTokens(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		key := n.Prefix + "shown"
		id := create(t, n, key)
		finish(t, n, key, id)
		env := []string{"PARTWAY_ENDPOINT=" + n.Gateway.Endpoint, "PARTWAY_TOKEN=" + n.Gateway.Operator}
		partway := func(args ...string) string {
			t.Helper()
			out, err := harness.Run(t.Context(), env, n.Bin, args...)
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		if out := partway("uploads", "--tenant", n.Name); !strings.Contains(out, key) || !strings.Contains(out, "completed") {
			t.Errorf("uploads:\n%s", out)
		}
		var upload harness.Upload
		if err := json.Unmarshal([]byte(partway("uploads", id, "--json")), &upload); err != nil || upload.Key != key || upload.State != "completed" {
			t.Errorf("uploads ID --json: %+v, %v", upload, err)
		}
		out := partway("audit", "--tenant", n.Name)
		for _, want := range []string{"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", key} {
			if !strings.Contains(out, want) {
				t.Errorf("audit does not say %q:\n%s", want, out)
			}
		}
		if strings.Contains(out, n.SecretAccessKey) || strings.Contains(out, n.Bearer) {
			t.Error("the audit shows a secret")
		}

		bearer := strings.TrimSpace(partway("token", "issue", "--tenant", n.Name, "--bucket", harness.Bucket, "--prefix", n.Prefix, "--actions", "GetObject,ListBucket", "--format", "bearer"))
		get := n.Request(t, http.MethodGet, "/"+harness.Bucket+"/"+key, "")
		get.Header.Set("Authorization", "Bearer "+bearer)
		if a := n.Do(t, get); a.StatusCode != http.StatusOK {
			t.Errorf("read with the issued bearer: %s %s", a.Status, a.Text)
		}
		put := n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key, "x")
		put.Header.Set("Authorization", "Bearer "+bearer)
		refused(t, n, n.Do(t, put), 403, "AccessDenied", true)
	})
}
