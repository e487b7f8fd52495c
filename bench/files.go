package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// files that the processes of a run share.
type files struct {
	zeros     string // a sparse file of 1 GiB, which clients send by sendfile, so that they cost little beside what is measured
	cert, key string // PEM, of 127.0.0.1 and localhost, which everybody trusts
	pair      string // both in one file, as HAProxy wants them
	roots     *x509.CertPool
}

func makeFiles(dir string) (f files, err error) {
	f = files{
		zeros: filepath.Join(dir, "zeros"), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), pair: filepath.Join(dir, "pair.pem"),
		roots: x509.NewCertPool(),
	}
	cert, key, err := newCertificate()
	if err != nil {
		return f, err
	}
	f.roots.AppendCertsFromPEM(cert)
	for path, content := range map[string][]byte{f.zeros: nil, f.cert: cert, f.key: key, f.pair: append(cert, key...)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return f, err
		}
	}
	return f, os.Truncate(f.zeros, 1<<30)
}

func newCertificate() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "partway bench"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	scalar, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: scalar}), nil
}

// clientTLS is TLS 1.3 with full records from the first one on, as OpenSSL's clients send.
func (f files) clientTLS() *tls.Config {
	return &tls.Config{RootCAs: f.roots, ServerName: "localhost", MinVersion: tls.VersionTLS13, DynamicRecordSizingDisabled: true}
}
