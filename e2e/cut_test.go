package e2e

import (
	"io"
	"net/http"
	"testing"
	"time"

	"partway/e2e/harness"
)

// An upload that breaks off must leave what was there: some storage takes a body that ends early, by a polite close, for all of it.
func TestACutBodyLeavesTheOldObject(t *testing.T) {
	certificates, err := harness.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		tls  *harness.Certificates // of storage
		cut  func(t *testing.T, n *harness.Tenant, conn io.Closer)
	}{
		{"by the client", nil, func(_ *testing.T, _ *harness.Tenant, conn io.Closer) { conn.Close() }},
		{"by the client, storage over TLS", certificates, func(_ *testing.T, _ *harness.Tenant, conn io.Closer) { conn.Close() }},
		{"by the gateway's death", nil, func(t *testing.T, n *harness.Tenant, _ io.Closer) {
			n.Gateway.Kill()
			again(t, n)
		}},
		{"by the end of the drain", nil, func(t *testing.T, n *harness.Tenant, _ io.Closer) {
			terminate(t, n.Gateway)
			if err := n.Gateway.End(15 * time.Second); err != nil {
				t.Error(err)
			}
			again(t, n)
			for _, e := range events(t, n, "PutObject") {
				if e.Outcome != "ok" {
					n.Unanswered(e.RequestID)
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := ownStack(t, harness.Setup{StorageTLS: c.tls, Config: []string{"server: {drain: 1s}"}}).NewTenant(t)
			key := n.Prefix + "object"
			object := "/" + harness.Bucket + "/" + key
			if a := n.Do(t, n.Request(t, http.MethodPut, object, "whole")); a.StatusCode != http.StatusOK {
				t.Fatalf("%s %s", a.Status, a.Text)
			}
			c.cut(t, n, halfSent(t, n, key))
			// However storage ends the cut body, it has done so by the time that it has taken another one.
			if a := n.Do(t, n.Request(t, http.MethodPut, object+".next", "next")); a.StatusCode != http.StatusOK {
				t.Fatalf("%s %s", a.Status, a.Text)
			}
			if a := n.Do(t, n.Request(t, http.MethodGet, object, "")); a.Text != "whole" {
				t.Errorf("the object has %d bytes now", len(a.Text))
			}
		})
	}
}
