package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"partway/auth"
)

// maxMasterVersion: a sealed upload id names the version in one byte.
const maxMasterVersion = 255

var errNoKeys = errors.New("no keys are configured, and the data directory has none: the first start of the gateway makes them")

// Rotate makes a new key in the data directory, active from the next start on, and returns its file. The others stay.
func (c *Config) Rotate(k KeyKind) (file string, err error) {
	d := c.keyDir()
	numbers, err := d.numbers(k)
	if err != nil {
		return "", err
	}
	if len(numbers) == 0 {
		return "", fmt.Errorf("%s: %w", d, errNoKeys)
	}
	next := numbers[len(numbers)-1] + 1
	if k == MasterKeys && next > maxMasterVersion {
		return "", fmt.Errorf("%s: a master key's version is %d at most", d, maxMasterVersion)
	}
	if err := d.make(k, next); err != nil {
		return "", err
	}
	return d.path(k, next), nil
}

// NewSigningKey makes a key beside the file of the configured active one, and returns how the configuration names it, inactive.
func (c *Config) NewSigningKey() (SigningKey, error) {
	key, err := auth.GenerateSigningKey()
	if err != nil {
		return SigningKey{}, err
	}
	text, err := key.PEM()
	if err != nil {
		return SigningKey{}, err
	}
	made := SigningKey{KID: key.KID}
	for _, s := range c.Auth.SigningKeys {
		if s.Active {
			made.File = filepath.Join(filepath.Dir(s.File), "signing-"+key.KID+".pem")
		}
	}
	if err := writeWhole(made.File, text); err != nil {
		return SigningKey{}, fmt.Errorf("making the signing key: %w", err)
	}
	return made, nil
}

// NewMasterKey is one of the version after the highest configured, inactive. It is kept nowhere yet.
func (c *Config) NewMasterKey() (MasterKey, error) {
	made := MasterKey{}
	for _, m := range c.Auth.MasterKeys {
		made.Version = max(made.Version, m.Version)
	}
	if made.Version++; made.Version > maxMasterVersion {
		return MasterKey{}, fmt.Errorf("auth.master_keys: a version is %d at most", maxMasterVersion)
	}
	secret, err := newMaster()
	made.Secret = strings.TrimSpace(string(secret))
	return made, err
}
