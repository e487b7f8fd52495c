package harness

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificates are paths of PEM files: a CA, and a chain and key for localhost and 127.0.0.1, which Both holds in one.
type Certificates struct{ CA, Cert, Key, Both string }

// NewCertificates makes them, in dir.
func NewCertificates(dir string) (*Certificates, error) {
	caKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	begin, end := time.Now().Add(-time.Hour), time.Now().Add(time.Hour) // rustls cannot read the zero time
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: begin, NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: begin, NotAfter: end,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	ca, err1 := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	cert, err2 := x509.CreateCertificate(rand.Reader, server, authority, key.Public(), caKey)
	pkcs8, err3 := x509.MarshalPKCS8PrivateKey(key)
	c := &Certificates{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), Both: filepath.Join(dir, "both.pem")}
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	return c, errors.Join(err1, err2, err3, os.WriteFile(c.Both, both, 0o600),
		writePEM(c.CA, "CERTIFICATE", ca), writePEM(c.Cert, "CERTIFICATE", cert), writePEM(c.Key, "PRIVATE KEY", pkcs8))
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

// trusting believes whom these CAs vouch for, and nobody else.
func trusting(cas ...string) (*tls.Config, error) {
	pool := x509.NewCertPool()
	for _, ca := range cas {
		b, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		if !pool.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s: no certificate", ca)
		}
	}
	return &tls.Config{RootCAs: pool}, nil
}

// Trusting is the configuration of a client that believes whom these CAs vouch for, and nobody else.
func Trusting(t testing.TB, cas ...string) *tls.Config {
	t.Helper()
	c, err := trusting(cas...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Server is the configuration of a server with these certificates.
func (c *Certificates) Server(t testing.TB) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}
