package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func startSink(dir string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "sink")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := start("", cmd)
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("sink: %w", err)
	}
	p.addr = strings.TrimSpace(line)
	return p, nil
}

// startNginx is nginx as one would put it in front of storage for uploads: streaming, keep-alive to storage.
func startNginx(dir, sink string) (*process, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	l.Close()
	config := fmt.Sprintf(`daemon off; worker_processes auto; pid %[1]s/nginx.pid; error_log stderr warn;
events { worker_connections 256; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  upstream sink { server %[2]s; keepalive 16; }
  server {
    listen %[3]s; client_max_body_size 0;
    location / {
      proxy_pass http://sink; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;
    }
  }
}
`, dir, sink, addr)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	bin, err := exec.LookPath("nginx")
	if err != nil {
		bin = "/usr/sbin/nginx" // Debian's, outside a plain user's PATH
	}
	p, err := start(filepath.Join(dir, "nginx.log"), exec.Command(bin, "-p", dir, "-c", path))
	if err != nil {
		return nil, err
	}
	p.addr = addr
	err = await("nginx", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	if err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// gateway is a partway on embedded tracking in front of the sink, with an operator's tokens.
type gateway struct {
	*process
	bearer        string
	keyID, secret string
}

func startGateway(partway, dir, sink string) (*gateway, error) {
	dir, err := os.MkdirTemp(dir, "gateway-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config.yaml")
	text := fmt.Sprintf(`data_dir: %s
storage:
  default: sink
  buckets: {uploads: sink}
  backends:
    - {name: sink, endpoint: "http://%s", region: us-east-1, path_style: true, access_key_id: bench, secret_access_key: bench-secret}
`, filepath.Join(dir, "data"), sink)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	g := &gateway{}
	readyFile, log := filepath.Join(dir, "ready.json"), filepath.Join(dir, "log")
	issue := []string{"token", "issue", "--offline", "--operator", "--config", config}
	if g.bearer, err = output(partway, append(issue, "--class", "bearer", "--format", "bearer")...); err != nil {
		return nil, err
	}
	keys, err := output(partway, append(issue, "--class", "key", "--format", "json")...)
	if err != nil {
		return nil, err
	}
	var pair struct {
		AccessKeyID     string `json:"access_key_id"`
		SecretAccessKey string `json:"secret_access_key"`
	}
	if err := json.Unmarshal([]byte(keys), &pair); err != nil {
		return nil, fmt.Errorf("token issue --format json: %w: %s", err, keys)
	}
	g.keyID, g.secret = pair.AccessKeyID, pair.SecretAccessKey
	if g.process, err = start(log, exec.Command(partway, "serve", "--config", config, "--listen", "127.0.0.1:0", "--ready-file", readyFile)); err != nil {
		return nil, err
	}
	err = await("partway", func() bool {
		var ready struct {
			Endpoint string `json:"endpoint"`
		}
		b, err := os.ReadFile(readyFile)
		if err != nil || json.Unmarshal(b, &ready) != nil {
			return false
		}
		g.addr = strings.TrimPrefix(ready.Endpoint, "http://")
		return true
	})
	if err != nil {
		g.stop()
		said, _ := os.ReadFile(log)
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	return g, nil
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

func await(what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
	return nil
}
