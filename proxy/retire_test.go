package proxy

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// A gateway that retires serves everybody, on new connections too, and leaves nobody a connection that would be closed under the next request.
func TestARetiringGatewayServesAndLetsGo(t *testing.T) {
	b := newBench(t)
	client := &http.Client{}
	defer client.CloseIdleConnections()
	ask := func(method, path, body string) (status int, closes bool, text string) {
		t.Helper()
		req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+b.tenant)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Close, string(said)
	}
	if status, closes, _ := ask("GET", "/_partway/ready", ""); status != 200 || closes {
		t.Fatalf("before: ready is %d, close %v", status, closes)
	}
	b.gateway.Retire()
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/_partway/ready", "", 503},
		{"GET", "/_partway/health", "", 200},
		{"PUT", "/uploads/acme/a", "body", 200},
		{"GET", "/uploads/acme/a", "", 200},
		{"POST", "/uploads/acme/a?uploads", "", 200},
	} {
		if status, closes, said := ask(c.method, c.path, c.body); status != c.status || !closes {
			t.Errorf("%s %s: %d, close %v, want %d and a close: %s", c.method, c.path, status, closes, c.status, said)
		}
	}
}
