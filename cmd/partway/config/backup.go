package config

import (
	"fmt"
	"os"
	"strings"
)

// KeyFile is one file of a backup.
type KeyFile struct {
	Name string
	Text []byte
}

// KeyFiles is all that Keys reads. Of a data directory these are its files, keys/NAME. Of configured keys these are the PEM files,
// signing-1.pem and so on, and auth.yaml: the section of the configuration that names them so, with the secrets.
func (c *Config) KeyFiles() ([]KeyFile, error) {
	if c.KeysConfigured() {
		return c.configuredKeyFiles()
	}
	d := c.keyDir()
	var files []KeyFile
	for _, k := range []KeyKind{SigningKeys, MasterKeys} {
		numbers, err := d.numbers(k)
		if err != nil {
			return nil, err
		}
		if len(numbers) == 0 {
			return nil, fmt.Errorf("%s: %w", d, errNoKeys)
		}
		for _, n := range numbers {
			text, err := os.ReadFile(d.path(k, n))
			if err != nil {
				return nil, fmt.Errorf("reading the %s key: %w", k, err)
			}
			files = append(files, KeyFile{"keys/" + k.file(n), text})
		}
	}
	return files, nil
}

func (c *Config) configuredKeyFiles() ([]KeyFile, error) {
	var (
		files   []KeyFile
		signing []SigningKey
	)
	for i, s := range c.Auth.SigningKeys {
		text, err := os.ReadFile(s.File)
		if err != nil {
			return nil, fmt.Errorf("auth.signing_keys[%d].file: %w", i, err)
		}
		s.File = fmt.Sprintf("signing-%d.pem", i+1)
		files, signing = append(files, KeyFile{s.File, text}), append(signing, s)
	}
	return append(files, KeyFile{"auth.yaml", []byte(KeysYAML(signing, c.Auth.MasterKeys))}), nil
}

// KeysYAML is the section of the configuration that lists these keys.
func KeysYAML(signing []SigningKey, master []MasterKey) string {
	var b strings.Builder
	b.WriteString("auth:\n")
	if len(signing) > 0 {
		b.WriteString("  signing_keys:\n")
	}
	for _, s := range signing {
		fmt.Fprintf(&b, "    - {kid: %q, file: %q, active: %t}\n", s.KID, s.File, s.Active)
	}
	if len(master) > 0 {
		b.WriteString("  master_keys:\n")
	}
	for _, m := range master {
		fmt.Fprintf(&b, "    - {version: %d, secret: %q, active: %t}\n", m.Version, m.Secret, m.Active)
	}
	return b.String()
}
