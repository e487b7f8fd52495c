package main

import (
	"fmt"
	"os"
	"os/exec"
)

// startHAProxy is HAProxy with a thread for each CPU, connections to storage kept, and splicing where it is asked for.
func startHAProxy(o *options, secure, splice bool) (*running, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	var option, frontTLS, backTLS string
	if splice {
		option = "option splice-request\n  option splice-response"
	}
	if secure {
		frontTLS, backTLS = fmt.Sprintf(" ssl crt %s ssl-min-ver TLSv1.3", o.files.pair), fmt.Sprintf(" ssl ssl-min-ver TLSv1.3 verify required sni str(localhost) ca-file %s", o.files.cert)
	}
	config := fmt.Sprintf(`global
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  %s
frontend clients
  bind %s%s
  default_backend storage
backend storage
  http-reuse always
  server storage %s%s
`, option, address, frontTLS, o.sink.addr(secure), backTLS)
	path := o.path("haproxy.cfg")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	p, err := startListening(o.path("haproxy.log"), address, exec.Command(inSbin("haproxy"), "-db", "-f", path))
	if err != nil {
		return nil, err
	}
	return &running{p, target{addr: address, tls: o.clientTLS(secure)}}, nil
}
