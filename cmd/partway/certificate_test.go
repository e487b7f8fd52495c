package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partway/cmd/partway/config"
)

// pemPair is a self-signed certificate with this serial number, and its key.
func pemPair(t *testing.T, serial int64, ends time.Time) (chain, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: ends.Add(-24 * time.Hour), NotAfter: ends, DNSNames: []string{"localhost"}}
	der, err1 := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	pkcs8, err2 := x509.MarshalPKCS8PrivateKey(k)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// certificateMetrics are the reloads by their result, and "" the expiry.
func certificateMetrics(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			if len(m.Label) == 0 {
				found[""] = m.Gauge.GetValue()
				continue
			}
			found[m.Label[0].GetValue()] = m.Counter.GetValue()
		}
	}
	return found
}

// A renewed pair is served once both files are there; anything else leaves the old one, and is told once.
func TestARenewedCertificateIsTakenUpAndABadOneIsNot(t *testing.T) {
	dir := t.TempDir()
	files := config.TLS{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	end := time.Now().Add(time.Hour)
	chain1, key1 := pemPair(t, 1, end)
	chain2, key2 := pemPair(t, 2, end.Add(time.Hour))
	ended, endedKey := pemPair(t, 3, time.Now())
	early, earlyKey := pemPair(t, 4, end.AddDate(0, 0, 2))
	write(t, files.CertFile, chain1)
	write(t, files.KeyFile, key1)
	var said bytes.Buffer
	registry := prometheus.NewRegistry()
	c, err := newServedCertificate(files, slog.New(slog.NewTextHandler(&said, nil)), registry, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name       string
		chain, key []byte // nil: the file is gone
		looks      int
		serial     int64
		ok, failed float64
	}{
		{"nothing new", chain1, key1, 2, 1, 0, 0},
		{"half a renewal", chain2, key1, 1, 1, 0, 0},
		{"the other half", chain2, key2, 1, 2, 1, 0},
		{"a pair that stays none", chain1, key2, 2, 2, 1, 1},
		{"it is told once", chain1, key2, 3, 2, 1, 1},
		{"no PEM", []byte("nothing"), key2, 2, 2, 1, 2},
		{"no file", nil, key2, 2, 2, 1, 3},
		{"ended", ended, endedKey, 2, 2, 1, 4},
		{"not begun", early, earlyKey, 2, 2, 1, 5},
		{"as it was", chain2, key2, 2, 2, 1, 5},
		{"back", chain1, key1, 1, 1, 2, 5},
	} {
		for file, b := range map[string][]byte{files.CertFile: step.chain, files.KeyFile: step.key} {
			if b == nil {
				_ = os.Remove(file)
				continue
			}
			write(t, file, b)
		}
		for range step.looks {
			c.look()
		}
		served, err := c.config().GetCertificate(nil)
		if err != nil || served.Leaf.SerialNumber.Int64() != step.serial {
			t.Errorf("%s: serves %v (%v), want certificate %d", step.name, served.Leaf.SerialNumber, err, step.serial)
		}
		want := map[string]float64{"ok": step.ok, "failed": step.failed, "": float64(served.Leaf.NotAfter.Unix())}
		if got := certificateMetrics(t, registry); !maps.Equal(got, want) {
			t.Errorf("%s: reloads and expiry are %v, want %v", step.name, got, want)
		}
	}
	if strings.Count(said.String(), "is no good") != 5 || strings.Contains(said.String(), "PRIVATE KEY") {
		t.Errorf("said:\n%s", said.String())
	}
}

func TestOldProtocolsAreRefused(t *testing.T) {
	dir := t.TempDir()
	files := config.TLS{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}
	chain, key := pemPair(t, 1, time.Now().Add(time.Hour))
	write(t, files.CertFile, chain)
	write(t, files.KeyFile, key)
	c, err := newServedCertificate(files, slog.New(slog.DiscardHandler), prometheus.NewRegistry(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		server, client := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- tls.Server(server, c.config()).Handshake() }()
		err := tls.Client(client, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version, NextProtos: []string{"h2", "http/1.1"}}).Handshake()
		server.Close()
		if serverErr := <-done; (err == nil && serverErr == nil) != ok {
			t.Errorf("TLS %x: %v, %v, want it to be %v", version, err, serverErr, ok)
		}
		client.Close()
	}
}
