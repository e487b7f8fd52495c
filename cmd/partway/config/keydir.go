package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"partway/auth"
)

// keyDir is the directory of keys that the gateway makes for itself: signing.pem and master, and after rotations signing-2.pem,
// master-2 and so on. The number of a master key is its version; the highest number is active. A file is made whole and
// never changed, so a rotation needs no lock and leaves nothing half done. Whoever can read these files can make any token.
type keyDir string

// KeyKind is what a key is for.
type KeyKind string

// The kinds of keys.
const (
	SigningKeys KeyKind = "signing"
	MasterKeys  KeyKind = "master"
)

// file is the name of the key with a number, from 1.
func (k KeyKind) file(n int) string {
	name := string(k)
	if n > 1 {
		name = fmt.Sprintf("%s-%d", k, n)
	}
	if k == SigningKeys {
		name += ".pem"
	}
	return name
}

func (d keyDir) path(k KeyKind, n int) string { return filepath.Join(string(d), k.file(n)) }

// numbers are those of the keys that are there, the active one last.
func (d keyDir) numbers(k KeyKind) ([]int, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the key directory: %w", err)
	}
	var all []int
	for _, e := range entries {
		n := 1
		_, _ = fmt.Sscanf(e.Name(), string(k)+"-%d", &n) // a name that does not fit does not round-trip either
		if e.Name() == k.file(n) {
			all = append(all, n)
		}
	}
	slices.Sort(all)
	return all, nil
}

// keys reads all keys, and makes the first of a kind that has none.
func (d keyDir) keys() (*Keys, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return nil, fmt.Errorf("making the key directory: %w", err)
	}
	var keys Keys
	for _, k := range []KeyKind{SigningKeys, MasterKeys} {
		numbers, err := d.numbers(k)
		if err != nil {
			return nil, err
		}
		if len(numbers) == 0 {
			numbers = []int{1}
			if err := d.make(k, 1); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, err
			}
		}
		for i, n := range numbers {
			if err := d.read(&keys, k, n, i == len(numbers)-1); err != nil {
				return nil, err
			}
		}
	}
	return &keys, nil
}

// check reads all keys that are there.
func (d keyDir) check() error {
	var keys Keys
	for _, k := range []KeyKind{SigningKeys, MasterKeys} {
		numbers, err := d.numbers(k)
		if err != nil {
			return err
		}
		for _, n := range numbers {
			if err := d.read(&keys, k, n, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// read appends one key to keys.
func (d keyDir) read(keys *Keys, k KeyKind, n int, active bool) error {
	text, err := os.ReadFile(d.path(k, n))
	if err != nil {
		return fmt.Errorf("reading the %s key: %w", k, err)
	}
	if k == MasterKeys {
		secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
		if err != nil || len(secret) < auth.MinMasterBytes {
			return fmt.Errorf("%s: not the base64 of %d bytes or more", d.path(k, n), auth.MinMasterBytes)
		}
		keys.Master = append(keys.Master, auth.MasterKey{Version: n, Secret: secret, Active: active})
		return nil
	}
	key, err := auth.ParseSigningKey("", text)
	if err == nil && key.Private == nil {
		err = errors.New("not a private key")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.path(k, n), err)
	}
	key.Active = active
	keys.Signing = append(keys.Signing, key)
	return nil
}

// make makes the key with a number. fs.ErrExist if it is there, be it that another process made it at the same time.
func (d keyDir) make(k KeyKind, n int) error {
	content := newMaster
	if k == SigningKeys {
		content = newSigning
	}
	text, err := content()
	if err == nil {
		err = writeWhole(d.path(k, n), text)
	}
	if err != nil {
		return fmt.Errorf("making the %s key: %w", k, err)
	}
	return nil
}

func newSigning() ([]byte, error) {
	key, err := auth.GenerateSigningKey()
	if err != nil {
		return nil, err
	}
	return key.PEM()
}

func newMaster() ([]byte, error) {
	secret := make([]byte, auth.MinMasterBytes)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	return []byte(base64.StdEncoding.EncodeToString(secret) + "\n"), nil
}

// writeWhole makes a file that only its owner may read, whole or not at all. fs.ErrExist if there is one of that name: link
// refuses to replace it.
func writeWhole(file string, text []byte) error {
	part, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	_, err = part.Write(text)
	if err = errors.Join(err, part.Sync(), part.Close()); err != nil {
		return err
	}
	if err := os.Link(part.Name(), file); err != nil {
		return err
	}
	// A key that a token was made with must not vanish with the power.
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
