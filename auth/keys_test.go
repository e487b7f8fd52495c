package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"testing"
)

func TestSigningKeyFile(t *testing.T) {
	k, err := GenerateSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	file, err := k.PEM()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseSigningKey("", file)
	if err != nil || got.KID != k.KID || !got.Private.Equal(k.Private) || !got.Public.Equal(k.Public) {
		t.Errorf("private key: %+v, %v", got.KID, err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		t.Fatal(err)
	}
	got, err = ParseSigningKey("named", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil || got.KID != "named" || got.Private != nil || !got.Public.Equal(k.Public) {
		t.Errorf("public key: %+v, %v", got, err)
	}
}

func TestSigningKeyFileRefused(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p256)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{
		"no PEM":       []byte("secret"),
		"not Ed25519":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"broken":       pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der[:9]}),
		"certificate":  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"not a public": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
	} {
		if _, err := ParseSigningKey("", file); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The key of RFC 8037, appendix A.
func TestJWKS(t *testing.T) {
	public, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fingerprint(ed25519.PublicKey(public)), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Errorf("thumbprint %s, want %s", got, want)
	}
	private := ed25519.NewKeyFromSeed(make([]byte, 32))
	text, err := JWKS([]SigningKey{{KID: "k", Public: public, Private: private}})
	if err != nil {
		t.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(text, &set); err != nil {
		t.Fatal(err)
	}
	if len(set.Keys) != 1 || set.Keys[0]["kid"] != "k" || set.Keys[0]["x"] != "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" || set.Keys[0]["d"] != "" {
		t.Errorf("%s", text)
	}
}

// Secrets that clients hold and ids that they keep must outlive a rewrite of this package.
func TestDerivedKeysAreFixed(t *testing.T) {
	m := MasterKey{Version: 1, Secret: []byte("0123456789abcdef0123456789abcdef"), Active: true}
	chain := ChainKey(m)
	s, err := NewSealer([]MasterKey{m})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, got, want string }{
		{"secret access key", m.secretKey("akid"), "oa7Y5YbTkiReUw2A-8jrv4S1nsBsxB_vhSDn9ggdioo"},
		{"chain key", base64.RawURLEncoding.EncodeToString(chain[:]), "3UptHbbPd4vUWgHgchJsMLYMDrdsgqjEhCWAQpElWAk"},
		{"sealed id", s.Seal(UploadRef{Backend: "b", StorageID: "id"}, "bucket", "key"), "Af7Kgv-n1z_SLpvqqjrCTmT_qK65w2tLLD4yrt00KAqrRFTJtFNwOFuDr4fM6g"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
}
