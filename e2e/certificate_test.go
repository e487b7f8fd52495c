package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"partway/e2e/harness"
)

// A certificate is renewed, then one that is no good is put in its place, while clients keep connecting: no handshake fails, connections from
// before live on, and the good one stays.
func TestCertificatesAreRenewedUnderLoad(t *testing.T) {
	old, err1 := harness.NewCertificates(t.TempDir())
	renewed, err2 := harness.NewCertificates(t.TempDir())
	served, err3 := harness.NewCertificates(t.TempDir())
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	install := func(chain, key string) {
		t.Helper()
		put(t, key, served.Key)
		put(t, chain, served.Cert)
	}
	install(old.Cert, old.Key)
	s := ownStack(t, harness.Setup{Config: []string{"server: {tls: {cert_file: " + served.Cert + ", key_file: " + served.Key + "}}"}})
	if err := s.Gateway.Trust(old.CA); err != nil {
		t.Fatal(err)
	}
	addr := s.Gateway.Addr()
	trust := harness.Trusting(t, old.CA, renewed.CA)
	before := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	defer before.CloseIdleConnections()
	health(t, before, addr)

	var shown atomic.Pointer[[]byte] // the leaf that was last shown
	var handshakes atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				leaf, err := handshake(addr, trust)
				if err != nil {
					t.Error(err)
					return
				}
				shown.Store(&leaf)
				handshakes.Add(1)
			}
		})
	}
	defer load.Wait()
	defer cancel()

	install(renewed.Cert, renewed.Key)
	want := renewed.Server(t).Certificates[0].Certificate[0]
	err := harness.Await(withTimeout(t, 20*time.Second), "the renewed certificate", s.Gateway.Process, func() bool {
		leaf := shown.Load()
		return leaf != nil && bytes.Equal(*leaf, want)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Gateway.Trust(renewed.CA); err != nil {
		t.Fatal(err)
	}

	install(old.Cert, renewed.Key)
	reloads := func() float64 {
		n, err := s.Gateway.Metric(t.Context(), "partway_tls_certificate_reloads_total")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if err := harness.Await(withTimeout(t, 20*time.Second), "the word about a bad pair", s.Gateway.Process, func() bool { return reloads() == 2 }); err != nil {
		t.Fatal(err)
	}
	if leaf, err := handshake(addr, trust); err != nil || !bytes.Equal(leaf, want) {
		t.Errorf("with a bad pair in place another certificate is shown (%v)", err)
	}
	health(t, before, addr)
	t.Logf("%d handshakes", handshakes.Load())
}

// put replaces a file at once.
func put(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = errors.Join(os.WriteFile(to+".new", b, 0o600), os.Rename(to+".new", to))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// handshake returns the leaf that a new connection is shown.
func handshake(addr string, trust *tls.Config) ([]byte, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", addr, trust)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Raw, nil
}

func health(t *testing.T, client *http.Client, addr string) {
	t.Helper()
	resp, err := client.Get("https://" + addr + "/_partway/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil { // the connection is kept then
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Errorf("health: %s", resp.Status)
	}
}
