package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// works is the least that Load accepts.
const works = `storage:
  backends:
    - name: main
      endpoint: http://127.0.0.1:7070
      access_key_id: id
      secret_access_key: secret
  default: main
`

// withPut is works with a presign_put that says more than its keys.
func withPut(more string) string {
	return strings.Replace(works, "  default", "      presign_put: {access_key_id: a, secret_access_key: b, "+more+"}\n  default", 1)
}

const master = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

func load(t *testing.T, text string, environ ...string) (*Config, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("partway.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load("partway.yaml", append(environ, "HOME=/home/gateway"))
}

func TestLoadFillsDefaults(t *testing.T) {
	c, err := load(t, works+"server:\n# all commented out\n")
	if err != nil {
		t.Fatal(err)
	}
	if c.DataDir != "/home/gateway/.local/state/partway" {
		t.Errorf("data_dir = %q", c.DataDir)
	}
	if b := c.Storage.Backends[0]; !*b.PathStyle || !*b.AWSChunked || b.Region != "us-east-1" {
		t.Errorf("backend = %+v", b)
	}
	if c.Transfer.URLTTL != Duration(5*time.Minute) || c.Server.Drain != Duration(25*time.Second) {
		t.Errorf("transfer = %+v, server = %+v", c.Transfer, c.Server)
	}
}

func TestLoadRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
	}{
		{"unknown section", works + "sever:\n  listen: x\n", "partway.yaml:8: sever: unknown key"},
		{"unknown key", works + "server:\n  listn: x\n", "partway.yaml:9: server.listn: unknown key"},
		{"unknown key in a list", "storage:\n  backends:\n    - nme: x\n", "partway.yaml:3: storage.backends[0].nme: unknown key"},
		{"key twice", "server:\n  drain: 1s\n  drain: 2s\n", `partway.yaml:3: mapping key "drain" already defined at [2:3]`},
		{"broken YAML", "server: [\n", "partway.yaml:1: sequence end token ']' not found"},
		{"two documents", works + "---\nserver:\n  region: x\n", "partway.yaml:9: more than one YAML document"},
		{"retention of hours", works + "audit:\n  retention: 23h\n", "partway.yaml:9: audit.retention: 23h0m0s is under 24h: events are dropped by the day"},
		{"anchors all the time", works + "audit:\n  anchor_interval: 0s\n", "partway.yaml:9: audit.anchor_interval: 0s is under 1s"},
		{"no value", works + "server:\n  region:\n", "partway.yaml:9: server.region: no value: give it one or remove the key"},
		{"no number", works + "limits:\n  xml_bytes: 4mb\n", `partway.yaml:9: limits.xml_bytes: "4mb" is not a whole number`},
		{"huge number", works + "limits: {xml_bytes: 99999999999999999999}\n", `partway.yaml:8: limits.xml_bytes: "99999999999999999999" is out of range`},
		{"no duration", works + "server:\n  drain: soon\n", `partway.yaml:9: server.drain: "soon" is not a duration such as 30s or 5m`},
		{"duration without unit", works + "server:\n  drain: 25\n", `partway.yaml:9: server.drain: "25" is not a duration such as 30s or 5m`},
		{"no boolean", works + "resume:\n  enabled: maybe\n", `partway.yaml:9: resume.enabled: "maybe" is not true or false`},
		{"list for text", works + "server:\n  listen: [a]\n", "partway.yaml:9: server.listen: a list is not text"},
		{"text for list", works + "server:\n  domains: a\n", `partway.yaml:9: server.domains: "a" stands where a sequence belongs`},
		{"number for section", works + "server: 5\n", `partway.yaml:8: server: "5" stands where a mapping belongs`},

		{"listen without port", works + "server:\n  listen: localhost\n", `partway.yaml:9: server.listen: "localhost" is not HOST:PORT`},
		{"admin on the same port", works + "server:\n  listen: 127.0.0.1:1\n  admin_listen: 127.0.0.1:1\n", "partway.yaml:10: server.admin_listen: 127.0.0.1:1 is also server.listen"},
		{"half of tls", works + "server:\n  tls: {cert_file: a}\n", "partway.yaml:9: server.tls: cert_file and key_file: both or neither"},
		{"negative drain", works + "server: {drain: -1s}\n", "partway.yaml:8: server.drain: -1s is negative"},
		{"log level", works + "log: {level: loud}\n", `partway.yaml:8: log.level: "loud" is not one of debug, info, warn, error`},

		{"no storage", "server:\n  region: here\n", "partway.yaml: storage.backends: missing: at least one"},
		{"no endpoint", strings.Replace(works, "      endpoint: http://127.0.0.1:7070\n", "", 1), "partway.yaml:3: storage.backends[0].endpoint: missing"},
		{"endpoint with a path", strings.Replace(works, ":7070", ":7070/a", 1), `partway.yaml:4: storage.backends[0].endpoint: "http://127.0.0.1:7070/a" is not http://HOST[:PORT] or https://HOST[:PORT]`},
		{"no secret", strings.Replace(works, "      secret_access_key: secret\n", "", 1), "partway.yaml:3: storage.backends[0].secret_access_key: missing"},
		{"profile beside keys", strings.Replace(works, "  default", "      profile: other\n  default", 1), "partway.yaml:7: storage.backends[0].profile: set beside access_key_id: one or the other"},
		{"half an identity", works[:strings.Index(works, "  default")] + "      presign_put: {access_key_id: a}\n  default: main\n", "partway.yaml:7: storage.backends[0].presign_put.secret_access_key: missing"},
		{"external id without a role", withPut("external_id: x"), "partway.yaml:7: storage.backends[0].presign_put.external_id: set without role_arn"},
		{"STS without a role", withPut("sts_endpoint: 'https://h'"), "partway.yaml:7: storage.backends[0].presign_put.sts_endpoint: set without role_arn"},
		{"role that is none", withPut("role_arn: put"), `partway.yaml:7: storage.backends[0].presign_put.role_arn: "put" is not arn:PARTITION:iam::ACCOUNT:role/NAME`},
		{"STS that is nowhere", withPut("role_arn: 'arn:aws:iam::1:role/p', sts_endpoint: h"), `partway.yaml:7: storage.backends[0].presign_put.sts_endpoint: "h" is not http://HOST[:PORT] or https://HOST[:PORT]`},
		{"unknown backend", works + "  buckets:\n    up.loads: other\n", `partway.yaml:9: storage.buckets.up.loads: no backend is named "other"`},
		{"unknown default", strings.Replace(works, "default: main", "default: other", 1), `partway.yaml:7: storage.default: no backend is named "other"`},
		{"backend twice", strings.Replace(works, "  default", "    - {name: main, endpoint: 'http://a', access_key_id: a, secret_access_key: b}\n  default", 1), `partway.yaml:7: storage.backends[1].name: "main" stands twice`},
		{"no bucket", strings.Replace(works, "  default: main\n", "", 1), "partway.yaml:1: storage: neither buckets nor default: no bucket could be reached"},

		{"mongodb alone", works + "mongodb:\n  uri: mongodb://h\n" + ownKeys, "partway.yaml:9: mongodb.uri: set without redis.url: both or neither"},
		{"redis alone", works + "redis:\n  url: redis://h\n", "partway.yaml:9: redis.url: set without mongodb.uri: both or neither"},
		{"a cluster of nothing", works + "redis:\n  cluster: true\n", "partway.yaml:9: redis.cluster: set without redis.url"},
		{"not a mongodb URI", works + "mongodb: {uri: 'http://u:hidden@h'}\nredis: {url: 'redis://h'}\n" + ownKeys, "partway.yaml:8: mongodb.uri: does not begin with mongodb:// or mongodb+srv://"},
		{"mongodb without keys", works + "mongodb: {uri: mongodb://h}\nredis: {url: redis://h}\n", "partway.yaml: auth: signing_keys and master_keys must be set with mongodb: gateways that share it must share their keys"},

		{"signing keys alone", works + "auth:\n  signing_keys: [{kid: a, file: f, active: true}]\n", "partway.yaml:8: auth: signing_keys and master_keys: both or neither"},
		{"two active", works + strings.Replace(ownKeys, "signing_keys:\n", "signing_keys:\n    - {kid: b, file: g, active: true}\n", 1), "partway.yaml:9: auth.signing_keys: 2 are active: one must be"},
		{"none active", works + strings.Replace(ownKeys, "file: f, active: true", "file: f", 1), "partway.yaml:9: auth.signing_keys: none is active"},
		{"kid twice", works + strings.Replace(ownKeys, "signing_keys:\n", "signing_keys:\n    - {kid: a, file: g}\n", 1), `partway.yaml:11: auth.signing_keys[1].kid: "a" stands twice`},
		{"short master key", works + strings.Replace(ownKeys, master, "aGlkZGVu", 1), "partway.yaml:12: auth.master_keys[0].secret: not the base64 of 32 bytes or more"},
		{"master version 0", works + strings.Replace(ownKeys, "version: 1", "version: 0", 1), "partway.yaml:12: auth.master_keys[0].version: 0 is not within 1 to 255"},

		{"unknown road", works + "transfer: {default: fly}\n", `partway.yaml:8: transfer.default: "fly" is not one of relay, redirect`},
		{"long-lived URLs", works + "transfer:\n  url_ttl: 10m\n", "partway.yaml:9: transfer.url_ttl: 10m0s is over 5m0s"},
		{"no time to upload", works + "uploads: {max_age: 1s}\n", "partway.yaml:8: uploads.max_age: 1s is under 1m"},
		{"tiny heads", works + "limits: {header_bytes: 10}\n", "partway.yaml:8: limits.header_bytes: 10 is under 8192"},
		{"no network", works + "server:\n  trusted_proxies: [10.0.0.0/8, 10.0.0.1]\n", `partway.yaml:9: server.trusted_proxies[1]: address "10.0.0.1": want CIDR notation, such as 203.0.113.0/24 or 203.0.113.7/32`},
		{"PROXY headers of anybody", works + "server: {proxy_protocol: true}\n", "partway.yaml:8: server.proxy_protocol: needs trusted_proxies: nobody else may say who the client is"},
		{"all trusted", works + "server: {trusted_proxies: ['::/0']}\n", "partway.yaml:8: server.trusted_proxies[0]: ::/0 is everybody: any client could claim any address"},
		{"negative rate", works + "limits: {requests_per_second: -1}\n", "partway.yaml:8: limits.requests_per_second: -1 is not within 0 to 1000000"},
		{"huge rate", works + "limits: {requests_per_second: 1000001}\n", "partway.yaml:8: limits.requests_per_second: 1000001 is not within 0 to 1000000"},
		{"negative connections", works + "limits: {connections_per_address: -1}\n", "partway.yaml:8: limits.connections_per_address: -1 is negative"},
		{"no time to resume", works + "resume: {window: 1s}\n", "partway.yaml:8: resume.window: 1s is under 1m"},
		{"every origin", works + "cors:\n  origins: ['https://a', '*']\n", `partway.yaml:9: cors.origins[1]: "*" would let every web page call: name the origins`},
		{"no origin", works + "cors:\n  origins: ['https://a/']\n", `partway.yaml:9: cors.origins[0]: "https://a/" is no origin such as https://app.example.com`},
		{"sign-in of strangers", works + foreign + "web:\n  sign_in: {issuer: 'https://id.example', client_id: pages}\n",
			`partway.yaml:19: web.sign_in.issuer: none of auth.issuers has this issuer and the audience "pages": nobody who signs in there would be let in`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, tt.text)
			if err == nil {
				t.Fatalf("no error, want %s", tt.want)
			}
			if err.Error() != tt.want {
				t.Errorf("\n got %s\nwant %s", err, tt.want)
			}
		})
	}
}

const ownKeys = `auth:
  signing_keys:
    - {kid: a, file: f, active: true}
  master_keys:
    - {version: 1, secret: ` + master + `, active: true}
`

func TestLoadNamesEveryProblem(t *testing.T) {
	_, err := load(t, works+"transfer: {default: fly, url_ttl: 1h}\n")
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("want two lines, got %v", err)
	}
}

func TestLoadWithoutFile(t *testing.T) {
	if _, err := Load("", nil); err == nil || !strings.Contains(err.Error(), "configuration: data_dir: not set") {
		t.Errorf("without HOME: %v", err)
	}
	_, err := Load("", []string{"PARTWAY_CFG_DATA_DIR=/d"})
	if want := "configuration: storage.backends: missing: at least one"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "absent.yaml"), nil); err == nil || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("absent file: %v", err)
	}
}

func TestStateDirectory(t *testing.T) {
	c, err := load(t, works, "XDG_STATE_HOME=/state")
	if err != nil || c.DataDir != "/state/partway" {
		t.Errorf("data_dir = %v, %v", c, err)
	}
}
