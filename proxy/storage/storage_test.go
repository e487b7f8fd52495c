package storage

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigErrors(t *testing.T) {
	good := Config{Name: "main", Endpoint: "http://h:1", Region: "r", PathStyle: true, Credentials: root}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		change     func(*Config)
	}{
		{"no endpoint", "endpoint", func(c *Config) { c.Endpoint = "" }},
		{"no scheme", "endpoint", func(c *Config) { c.Endpoint = "h:1" }},
		{"other scheme", "endpoint", func(c *Config) { c.Endpoint = "ftp://h" }},
		{"path", "endpoint", func(c *Config) { c.Endpoint = "http://h/bucket" }},
		{"user", "endpoint", func(c *Config) { c.Endpoint = "http://u:p@h" }},
		{"query", "endpoint", func(c *Config) { c.Endpoint = "http://h?x=y" }},
		{"no host", "endpoint", func(c *Config) { c.Endpoint = "http://:80" }},
		{"virtual-host style at an address", "path_style", func(c *Config) { c.Endpoint, c.PathStyle = "http://127.0.0.1:9000", false }},
		{"no region", "region", func(c *Config) { c.Region = "" }},
		{"half of the credentials", "access_key_id", func(c *Config) { c.Credentials.SecretAccessKey = "" }},
		{"half of presign_put", "presign_put", func(c *Config) { c.PresignPut = &Credentials{AccessKeyID: "x"} }},
		{"half of presign_get", "presign_get", func(c *Config) { c.PresignGet = &Credentials{SecretAccessKey: "x"} }},
		{"role that is none", "role_arn", func(c *Config) { c.PresignPut, c.PutRole = &put, &Role{ARN: "partway-put"} }},
		{"role that is a user", "presign_put", func(c *Config) { c.PresignPut, c.PutRole = &put, &Role{ARN: "arn:aws:s3:::b:x"} }},
		{"STS that is nowhere", "sts_endpoint", func(c *Config) { c.PresignPut, c.PutRole = &put, &Role{ARN: roleARN, Endpoint: "sts:1"} }},
		{"CA file missing", "ca_file", func(c *Config) { c.Endpoint, c.CAFile = "https://h", "/nonexistent" }},
		{"CA file empty", "ca_file", func(c *Config) { c.Endpoint, c.CAFile = "https://h", empty }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := good
			c.change(&bad)
			if _, err := New(bad); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"main"`) {
				t.Errorf("error %v, want one about %s of storage main", err, c.want)
			}
		})
	}
}

func TestDoOverTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that is to fail
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	resp, err := newBackend(t, s.URL, func(c *Config) { c.CAFile = ca }).Do(t.Context(), &Call{Method: "GET", Bucket: "bucket", Key: "key"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if proto, _ := io.ReadAll(resp.Body); string(proto) != "HTTP/1.1" {
		t.Errorf("spoke %s", proto)
	}
	if _, err := newBackend(t, s.URL, nil).Do(t.Context(), &Call{Method: "GET"}, nil); !errors.Is(err, ErrUnavailable) || Sent(err) {
		t.Errorf("certificate of nobody: %v, Sent %v", err, Sent(err))
	}
}
