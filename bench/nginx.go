package main

import (
	"fmt"
	"os"
	"os/exec"
)

// startNginx is nginx as one would put it in front of storage for uploads: streaming, keep-alive to storage, buffers of 128 KiB, with which it
// costs less than with its own 16.
func startNginx(o *options, secure bool) (*running, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	listen, upstream := address, "http://storage"
	if secure {
		listen = fmt.Sprintf("%s ssl; ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.3", address, o.files.cert, o.files.key)
		upstream = fmt.Sprintf("https://storage; proxy_ssl_protocols TLSv1.3; proxy_ssl_name localhost; proxy_ssl_verify on; proxy_ssl_trusted_certificate %s", o.files.cert)
	}
	config := fmt.Sprintf(`daemon off; worker_processes auto; pid %[1]s/nginx.pid; error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  upstream storage { server %[2]s; keepalive 16; }
  server {
    listen %[3]s; client_max_body_size 0; client_body_buffer_size 128k;
    location / {
      proxy_pass %[4]s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;
    }
  }
}
`, o.dir, o.sink.addr(secure), listen, upstream)
	path := o.path("nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := startListening(o.path("nginx.log"), address, exec.Command(inSbin("nginx"), "-p", o.dir, "-c", path))
	if err != nil {
		return nil, err
	}
	return &running{p, target{addr: address, tls: o.clientTLS(secure)}}, nil
}
