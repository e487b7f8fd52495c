package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"partway/auth"
)

// Keys are the gateway's own, ready to use. One of each is active.
type Keys struct {
	Signing []auth.SigningKey
	Master  []auth.MasterKey
}

// Keys reads the configured keys. If there are none it reads those of the data directory, where it makes them the
// first time: keys/signing.pem and keys/master. Whoever can read these files can make any token.
func (c *Config) Keys() (*Keys, error) {
	if len(c.Auth.SigningKeys) == 0 {
		return keysIn(filepath.Join(c.DataDir, "keys"))
	}
	var keys Keys
	for i, s := range c.Auth.SigningKeys {
		text, err := os.ReadFile(s.File)
		if err != nil {
			return nil, fmt.Errorf("auth.signing_keys[%d].file: %w", i, err)
		}
		key, err := auth.ParseSigningKey(s.KID, text)
		if err == nil && s.Active && key.Private == nil {
			err = errors.New("the active key must be a private one")
		}
		if err != nil {
			return nil, fmt.Errorf("auth.signing_keys[%d].file: %s: %w", i, s.File, err)
		}
		key.Active = s.Active
		keys.Signing = append(keys.Signing, key)
	}
	for i, m := range c.Auth.MasterKeys {
		secret, err := base64.StdEncoding.DecodeString(m.Secret)
		if err != nil {
			return nil, fmt.Errorf("auth.master_keys[%d].secret: %w", i, err)
		}
		keys.Master = append(keys.Master, auth.MasterKey{Version: m.Version, Secret: secret, Active: m.Active})
	}
	return &keys, nil
}

func keysIn(dir string) (*Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the key directory: %w", err)
	}
	signingFile, masterFile := filepath.Join(dir, "signing.pem"), filepath.Join(dir, "master")
	text, err := readOrMake(signingFile, newSigning)
	if err != nil {
		return nil, err
	}
	key, err := auth.ParseSigningKey("", text)
	if err == nil && key.Private == nil {
		err = errors.New("not a private key")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", signingFile, err)
	}
	key.Active = true
	text, err = readOrMake(masterFile, newMaster)
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) < auth.MinMasterBytes {
		return nil, fmt.Errorf("%s: not the base64 of %d bytes or more", masterFile, auth.MinMasterBytes)
	}
	return &Keys{Signing: []auth.SigningKey{key}, Master: []auth.MasterKey{{Version: 1, Secret: secret, Active: true}}}, nil
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

// readOrMake returns the file's content, making it whole if it is not there. Two processes that make it at once end up with
// the same content: link refuses to replace the first one's.
func readOrMake(file string, content func() ([]byte, error)) ([]byte, error) {
	text, err := os.ReadFile(file)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	if text, err = content(); err != nil {
		return nil, fmt.Errorf("making %s: %w", file, err)
	}
	part, err := os.CreateTemp(filepath.Dir(file), ".new-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", file, err)
	}
	defer os.Remove(part.Name())
	_, err = part.Write(text)
	err = errors.Join(err, part.Sync(), part.Close())
	if err == nil {
		err = os.Link(part.Name(), file)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("making %s: %w", file, err)
	}
	return os.ReadFile(file)
}
