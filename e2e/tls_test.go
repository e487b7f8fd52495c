package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"partway/e2e/harness"
)

// Over https aws-cli sends its parts in another form: aws-chunked with a trailer, Transfer-Encoding: chunked, no length.
func TestStockAwsCliOverTLS(t *testing.T) {
	ca, cert, key := certificates(t)
	s := ownStack(t, "", "server:", "  tls: {cert_file: "+cert+", key_file: "+key+"}")
	if err := s.Gateway.Trust(ca); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, config string }{
		{"stock", ""},
		{"checksums when required", "[default]\nrequest_checksum_calculation = when_required\n"},
		{"signed payload", "[default]\ns3 =\n  payload_signing_enabled = true\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := s.NewTenant(t)
			if err := os.WriteFile(n.AwsConfig(), []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{70_000, 100 * mib} {
				path, content := file(t, size)
				object := "s3://" + harness.Bucket + "/" + n.Prefix + "file"
				n.Aws(t, "s3", "cp", "--only-show-errors", path, object)
				head := n.Aws(t, "s3api", "head-object", "--bucket", harness.Bucket, "--key", n.Prefix+"file", "--query", "ContentEncoding", "--output", "text")
				if head != "None\n" {
					t.Errorf("the object's Content-Encoding is %q", head)
				}
				back := filepath.Join(t.TempDir(), "back")
				n.Aws(t, "s3", "cp", "--only-show-errors", object, back)
				sameFile(t, back, content)
			}
		})
	}
}

// certificates makes a CA and a certificate of localhost: paths of PEM files.
func certificates(t *testing.T) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, authority, authority, caKey.Public(), caKey)
	must(err)
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, authority, serverKey.Public(), caKey)
	must(err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(serverKey)
	must(err)
	return write("ca.pem", "CERTIFICATE", caDER), write("cert.pem", "CERTIFICATE", serverDER), write("key.pem", "PRIVATE KEY", pkcs8)
}
