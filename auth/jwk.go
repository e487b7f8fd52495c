package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// foreignAlgorithms are those that a foreign key may sign with. Never a symmetric one: whoever verifies with it can sign.
var foreignAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// minRSABits is the shortest modulus that RFC 7518 section 3.3 allows.
const minRSABits = 2048

// foreignKey is a public key of a foreign issuer, and the one algorithm that it verifies.
type foreignKey struct {
	algorithm string
	public    any // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey: what jwt's method of the algorithm takes
}

// parseJWKS reads a JSON Web Key Set (RFC 7517 section 5) into keys by kid. Keys that cannot verify one of the allowed
// algorithms are passed over, as section 5 asks, so that an issuer may publish others beside them; a set in which none
// can is an error. A kid that stands twice names no key: whoever could add one would share its name.
func parseJWKS(document []byte, allowed []string) (map[string]foreignKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("parse key set: %w", err)
	}
	keys, seen := map[string]foreignKey{}, map[string]bool{}
	for _, raw := range set.Keys {
		var about struct {
			KID        string   `json:"kid"`
			Operations []string `json:"key_ops"`
		}
		if json.Unmarshal(raw, &about) != nil || about.KID == "" {
			continue
		}
		twice := seen[about.KID]
		seen[about.KID] = true
		delete(keys, about.KID)
		var k jose.JSONWebKey
		if twice || k.UnmarshalJSON(raw) != nil || !verifies(&k, about.Operations) {
			continue
		}
		if algorithm := algorithmOf(&k, allowed); algorithm != "" {
			keys[about.KID] = foreignKey{algorithm, k.Key}
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("parse key set: no key in it can be used")
	}
	return keys, nil
}

// verifies says whether a key is meant for signatures: use and key_ops, RFC 7517 sections 4.2 and 4.3.
func verifies(k *jose.JSONWebKey, operations []string) bool {
	return (k.Use == "" || k.Use == "sig") && (operations == nil || slices.Contains(operations, "verify"))
}

// algorithmOf binds a key to one algorithm: the one it names, else the first of the allowed ones that its type can do
// (RFC 8725 section 3.1). "" if there is none.
func algorithmOf(k *jose.JSONWebKey, allowed []string) string {
	for _, algorithm := range allowed {
		if (k.Algorithm == "" || k.Algorithm == algorithm) && canDo(k.Key, algorithm) {
			return algorithm
		}
	}
	return ""
}

// canDo knows public keys alone: an issuer that publishes a private one has lost it.
func canDo(key any, algorithm string) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return (algorithm[:2] == "RS" || algorithm[:2] == "PS") && key.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		// RFC 7518 section 3.4 ties each hash to one curve.
		return algorithm == map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[key.Curve.Params().Name]
	case ed25519.PublicKey:
		return algorithm == "EdDSA"
	}
	return false
}
