package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// startPartway is a partway on embedded tracking in front of the sink, and an operator's tokens.
func startPartway(o *options, secure bool) (*running, error) {
	dir, err := os.MkdirTemp(o.dir, "gateway-")
	if err != nil {
		return nil, err
	}
	scheme, serverTLS := "http", ""
	if secure {
		scheme, serverTLS = "https", fmt.Sprintf("server: {tls: {cert_file: %s, key_file: %s}}\n", o.files.cert, o.files.key)
	}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`data_dir: %s
storage:
  default: sink
  buckets: {uploads: sink}
  backends:
    - {name: sink, endpoint: "%s://%s", region: us-east-1, path_style: true, access_key_id: bench, secret_access_key: bench-secret}
%s`, filepath.Join(dir, "data"), scheme, o.sink.addr(secure), serverTLS)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	keys, err := issueTokens(o.partway, config)
	if err != nil {
		return nil, err
	}
	readyFile := filepath.Join(dir, "ready.json")
	cmd := exec.Command(o.partway, "serve", "--config", config, "--listen", "127.0.0.1:0", "--ready-file", readyFile)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+o.files.cert)
	p, err := start(filepath.Join(dir, "log"), cmd)
	if err != nil {
		return nil, err
	}
	var ready struct {
		Endpoint string `json:"endpoint"`
	}
	err = p.await(func() bool {
		b, err := os.ReadFile(readyFile)
		return err == nil && json.Unmarshal(b, &ready) == nil
	})
	if err != nil {
		return nil, err
	}
	keys.addr, keys.tls = strings.TrimPrefix(ready.Endpoint, scheme+"://"), o.clientTLS(secure)
	return &running{p, keys}, nil
}

// issueTokens returns a target without an address.
func issueTokens(partway, config string) (t target, err error) {
	issue := []string{"token", "issue", "--offline", "--operator", "--config", config}
	if t.bearer, err = output(partway, append(issue, "--class", "bearer", "--format", "bearer")...); err != nil {
		return t, err
	}
	keys, err := output(partway, append(issue, "--class", "key", "--format", "json")...)
	if err != nil {
		return t, err
	}
	var pair struct {
		AccessKeyID     string `json:"access_key_id"`
		SecretAccessKey string `json:"secret_access_key"`
	}
	if err := json.Unmarshal([]byte(keys), &pair); err != nil {
		return t, fmt.Errorf("token issue --format json: %w: %s", err, keys)
	}
	t.signer = newSigner(pair.AccessKeyID, pair.SecretAccessKey)
	return t, nil
}

func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
