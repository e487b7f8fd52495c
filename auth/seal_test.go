package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func newSealer(t testing.TB, masters ...MasterKey) *Sealer {
	t.Helper()
	s, err := NewSealer(masters)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func master(version int, active bool) MasterKey {
	return MasterKey{Version: version, Secret: bytes.Repeat([]byte{byte(version)}, 32), Active: active}
}

func TestSealRoundTrip(t *testing.T) {
	s, again := newSealer(t, master(1, true)), newSealer(t, master(1, true))
	rapid.Check(t, func(t *rapid.T) {
		ref := UploadRef{Backend: rapid.String().Draw(t, "backend"), StorageID: rapid.String().Draw(t, "id"), Flags: rapid.Byte().Draw(t, "flags")}
		bucket := rapid.StringMatching(`[a-z0-9.-]{3,63}`).Draw(t, "bucket")
		key := rapid.String().Draw(t, "key")
		id := s.Seal(ref, bucket, key)
		if other := again.Seal(ref, bucket, key); other != id {
			t.Fatalf("two ids of one upload: %s and %s", id, other)
		}
		if got, err := s.Open(id, bucket, key); err != nil || got != ref {
			t.Fatalf("%+v, %v; want %+v", got, err, ref)
		}
		for _, wrong := range [][2]string{{bucket + "x", key}, {bucket, key + "x"}, {bucket[1:], bucket[:1] + key}, {key, bucket}} {
			if wrong == [2]string{bucket, key} {
				continue
			}
			if got, err := s.Open(id, wrong[0], wrong[1]); !errors.Is(err, ErrSealedID) || got != (UploadRef{}) {
				t.Fatalf("opened for %q: %+v, %v", wrong, got, err)
			}
		}
	})
}

func TestSealedIDsAreNotMalleable(t *testing.T) {
	s := newSealer(t, master(1, true), master(2, false))
	id := s.Seal(UploadRef{Backend: "main", StorageID: "storage-id"}, "uploads", "acme/x")
	refused := func(changed string) {
		if got, err := s.Open(changed, "uploads", "acme/x"); !errors.Is(err, ErrSealedID) || got != (UploadRef{}) {
			t.Errorf("%q opened: %+v, %v", changed, got, err)
		}
	}
	flips(id, refused)
	for _, storageID := range []string{"1", "22", "333"} { // one for each number of spare bits
		spareBits(s.Seal(UploadRef{Backend: "main", StorageID: storageID}, "uploads", "acme/x"), refused)
	}
	raw, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		t.Fatal(err)
	}
	flips(string(raw), func(changed string) { refused(base64.RawURLEncoding.EncodeToString([]byte(changed))) })
	for _, changed := range []string{"", "A", id + "=", id + "\n", id[:5] + "\r\n" + id[5:], id + "AAAA", "storage-id",
		base64.RawURLEncoding.EncodeToString(append([]byte{2}, raw[1:]...))} {
		refused(changed)
	}
}

func TestSealKeyRotation(t *testing.T) {
	ref := UploadRef{Backend: "main", StorageID: "x"}
	old := newSealer(t, master(1, true)).Seal(ref, "b", "k")
	both := newSealer(t, master(1, false), master(2, true))
	if got, err := both.Open(old, "b", "k"); err != nil || got != ref {
		t.Errorf("old id: %+v, %v", got, err)
	}
	if id := both.Seal(ref, "b", "k"); id == old {
		t.Error("sealed under the key that is not active")
	}
	if _, err := newSealer(t, master(2, true)).Open(old, "b", "k"); !errors.Is(err, ErrSealedID) {
		t.Errorf("id of a key that is gone: %v", err)
	}
}

func BenchmarkOpen(b *testing.B) {
	s := newSealer(b, master(1, true))
	id := s.Seal(UploadRef{Backend: "main", StorageID: "0123456789abcdef0123456789abcdef"}, "uploads", "acme/x")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(id, "uploads", "acme/x"); err != nil {
			b.Fatal(err)
		}
	}
}
