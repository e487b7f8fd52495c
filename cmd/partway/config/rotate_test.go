package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func mustKeys(t *testing.T, c *Config) *Keys {
	t.Helper()
	keys, err := c.Keys()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func mustRotate(t *testing.T, c *Config, kinds ...KeyKind) {
	t.Helper()
	for _, k := range kinds {
		if _, err := c.Rotate(k); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRotateKeepsTheOldKeysAndMakesTheNewOneActive(t *testing.T) {
	c := &Config{DataDir: t.TempDir()}
	first := mustKeys(t, c)
	for range 10 { // "master-10" sorts before "master-2", and must not count less
		mustRotate(t, c, SigningKeys, MasterKeys)
	}
	got := mustKeys(t, c)
	if len(got.Signing) != 11 || len(got.Master) != 11 {
		t.Fatalf("%d signing and %d master keys, want 11 of each", len(got.Signing), len(got.Master))
	}
	for i := range got.Signing {
		if last := i == 10; got.Signing[i].Active != last || got.Master[i].Active != last || got.Master[i].Version != i+1 {
			t.Errorf("key %d: signing active %v, master %d active %v", i+1, got.Signing[i].Active, got.Master[i].Version, got.Master[i].Active)
		}
	}
	if got.Signing[0].KID != first.Signing[0].KID || !reflect.DeepEqual(got.Master[0].Secret, first.Master[0].Secret) {
		t.Error("the first keys have changed")
	}
	if got.Signing[10].KID == got.Signing[9].KID || reflect.DeepEqual(got.Master[10].Secret, got.Master[9].Secret) {
		t.Error("a new key is an old one")
	}
}

func TestRetiredKeysStayAway(t *testing.T) {
	c := &Config{DataDir: t.TempDir()}
	mustKeys(t, c)
	mustRotate(t, c, SigningKeys)
	if err := os.Remove(filepath.Join(c.DataDir, "keys", "signing.pem")); err != nil {
		t.Fatal(err)
	}
	if keys := mustKeys(t, c); len(keys.Signing) != 1 || !keys.Signing[0].Active {
		t.Errorf("%+v", keys.Signing)
	}
}

func TestRotateNeedsKeysAndRoom(t *testing.T) {
	c := &Config{DataDir: t.TempDir()}
	if _, err := c.Rotate(SigningKeys); !errors.Is(err, errNoKeys) {
		t.Errorf("without keys: %v", err)
	}
	if _, err := c.KeyFiles(); !errors.Is(err, errNoKeys) {
		t.Errorf("backup without keys: %v", err)
	}
	mustKeys(t, c)
	if err := os.Link(filepath.Join(c.DataDir, "keys", "master"), filepath.Join(c.DataDir, "keys", "master-255")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rotate(MasterKeys); err == nil || !strings.Contains(err.Error(), "255 at most") {
		t.Errorf("past the last version: %v", err)
	}
}

func TestKeyFilesAreThoseThatRestore(t *testing.T) {
	c := &Config{DataDir: t.TempDir()}
	mustKeys(t, c)
	mustRotate(t, c, MasterKeys)
	restored := &Config{DataDir: t.TempDir()}
	unpack(t, c, restored.DataDir)
	if !reflect.DeepEqual(mustKeys(t, restored), mustKeys(t, c)) {
		t.Error("the restored keys are others")
	}
}

// configured is a configuration that names its keys.
func configured(t *testing.T) *Config {
	t.Helper()
	dir := t.TempDir()
	text, err := newSigning()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a.pem"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return &Config{Auth: Auth{
		SigningKeys: []SigningKey{{KID: `2026/11 "a"`, File: filepath.Join(dir, "a.pem"), Active: true}},
		MasterKeys:  []MasterKey{{Version: 3, Secret: master, Active: true}},
	}}
}

func TestConfiguredKeyFilesAreThoseThatRestore(t *testing.T) {
	c := configured(t)
	t.Chdir(t.TempDir())
	unpack(t, c, ".")
	text, err := os.ReadFile("auth.yaml")
	if err != nil {
		t.Fatal(err)
	}
	restored, err := loadHere(t, works+string(text))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(mustKeys(t, restored), mustKeys(t, c)) {
		t.Error("the restored keys are others")
	}
}

func loadHere(t *testing.T, text string) (*Config, error) {
	t.Helper()
	if err := os.WriteFile("restored.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load("restored.yaml", []string{"HOME=/home/gateway"})
}

func unpack(t *testing.T, c *Config, dir string) {
	t.Helper()
	files, err := c.KeyFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, f.Text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNewConfiguredKeysAreTakenOnceTheyArePasted(t *testing.T) {
	c := configured(t)
	s, err := c.NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.File)
	if err != nil || info.Mode().Perm() != 0o600 || filepath.Dir(s.File) != filepath.Dir(c.Auth.SigningKeys[0].File) {
		t.Errorf("%s: %v, %v", s.File, info, err)
	}
	if s.Active || m.Active || m.Version != 4 {
		t.Errorf("%+v, version %d active %v", s, m.Version, m.Active)
	}
	t.Chdir(t.TempDir())
	pasted, err := loadHere(t, works+KeysYAML(append(c.Auth.SigningKeys, s), append(c.Auth.MasterKeys, m)))
	if err != nil {
		t.Fatal(err)
	}
	if keys := mustKeys(t, pasted); keys.Signing[1].KID != s.KID || len(keys.Master[1].Secret) != 32 {
		t.Errorf("%+v", keys)
	}
	c.Auth.MasterKeys[0].Version = 255
	if _, err := c.NewMasterKey(); err == nil {
		t.Error("version 256 was made")
	}
}

func TestWriteWholeReplacesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := writeWhole(file, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := writeWhole(file, []byte("two")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v, want ErrExist", err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "one" {
		t.Errorf("%q, %v", text, err)
	}
}
