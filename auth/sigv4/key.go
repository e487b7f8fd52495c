package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"sync/atomic"
)

// Key signs everything of one secret on one day in one region and service.
type Key [32]byte

// DeriveKey derives the key of a scope from a secret access key: four HMACs, so callers keep it (KeyCache).
func DeriveKey(secret string, s Scope) Key {
	k := mac([]byte("AWS4"+secret), []byte(s.Date))
	k = mac(k[:], []byte(s.Region))
	k = mac(k[:], []byte(s.Service))
	return mac(k[:], []byte(Terminator))
}

func mac(key, data []byte) (sum Key) {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	h.Sum(sum[:0])
	return sum
}

// KeyCache keeps the key of the scope that one secret was last used with. The zero value is empty and ready; safe for
// concurrent use. A cache belongs to one secret.
type KeyCache struct{ last atomic.Pointer[scopedKey] }

type scopedKey struct {
	scope Scope
	key   Key
}

// Key returns DeriveKey(secret, s), derived anew only when the scope has changed: once a day, in practice.
func (c *KeyCache) Key(secret string, s Scope) Key {
	if last := c.last.Load(); last != nil && last.scope == s {
		return last.key
	}
	// The scope may be cut from a request whose memory is used again.
	kept := Scope{strings.Clone(s.Date), strings.Clone(s.Region), strings.Clone(s.Service)}
	fresh := &scopedKey{kept, DeriveKey(secret, s)}
	c.last.Store(fresh)
	return fresh.key
}
