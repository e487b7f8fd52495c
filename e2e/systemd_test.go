package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

// systemd itself reads the units and says what it makes of them. No unit is started: that takes a systemd that runs.
func TestTheUnitsAreGoodAndShutIn(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"partway.service", "partway-agent.service"} {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(harness.Root(), "deploy", name))
			if err != nil {
				t.Fatal(err)
			}
			unit := filepath.Join(dir, name)
			// It must be there to be executable.
			here := strings.ReplaceAll(string(text), "ExecStart=/usr/local/bin/partway ", "ExecStart="+binary+" ")
			if err := os.WriteFile(unit, []byte(here), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
			// 0 is shut in, 10 is free. Every service that talks to the network has some.
			out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--threshold=20", unit).CombinedOutput()
			if name == "partway.service" && err != nil {
				t.Errorf("systemd-analyze security: %v\n%s", err, out)
			}
		})
	}
	text, err := os.ReadFile(filepath.Join(harness.Root(), "deploy", "partway.service"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindSubmatch(text)
	if m == nil {
		t.Fatal("no TimeoutStopSec")
	}
	if seconds, _ := strconv.Atoi(string(m[1])); time.Duration(seconds)*time.Second < drain(t, "")+10*time.Second {
		t.Errorf("systemd cuts the drain after %d s", seconds)
	}
}

// What the gateway's unit tells it, those lines too that are there for MongoDB, is configuration that it understands.
func TestTheGatewaysUnitNamesSettingsThatExist(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(harness.Root(), "deploy", "partway.service"))
	if err != nil {
		t.Fatal(err)
	}
	credentials := t.TempDir()
	if _, err := harness.Run(t.Context(), nil, binary, "keys", "new", "--dir", credentials); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"backends.yaml": "[{name: main, endpoint: \"http://127.0.0.1:1\", access_key_id: a, secret_access_key: b}]",
		"mongodb-uri":   "mongodb://127.0.0.1:1", "redis-url": "redis://127.0.0.1:1",
		"config.yaml": "storage: {default: main}\nauth: {signing_keys: [{kid: one, file: " + credentials + "/signing.pem, active: true}]}\n",
	} {
		if err := os.WriteFile(filepath.Join(credentials, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	loaded := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#?LoadCredential=([^:\s]+):/etc/partway/secrets/(\S+)$`).FindAllStringSubmatch(string(text), -1) {
		if m[1] != m[2] {
			t.Errorf("credential %s is another file's: %s", m[1], m[2])
		}
		loaded[m[1]] = true
	}
	var env []string
	for _, m := range regexp.MustCompile(`(?m)^#?Environment=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		for _, pair := range strings.Fields(m[1]) {
			name, credential, ok := strings.Cut(pair, "=%d/")
			if ok && !loaded[credential] {
				t.Errorf("%s names a credential that is not loaded: %s", name, credential)
			}
			env = append(env, strings.ReplaceAll(pair, "%d", credentials))
		}
	}
	if len(env) != 5 || len(loaded) != 5 {
		t.Errorf("%d variables and %d credentials: has this test missed some?", len(env), len(loaded))
	}
	out, err := harness.Run(t.Context(), env, binary, "token", "issue", "--offline", "--operator", "--config", filepath.Join(credentials, "config.yaml"), "--format", "bearer")
	if err != nil || out == "" {
		t.Errorf("a token with the unit's settings: %v", err)
	}
}
