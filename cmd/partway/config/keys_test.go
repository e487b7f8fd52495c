package config

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func TestKeysAreMadeOnce(t *testing.T) {
	c := &Config{DataDir: filepath.Join(t.TempDir(), "data")}
	var (
		all [4]*Keys
		wg  sync.WaitGroup
	)
	for i := range all {
		wg.Go(func() {
			keys, err := c.Keys()
			if err != nil {
				t.Error(err)
			}
			all[i] = keys
		})
	}
	wg.Wait()
	for _, keys := range all[1:] {
		if !reflect.DeepEqual(keys, all[0]) {
			t.Error("two callers got different keys")
		}
	}
	files, err := os.ReadDir(filepath.Join(c.DataDir, "keys"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files: %v, %v", files, err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
}

func TestKeysRefuseDamage(t *testing.T) {
	for _, name := range []string{"signing.pem", "master"} {
		t.Run(name, func(t *testing.T) {
			c := &Config{DataDir: t.TempDir()}
			if _, err := c.Keys(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(c.DataDir, "keys", name)
			if err := os.WriteFile(file, []byte("cut"), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Keys(); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, want an error that names %s", err, file)
			}
		})
	}
}

func TestConfiguredKeys(t *testing.T) {
	dir := t.TempDir()
	text, err := newSigning()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "signing.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &Config{DataDir: filepath.Join(dir, "data"), Auth: Auth{
		SigningKeys: []SigningKey{{KID: "a", File: file, Active: true}},
		MasterKeys:  []MasterKey{{Version: 3, Secret: master, Active: true}},
	}}
	keys, err := c.Keys()
	if err != nil {
		t.Fatal(err)
	}
	if keys.Signing[0].KID != "a" || keys.Master[0].Version != 3 || len(keys.Master[0].Secret) != 32 {
		t.Errorf("got %+v", keys)
	}
	if _, err := os.Stat(c.DataDir); err == nil {
		t.Error("the data directory was made although keys are configured")
	}
	public, err := x509.MarshalPKIXPublicKey(keys.Signing[0].Public)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Keys(); err == nil || !strings.Contains(err.Error(), "the active key must be a private one") {
		t.Errorf("public key: %v", err)
	}
	c.Auth.SigningKeys[0].File = filepath.Join(dir, "absent.pem")
	if _, err := c.Keys(); err == nil || !strings.HasPrefix(err.Error(), "auth.signing_keys[0].file: ") {
		t.Errorf("absent file: %v", err)
	}
}
