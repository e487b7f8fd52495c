package e2e

import (
	"net/http"
	"strings"
	"testing"

	"partway/e2e/harness"
)

func TestTokensMaxObjectBytes(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.Name, func(t *testing.T) {
			n := s.NewTenant(t, func(s *harness.Scope) { s.MaxObjectBytes = 1000 })
			put := func(target string, size int, wish string) harness.Answer {
				r := n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+target, strings.Repeat("x", size))
				r.Header.Set("x-partway-transfer", wish)
				return n.Do(t, r)
			}
			for _, wish := range []string{"relay", "redirect"} {
				refused(t, n, put(n.Prefix+"large", 1001, wish), 400, "EntityTooLarge", true)
			}
			if a := put(n.Prefix+"fits", 1000, "relay"); a.StatusCode != http.StatusOK {
				t.Errorf("an object of the limit: %s %s", a.Status, a.Text)
			}

			key := n.Prefix + "parts"
			id := create(t, n, key)
			part := func(number, wish string, size int) harness.Answer {
				return put(key+"?uploadId="+id+"&partNumber="+number, size, wish)
			}
			first := part("1", "relay", 600)
			if first.StatusCode != http.StatusOK {
				t.Errorf("first part: %s %s", first.Status, first.Text)
			}
			refused(t, n, part("2", "relay", 600), 400, "EntityTooLarge", true)
			refused(t, n, part("2", "redirect", 600), 400, "EntityTooLarge", true)
			if a := complete(t, n, key, id, first.Header.Get("ETag")); a.StatusCode != http.StatusOK {
				t.Errorf("Complete within the limit: %s %s", a.Status, a.Text)
			}
		})
	}
}

// A tenant's total holds what is put together and what is put whole, and is there for it to read.
func TestTokensMaxTenantBytes(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.Name, func(t *testing.T) {
			n := s.NewTenant(t, func(s *harness.Scope) { s.MaxTenantBytes, s.MaxPartBytes = 1000, 700 })
			send := func(target string, size int) harness.Answer {
				return n.Do(t, n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+target, strings.Repeat("x", size)))
			}
			key := n.Prefix + "parts"
			id := create(t, n, key)
			refused(t, n, send(key+"?partNumber=1&uploadId="+id, 701), 400, "EntityTooLarge", true)
			part := send(key+"?partNumber=1&uploadId="+id, 700)
			if a := send(n.Prefix+"whole", 400); a.StatusCode != http.StatusOK {
				t.Fatalf("the first object: %s %s", a.Status, a.Text)
			}
			refused(t, n, complete(t, n, key, id, part.Header.Get("ETag")), 400, "EntityTooLarge", true)
			refused(t, n, send(n.Prefix+"larger", 601), 400, "EntityTooLarge", true)
			if a := send(n.Prefix+"fits", 600); a.StatusCode != http.StatusOK {
				t.Errorf("what fits: %s %s", a.Status, a.Text)
			}
			usage := n.Do(t, n.Request(t, http.MethodGet, "/_partway/usage", ""))
			if !strings.Contains(usage.Text, `"bytes":1000,"pending_bytes":0`) {
				t.Errorf("usage: %s %s", usage.Status, usage.Text)
			}
		})
	}
}

func TestTokensMaxOpenUploads(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.Name, func(t *testing.T) {
			n := s.NewTenant(t, func(s *harness.Scope) { s.MaxOpenUploads = 1 })
			key := n.Prefix + "one"
			id := create(t, n, key)
			second := n.Do(t, n.Request(t, http.MethodPost, "/"+harness.Bucket+"/"+n.Prefix+"two?uploads", ""))
			refused(t, n, second, 503, "SlowDown", true)
			if second.Header.Get("Retry-After") == "" {
				t.Error("SlowDown without Retry-After")
			}
			finish(t, n, key, id)
			finish(t, n, n.Prefix+"two", create(t, n, n.Prefix+"two"))
		})
	}
}

