package e2e

import (
	"net/http"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// byRole makes redirects be signed by a role that is assumed for each tenant's prefix.
var byRole = []string{"presign_put:", "  access_key_id: " + harness.StorageKey, "  secret_access_key: " + harness.StorageSecret, "  role_arn: arn:aws:iam::1:role/put"}

// locationOf is where the gateway redirects a PUT of body.
func locationOf(t *testing.T, n *harness.Tenant, target, body string) string {
	t.Helper()
	req := n.Request(t, http.MethodPut, target, body)
	req.Header.Set("x-partway-transfer", "redirect")
	a := n.Do(t, req)
	if a.StatusCode != http.StatusTemporaryRedirect {
		t.Fatalf("%s %s", a.Status, a.Text)
	}
	return a.Header.Get("Location")
}

// follow puts body to a signed URL, with a header that nobody signed, if any.
func follow(t *testing.T, url, body, name, value string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if name != "" {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// On a storage that honours an unsigned x-amz-copy-source one identity for everything lets a tenant read another's object, and a role does not.
func TestCopySourceOnMinIO(t *testing.T) {
	for _, c := range []struct {
		name    string
		backend []string
		status  int // of the attack
		doctor  string
	}{
		{"one identity", nil, 200, "ANOTHER TENANT'S BYTES ARRIVED"},
		{"a role", byRole, 403, "unsigned x-amz-copy-source: UploadPart    refused: 403 AccessDenied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := ownStack(t, harness.Setup{MinIO: true, Backend: c.backend})
			victim, n := s.NewTenant(t), s.NewTenant(t)
			secret := victim.Do(t, victim.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+victim.Prefix+"secret", "theirs alone"))
			if secret.StatusCode != http.StatusOK {
				t.Fatal(secret.Status)
			}
			key := n.Prefix + "part"
			id := create(t, n, key)
			part := "/" + harness.Bucket + "/" + key + "?partNumber=1&uploadId=" + id
			if got := follow(t, locationOf(t, n, part, "mine"), "mine", "x-amz-copy-source", "/"+harness.Bucket+"/"+victim.Prefix+"secret"); got != c.status {
				t.Errorf("the attack got %d, want %d", got, c.status)
			}
			if got := follow(t, locationOf(t, n, part, "mine"), "mine", "", ""); got != http.StatusOK {
				t.Errorf("a plain part got %d", got)
			}
			if a := n.Do(t, n.Request(t, http.MethodDelete, "/"+harness.Bucket+"/"+key+"?uploadId="+id, "")); a.StatusCode != http.StatusNoContent {
				t.Errorf("abort: %s %s", a.Status, a.Text)
			}
			// The doctor says the same, beside the running gateway.
			said, err := harness.Run(t.Context(), nil, binary, "doctor", "--config", s.Config)
			if (err != nil) != (c.status == 200) || !strings.Contains(said, c.doctor) {
				t.Errorf("doctor: %v\n%s", err, said)
			}
			if strings.Contains(said, harness.StorageSecret) {
				t.Error("the doctor shows the secret")
			}
		})
	}
}
