package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"partway/auth"
)

// Keys are the gateway's own, ready to use. One of each is active.
type Keys struct {
	Signing []auth.SigningKey
	Master  []auth.MasterKey
}

// KeysConfigured reports whether the configuration names the keys, and not the data directory holds them.
func (c *Config) KeysConfigured() bool { return len(c.Auth.SigningKeys) > 0 }

func (c *Config) keyDir() keyDir { return keyDir(filepath.Join(c.DataDir, "keys")) }

// Keys reads the configured keys. If there are none it reads those of the data directory, where it makes them the
// first time: see keyDir.
func (c *Config) Keys() (*Keys, error) {
	if !c.KeysConfigured() {
		return c.keyDir().keys()
	}
	var keys Keys
	for i, s := range c.Auth.SigningKeys {
		text, err := os.ReadFile(s.File)
		if err != nil {
			return nil, At(fmt.Sprintf("auth.signing_keys[%d].file", i), err)
		}
		key, err := auth.ParseSigningKey(s.KID, text)
		if err == nil && s.Active && key.Private == nil {
			err = errors.New("the active key must be a private one")
		}
		if err != nil {
			return nil, At(fmt.Sprintf("auth.signing_keys[%d].file", i), fmt.Errorf("%s: %w", s.File, err))
		}
		key.Active = s.Active
		keys.Signing = append(keys.Signing, key)
	}
	for i, m := range c.Auth.MasterKeys {
		secret, err := base64.StdEncoding.DecodeString(m.Secret)
		if err != nil {
			return nil, At(fmt.Sprintf("auth.master_keys[%d].secret", i), err)
		}
		keys.Master = append(keys.Master, auth.MasterKey{Version: m.Version, Secret: secret, Active: m.Active})
	}
	return &keys, nil
}

// CheckKeys is Keys for a look: it makes none. Keys that the data directory lacks are made when the gateway starts.
func (c *Config) CheckKeys() error {
	if c.KeysConfigured() {
		_, err := c.Keys()
		return err
	}
	return At("data_dir", c.keyDir().check())
}
