package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// FirstKID is the key id of the first signing key. Ids need only differ from each other.
const FirstKID = "one"

// NewKeys makes the first keys of gateways whose configuration names them: a signing key, and a file for
// PARTWAY_CFG_AUTH__MASTER_KEYS_FILE. What is there stays.
func NewKeys(dir string) (signing, master string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", fmt.Errorf("making the key directory: %w", err)
	}
	signing, master = filepath.Join(dir, "signing.pem"), filepath.Join(dir, "master-keys.yaml")
	for file, content := range map[string]func() ([]byte, error){signing: newSigning, master: newMasterKeys} {
		text, err := content()
		if err == nil {
			err = writeWhole(file, text)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return "", "", fmt.Errorf("making the keys: %w", err)
		}
	}
	return signing, master, nil
}

func newMasterKeys() ([]byte, error) {
	secret, err := newMaster()
	return fmt.Appendf(nil, "- {version: 1, secret: %q, active: true}\n", strings.TrimSpace(string(secret))), err
}
