package auth

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// UploadRef is what a sealed upload id hides.
type UploadRef struct {
	Backend   string
	StorageID string // storage's own upload id
	Flags     uint8
}

// Sealer turns storage's upload ids into ours and back. Deterministic: the same upload has the same id wherever it
// shows, as long as the same master key is active. Safe for concurrent use.
type Sealer struct {
	active    uint8
	byVersion map[uint8]sealKey
}

type sealKey struct {
	aead  cipher.AEAD
	nonce [32]byte // makes the nonces
}

// NewSealer seals under the active master key and opens under all of them.
func NewSealer(masters []MasterKey) (*Sealer, error) {
	checked, err := checkMasters(masters)
	if err != nil {
		return nil, fmt.Errorf("sealer: %w", err)
	}
	active, err := active(masters, func(k MasterKey) bool { return k.Active })
	if err != nil {
		return nil, fmt.Errorf("sealer: master keys: %w", err)
	}
	s := &Sealer{active: uint8(active.Version), byVersion: make(map[uint8]sealKey, len(checked))}
	for version, m := range checked {
		key := m.derive("partway-seal-v1")
		aead, err := chacha20poly1305.NewX(key[:])
		if err != nil {
			return nil, fmt.Errorf("sealer: master key %d: %w", version, err)
		}
		s.byVersion[uint8(version)] = sealKey{aead, m.derive("partway-seal-nonce-v1")}
	}
	return s, nil
}

// Seal returns base64url(key version ‖ nonce ‖ AEAD(ref), bound to bucket NUL key).
func (s *Sealer) Seal(ref UploadRef, bucket, key string) string {
	return s.seal(s.active, ref, bucket, key)
}

// SealAll returns every id that the upload may have been given: one under each key.
func (s *Sealer) SealAll(ref UploadRef, bucket, key string) []string {
	var ids []string
	for version := range s.byVersion {
		ids = append(ids, s.seal(version, ref, bucket, key))
	}
	return ids
}

func (s *Sealer) seal(version uint8, ref UploadRef, bucket, key string) string {
	k := s.byVersion[version]
	bound := boundTo(bucket, key)
	plain := append([]byte{ref.Flags}, binary.AppendUvarint(nil, uint64(len(ref.Backend)))...)
	plain = append(append(plain, ref.Backend...), ref.StorageID...)

	nonce := k.syntheticNonce(bound, plain)
	out := append([]byte{version}, nonce...)
	return base64.RawURLEncoding.EncodeToString(k.aead.Seal(out, nonce, plain, bound))
}

// Open reverses Seal. ErrSealedID for anything that Seal did not make for this bucket and key.
func (s *Sealer) Open(id, bucket, key string) (UploadRef, error) {
	// One upload has one id: no spare bits in the last character (Strict), and no line ends, which the decoder skips.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || strings.ContainsAny(id, "\r\n") || len(raw) < 1+chacha20poly1305.NonceSizeX {
		return UploadRef{}, ErrSealedID
	}
	k, known := s.byVersion[raw[0]]
	if !known {
		return UploadRef{}, ErrSealedID
	}
	nonce, sealed := raw[1:1+chacha20poly1305.NonceSizeX], raw[1+chacha20poly1305.NonceSizeX:]
	plain, err := k.aead.Open(nil, nonce, sealed, boundTo(bucket, key))
	if err != nil || len(plain) < 2 {
		return UploadRef{}, ErrSealedID
	}
	backend, n := binary.Uvarint(plain[1:])
	rest := plain[1:]
	if n <= 0 || backend > uint64(len(rest)-n) {
		return UploadRef{}, ErrSealedID
	}
	rest = rest[n:]
	return UploadRef{Backend: string(rest[:backend]), StorageID: string(rest[backend:]), Flags: plain[0]}, nil
}

// syntheticNonce is a PRF of everything that is sealed, as in SIV (RFC 5297): equal inputs give equal ids, which clients
// compare, and different inputs give different nonces, so no counter or randomness can be misused into using one twice.
// What the ids reveal is equality, of uploads whose bucket and key the caller knows already.
func (k *sealKey) syntheticNonce(bound, plain []byte) []byte {
	h := hmac.New(sha256.New, k.nonce[:])
	h.Write(binary.AppendUvarint(nil, uint64(len(bound)))) // keeps (bound, plain) apart from any other split
	h.Write(bound)
	h.Write(plain)
	return h.Sum(nil)[:chacha20poly1305.NonceSizeX]
}

// boundTo is unambiguous: no bucket name holds a NUL.
func boundTo(bucket, key string) []byte { return []byte(bucket + "\x00" + key) }
