package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestEnvironmentOverridesFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "uri")
	if err := os.WriteFile(secret, []byte("mongodb://u:p@h/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, works+"server: {listen: '127.0.0.1:1'}\n"+ownKeys,
		"PARTWAY_CFG_SERVER__LISTEN=127.0.0.1:2",
		"PARTWAY_CFG_SERVER__DOMAINS=[a.example, b.example]",
		"PARTWAY_CFG_TRANSFER__URL_TTL=90s",
		"PARTWAY_CFG_LIMITS__XML_BYTES=1000",
		"PARTWAY_CFG_STORAGE__BUCKETS={up.loads: main}",
		"PARTWAY_CFG_DATA_DIR=/elsewhere",
		"PARTWAY_CFG_MONGODB__URI_FILE="+secret,
		"PARTWAY_CFG_REDIS__URL=redis://h",
		"PARTWAY_TOKEN=not-ours",
	)
	if err != nil {
		t.Fatal(err)
	}
	if c.Server.Listen != "127.0.0.1:2" || len(c.Server.Domains) != 2 || c.Transfer.URLTTL != Duration(90*time.Second) ||
		c.Limits.XMLBytes != 1000 || c.Storage.Buckets["up.loads"] != "main" || c.DataDir != "/elsewhere" ||
		c.MongoDB.URI != "mongodb://u:p@h/" {
		t.Errorf("got %+v", c)
	}
}

func TestEnvironmentReplacesLists(t *testing.T) {
	c, err := load(t, works, "PARTWAY_CFG_STORAGE__BACKENDS=[{name: main, endpoint: 'http://other', access_key_id: a, secret_access_key: b}]")
	if err != nil || len(c.Storage.Backends) != 1 || c.Storage.Backends[0].Endpoint != "http://other" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestEnvironmentRefuses(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	for _, tt := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"unknown", []string{"PARTWAY_CFG_SERVER__LISTN=x"}, "PARTWAY_CFG_SERVER__LISTN: no such setting"},
		{"whole section", []string{"PARTWAY_CFG_SERVER={}"}, "PARTWAY_CFG_SERVER: no such setting"},
		{"file for what is no secret", []string{"PARTWAY_CFG_SERVER__LISTEN_FILE=x"}, "PARTWAY_CFG_SERVER__LISTEN_FILE: no such setting"},
		{"no duration", []string{"PARTWAY_CFG_TRANSFER__URL_TTL=x"}, `PARTWAY_CFG_TRANSFER__URL_TTL: transfer.url_ttl: "x" is not a duration such as 30s or 5m`},
		{"out of bounds", []string{"PARTWAY_CFG_TRANSFER__URL_TTL=1h"}, "PARTWAY_CFG_TRANSFER__URL_TTL: transfer.url_ttl: 1h0m0s is over 5m0s"},
		{"unknown key inside", []string{"PARTWAY_CFG_STORAGE__BACKENDS=[{nme: x}]"}, "PARTWAY_CFG_STORAGE__BACKENDS: storage.backends[0].nme: unknown key"},
		{"missing key inside", []string{"PARTWAY_CFG_STORAGE__BACKENDS=[{name: main, access_key_id: a, secret_access_key: b}]"}, "PARTWAY_CFG_STORAGE__BACKENDS: storage.backends[0].endpoint: missing"},
		{"absent file", []string{"PARTWAY_CFG_REDIS__URL_FILE=" + absent}, "PARTWAY_CFG_REDIS__URL_FILE: redis.url: open " + absent + ": no such file or directory"},
		{"value and file", []string{"PARTWAY_CFG_REDIS__URL=redis://a", "PARTWAY_CFG_REDIS__URL_FILE=" + absent}, "PARTWAY_CFG_REDIS__URL_FILE: redis.url is already set by PARTWAY_CFG_REDIS__URL"},
		{"empty number", []string{"PARTWAY_CFG_LIMITS__XML_BYTES="}, "PARTWAY_CFG_LIMITS__XML_BYTES: limits.xml_bytes: 0 is not above 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := load(t, works, tt.environ...)
			if err == nil || err.Error() != tt.want {
				t.Errorf("\n got %v\nwant %s", err, tt.want)
			}
		})
	}
}