func TestTokensNoOverwrite(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.Name, func(t *testing.T) {
			n := s.NewTenant(t, func(s *harness.Scope) { s.NoOverwrite = true })
			key := n.Prefix + "kept"
			put := func(body string) harness.Answer { // not by redirect, which could not carry the condition
				return n.Do(t, redirected(n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key, body)))
			}
			if a := put("first"); a.StatusCode != http.StatusOK {
				t.Fatalf("first: %s %s", a.Status, a.Text)
			}
			refused(t, n, put("second"), 412, "PreconditionFailed", true)
			id := create(t, n, key)
			part := n.Do(t, n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id, "third"))
			refused(t, n, complete(t, n, key, id, part.Header.Get("ETag")), 412, "PreconditionFailed", true)
			if a := n.Do(t, n.Request(t, http.MethodGet, "/"+harness.Bucket+"/"+key, "")); a.Text != "first" {
				t.Errorf("the object is %q", a.Text)
			}
		})
	}
}

func TestTokensForceHeaders(t *testing.T) {
	for _, s := range stacks {
		t.Run(s.Name, func(t *testing.T) {
			n := s.NewTenant(t, func(s *harness.Scope) {
				s.ForceHeaders = map[string]string{"content-type": "text/forced", "x-amz-meta-owner": "acme"}
			})
			key := n.Prefix + "put"
			put := n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key, "body")
			put.Header.Set("Content-Type", "text/own")
			put.Header.Set("x-amz-meta-owner", "nobody")
			put.Header.Set("x-partway-transfer", "redirect")
			if a := n.Do(t, put); a.StatusCode != http.StatusOK {
				t.Fatalf("PutObject: %s %s", a.Status, a.Text)
			}
			parts := n.Prefix + "parts"
			finish(t, n, parts, create(t, n, parts))
			for _, key := range []string{key, parts} {
				head := n.Do(t, n.Request(t, http.MethodHead, "/"+harness.Bucket+"/"+key, ""))
				if head.Header.Get("Content-Type") != "text/forced" || head.Header.Get("x-amz-meta-owner") != "acme" {
					t.Errorf("%s has headers %v", key, head.Header)
				}
			}
		})
	}
}

// A token's roads: one that may only be redirected never makes the gateway carry bytes, one that may only be relayed never shows
// storage.
func TestTokensRoads(t *testing.T) {
	for _, c := range []struct {
		name, road, wish string
		status           int
		code, says       string
	}{
		{"redirect alone", "redirect", "", 307, "TemporaryRedirect", "redirect;reason=token"},
		{"redirect alone, relay asked for", "redirect", "relay", 403, "AccessDenied", "none"},
		{"relay alone, redirect asked for", "relay", "redirect", 200, "", "relay;reason=policy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := stacks[1].NewTenant(t, func(s *harness.Scope) { s.Transfer = []string{c.road} })
			r := n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+n.Prefix+"body", "body")
			if c.wish != "" {
				r.Header.Set("x-partway-transfer", c.wish)
			}
			a := n.Do(t, r)
			if got := a.Header.Get("x-partway-transfer"); a.StatusCode != c.status || a.Code != c.code || !strings.HasPrefix(got, c.says) {
				t.Errorf("%s %s by %s, want %d by %s", a.Status, a.Code, got, c.status, c.says)
			}
		})
	}
}

func TestAHeadBeyondTheLimitIsRefused(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		r := n.Request(t, http.MethodGet, "/"+harness.Bucket+"?list-type=2&prefix="+n.Prefix, "")
		r.Header.Set("x-amz-meta-long", strings.Repeat("x", 17<<10))
		a := n.Do(t, r)
		if a.StatusCode != http.StatusBadRequest || !a.Close {
			t.Errorf("%s, close %v; want 400 and close", a.Status, a.Close)
		}
		n.Unauthenticated(a.ID)
	})
}
