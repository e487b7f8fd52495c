package config

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const masterBytes = 32

// Keys are the gateway's own, ready to use.
type Keys struct {
	Signing []Signing
	Master  []Master
}

// Signing is one signing key.
type Signing struct {
	KID    string
	Key    ed25519.PrivateKey
	Active bool
}

// Master is one master key.
type Master struct {
	Version int
	Secret  []byte
	Active  bool
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
		key, err := parseSigning(text)
		if err != nil {
			return nil, fmt.Errorf("auth.signing_keys[%d].file: %s: %w", i, s.File, err)
		}
		keys.Signing = append(keys.Signing, Signing{KID: s.KID, Key: key, Active: s.Active})
	}
	for i, m := range c.Auth.MasterKeys {
		secret, err := base64.StdEncoding.DecodeString(m.Secret)
		if err != nil {
			return nil, fmt.Errorf("auth.master_keys[%d].secret: %w", i, err)
		}
		keys.Master = append(keys.Master, Master{Version: m.Version, Secret: secret, Active: m.Active})
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
	key, err := parseSigning(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", signingFile, err)
	}
	text, err = readOrMake(masterFile, newMaster)
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) < masterBytes {
		return nil, fmt.Errorf("%s: not the base64 of %d bytes or more", masterFile, masterBytes)
	}
	public := sha256.Sum256(key.Public().(ed25519.PublicKey))
	return &Keys{
		Signing: []Signing{{KID: base64.RawURLEncoding.EncodeToString(public[:9]), Key: key, Active: true}},
		Master:  []Master{{Version: 1, Secret: secret, Active: true}},
	}, nil
}

func parseSigning(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("not a PEM file")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	private, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, errors.New("not an Ed25519 key; make one with: openssl genpkey -algorithm ed25519")
	}
	return private, nil
}

func newSigning() ([]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func newMaster() ([]byte, error) {
	secret := make([]byte, masterBytes)
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
