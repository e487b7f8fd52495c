package auth

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
)

// SigningKey is an Ed25519 key that signs tokens. Only the active one signs, which needs Private; all of them verify.
type SigningKey struct {
	KID     string
	Private ed25519.PrivateKey
	Public  ed25519.PublicKey
	Active  bool
}

// MasterKey is the root of the secrets that are derived and never stored: secret access keys, sealed upload ids, the
// audit chain. New ones are made under the active key; those made under an old one last as long as it stays listed.
type MasterKey struct {
	Version int    // 1 to 255
	Secret  []byte // at least MinMasterBytes, random
	Active  bool
}

// MinMasterBytes is the shortest secret of a master key.
const MinMasterBytes = 32

// GenerateSigningKey makes an active key, named by its fingerprint.
func GenerateSigningKey() (SigningKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return SigningKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	return SigningKey{KID: fingerprint(public), Private: private, Public: public, Active: true}, nil
}

// ParseSigningKey reads the first PEM block of a file: an Ed25519 key, private (PKCS #8) or public (PKIX). An empty kid
// becomes the key's fingerprint.
func ParseSigningKey(kid string, file []byte) (SigningKey, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return SigningKey{}, errors.New("parse signing key: no PEM block")
	}
	k := SigningKey{KID: kid}
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return SigningKey{}, fmt.Errorf("parse signing key: %w", err)
		}
		private, ok := parsed.(ed25519.PrivateKey)
		if !ok {
			return SigningKey{}, fmt.Errorf("parse signing key: %T, want Ed25519", parsed)
		}
		k.Private, k.Public = private, private.Public().(ed25519.PublicKey)
	case "PUBLIC KEY":
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return SigningKey{}, fmt.Errorf("parse signing key: %w", err)
		}
		public, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return SigningKey{}, fmt.Errorf("parse signing key: %T, want Ed25519", parsed)
		}
		k.Public = public
	default:
		return SigningKey{}, fmt.Errorf("parse signing key: PEM block %q, want PRIVATE KEY or PUBLIC KEY", block.Type)
	}
	if k.KID == "" {
		k.KID = fingerprint(k.Public)
	}
	return k, nil
}

// PEM is the private key as ParseSigningKey reads it: PKCS #8, for a file that only the gateway may read.
func (k SigningKey) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.Private)
	if err != nil {
		return nil, fmt.Errorf("encode signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

type jwk struct {
	Curve string `json:"crv"`
	Type  string `json:"kty"`
	X     string `json:"x"`
	KID   string `json:"kid,omitempty"`
	Use   string `json:"use,omitempty"`
	Alg   string `json:"alg,omitempty"`
}

// JWKS is the JSON Web Key Set (RFC 7517, keys by RFC 8037) of the public halves.
func JWKS(keys []SigningKey) ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for _, k := range keys {
		set.Keys = append(set.Keys, jwk{"Ed25519", "OKP", base64.RawURLEncoding.EncodeToString(k.Public), k.KID, "sig", "EdDSA"})
	}
	return json.Marshal(set)
}

// fingerprint is the key's thumbprint by RFC 7638: the hash of its required members, in the order of their names.
func fingerprint(public ed25519.PublicKey) string {
	x := base64.RawURLEncoding.EncodeToString(public)
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// ChainKey is the key of the audit chain under a master key.
func ChainKey(m MasterKey) [32]byte { return m.derive("partway-chain-v1") }

func (m MasterKey) derive(purpose string) (key [32]byte) {
	// Fails only for more output than HKDF has.
	out, err := hkdf.Key(sha256.New, m.Secret, nil, purpose, len(key))
	if err != nil {
		panic(err)
	}
	return [32]byte(out)
}

// secretKey is the secret access key that belongs to an access key id.
func (m MasterKey) secretKey(accessKeyID string) string {
	h := hmac.New(sha256.New, m.Secret)
	h.Write([]byte("partway-key-v1\x00"))
	h.Write([]byte(accessKeyID))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// checkSigning indexes signing keys by kid.
func checkSigning(keys []SigningKey) (map[string]SigningKey, error) {
	byKID := make(map[string]SigningKey, len(keys))
	for _, k := range keys {
		if k.KID == "" || len(k.Public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("signing key %q: a kid and an Ed25519 public key are required", k.KID)
		}
		if _, twice := byKID[k.KID]; twice {
			return nil, fmt.Errorf("signing key %q is listed twice", k.KID)
		}
		byKID[k.KID] = k
	}
	if len(byKID) == 0 {
		return nil, errors.New("no signing key")
	}
	return byKID, nil
}

// checkMasters indexes master keys by version.
func checkMasters(keys []MasterKey) (map[int]MasterKey, error) {
	byVersion := make(map[int]MasterKey, len(keys))
	for _, k := range keys {
		if k.Version < 1 || k.Version > 255 {
			return nil, fmt.Errorf("master key version %d: want 1 to 255", k.Version)
		}
		if len(k.Secret) < MinMasterBytes {
			return nil, fmt.Errorf("master key %d: %d bytes, want at least %d", k.Version, len(k.Secret), MinMasterBytes)
		}
		if _, twice := byVersion[k.Version]; twice {
			return nil, fmt.Errorf("master key %d is listed twice", k.Version)
		}
		byVersion[k.Version] = k
	}
	if len(byVersion) == 0 {
		return nil, errors.New("no master key")
	}
	return byVersion, nil
}

// active returns the one key that is marked so.
func active[K any](keys []K, marked func(K) bool) (key K, err error) {
	found := 0
	for _, k := range keys {
		if marked(k) {
			key = k
			found++
		}
	}
	if found != 1 {
		return key, fmt.Errorf("%d keys are active, want 1", found)
	}
	return key, nil
}
