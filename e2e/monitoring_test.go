package e2e

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// bare asks without any token.
func bare(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestReadyNamesItsParts(t *testing.T) {
	for i, want := range [][]string{{"storage", "store"}, {"mongodb", "redis", "storage"}} {
		t.Run(stacks[i].Name, func(t *testing.T) {
			status, body := bare(t, stacks[i].Gateway.Endpoint+"/_partway/ready")
			var ready struct {
				Status string            `json:"status"`
				Parts  map[string]string `json:"parts"`
			}
			err := json.Unmarshal([]byte(body), &ready)
			if err != nil || status != http.StatusOK || ready.Status != "ok" || !slices.Equal(slices.Sorted(maps.Keys(ready.Parts)), want) {
				t.Errorf("ready says %d %s (%v), want the parts %v", status, body, err, want)
			}
			for part, state := range ready.Parts {
				if state != "ok" {
					t.Errorf("%s is %s", part, state)
				}
			}
		})
	}
}

func TestMetricsAreTheOperators(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		finish(t, n, n.Prefix+"counted", create(t, n, n.Prefix+"counted"))
		endpoint := n.Gateway.Endpoint + "/_partway/metrics"
		if status, _ := bare(t, endpoint); status != http.StatusForbidden {
			t.Errorf("without a token: %d, want 403", status)
		}
		text, err := harness.Run(t.Context(), nil, "curl", "-sS", "--fail", "-H", "Authorization: Bearer "+n.Gateway.Operator, endpoint)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`partway_requests_total{code="ok",operation="CompleteMultipartUpload",road="none"}`,
			`partway_decisions_total{reason="default",road="relay"}`,
			`partway_transfer_bytes_total{direction="in",road="relay"}`,
			`partway_client_bytes_total{direction="in"}`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("metrics without %s", want)
			}
		}
		for _, secret := range []string{n.Name, n.AccessKeyID, n.Bearer} {
			if strings.Contains(text, secret) {
				t.Errorf("metrics show %q", secret)
			}
		}
	})
}

func TestAdminListenAnswersWithoutAToken(t *testing.T) {
	c, err := harness.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	// A socket address that is free now; the port 0 of a test would not be known.
	addr, err := harness.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	s := ownStack(t, harness.Setup{Config: []string{"server:", "  admin_listen: " + addr, "  tls: {cert_file: " + c.Cert + ", key_file: " + c.Key + "}"}})
	if err := s.Gateway.Trust(c.CA); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/health": `"ok"`, "/ready": `"storage":"ok"`, "/metrics": `partway_dependency_up{name="storage"} 1`} {
		if status, body := bare(t, "http://"+addr+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, body := bare(t, "http://"+addr+"/"+filepath.Join(harness.Bucket, "key")); status != http.StatusNotFound {
		t.Errorf("an object at the admin address: %d %s", status, body)
	}
}
