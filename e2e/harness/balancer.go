package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// BalancerSetup says what a balancer stands in front of.
type BalancerSetup struct {
	Config       string        // of deploy/balancers
	Certificates *Certificates // of a balancer that ends TLS
	Gateways     []string      // host:port each; as many servers of the configuration are left
	Admin        []string      // their admin listeners, where the configuration asks those
}

// StartBalancer runs a balancer as one would run it. What a machine has of its own is put into its configuration, line by line; nothing else is changed.
func StartBalancer(ctx context.Context, dir string, setup BalancerSetup) (*Server, error) {
	text, err := os.ReadFile(filepath.Join(Root(), "deploy", "balancers", setup.Config))
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, setup.Config)
	return startServer(ctx, file+".log", func(addr string) (string, []string, []string) {
		_ = os.WriteFile(file, []byte(setup.fit(string(text), dir, addr)), 0o600) // without it the program ends at once, and says so
		if strings.HasPrefix(setup.Config, "haproxy") {
			return "/usr/sbin/haproxy", []string{"-db", "-f", file}, nil
		}
		// One process: the workers of a master that is killed, as a test's servers are at its end, would serve on.
		return "/usr/sbin/nginx", []string{"-p", dir, "-c", file, "-g", "daemon off; master_process off;"}, nil
	})
}

// fit puts a test's files and addresses in the place of the example's.
func (b *BalancerSetup) fit(text, dir, addr string) string {
	var out strings.Builder
	servers, checks := 0, strings.Contains(text, "check port 9001")
	for line := range strings.Lines(text) {
		for i := range 3 {
			example := fmt.Sprintf("10.0.0.1%d:9000", i+1)
			switch {
			case !strings.Contains(line, example):
			case i >= len(b.Gateways):
				line = ""
			default:
				line = strings.Replace(line, example, b.Gateways[i], 1)
				if checks { // all on one machine, each has a port of its own
					_, port, _ := strings.Cut(b.Admin[i], ":")
					line = strings.TrimRight(line, "\n") + " port " + port + "\n"
				}
				servers++
			}
		}
		out.WriteString(line)
	}
	pairs := []string{"0.0.0.0:443", addr, "/run/nginx.pid", filepath.Join(dir, "nginx.pid"), " port 9001", ""}
	if c := b.Certificates; c != nil {
		pairs = append(pairs, "/etc/haproxy/s3.pem", c.Both, "/etc/nginx/s3.crt", c.Cert, "/etc/nginx/s3.key", c.Key)
	}
	if servers != len(b.Gateways) {
		panic("the example has other servers than it had")
	}
	return strings.NewReplacer(pairs...).Replace(out.String())
}
