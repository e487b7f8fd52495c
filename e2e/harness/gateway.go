package harness

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Build compiles partway into dir, with the race detector.
func Build(dir string) (string, error) { return build(filepath.Join(dir, "partway"), "-race") }

// BuildFailpoints is Build of a binary with failpoints.
func BuildFailpoints(dir string) (string, error) {
	return build(filepath.Join(dir, "partway-failpoints"), "-race", "-tags", "failpoints")
}

func build(bin string, flags ...string) (string, error) {
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", bin, "./cmd/partway")...)
	cmd.Dir = Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build partway: %w\n%s", err, out)
	}
	return bin, nil
}

// Keys are a pair as AWS tools know it.
type Keys struct {
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
}

// Ready is the ready file. `serve` writes the endpoint alone.
type Ready struct {
	Endpoint        string `json:"endpoint"`
	StorageEndpoint string `json:"storage_endpoint"`
	Region          string `json:"region"`
	Bucket          string `json:"bucket"`
	Storage         Keys   `json:"storage"`
	Operator        struct {
		Keys
		Bearer string `json:"bearer"`
	} `json:"operator"`
	Tenant struct {
		Keys
		Bearer string `json:"bearer"`
		Name   string `json:"name"`
		Prefix string `json:"prefix"`
	} `json:"tenant"`
}

// Gateway is a partway process.
type Gateway struct {
	*Process
	Ready
	Operator string // bearer
	CA       string // PEM file of who signed its certificate; "" over http

	tls *tls.Config // nil over http
}

// Trust makes clients of a gateway that serves TLS trust this CA.
func (g *Gateway) Trust(ca string) (err error) {
	g.CA = ca
	g.tls, err = trusting(ca)
	return err
}

// Demo starts `partway demo` on free ports with its data in dir.
func Demo(ctx context.Context, bin, dir string) (*Gateway, error) {
	return startGateway(ctx, bin, dir, nil, "demo", "--dir", filepath.Join(dir, "demo"), "--listen", "127.0.0.1:0")
}

// Serve starts `partway serve` with the config file, on a free port. Logs and ready file go to dir.
func Serve(ctx context.Context, bin, dir, config string, env []string) (*Gateway, error) {
	return serveAt(ctx, bin, dir, config, env, "127.0.0.1:0")
}

func serveAt(ctx context.Context, bin, dir, config string, env []string, addr string) (*Gateway, error) {
	return startGateway(ctx, bin, dir, env, "serve", "--config", config, "--listen", addr)
}

func startGateway(ctx context.Context, bin, dir string, env []string, args ...string) (*Gateway, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	ready := filepath.Join(dir, "ready.json")
	if err := os.Remove(ready); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err // a ready file of the run before would be taken for this one's
	}
	// A report of the race detector becomes the exit status, which Stop checks.
	env = append([]string{"GORACE=halt_on_error=0 exitcode=66"}, env...)
	p, err := Start(filepath.Join(dir, "partway.log"), env, bin, append(args, "--ready-file", ready)...)
	if err != nil {
		return nil, err
	}
	g := &Gateway{Process: p}
	err = Await(ctx, "ready file of partway "+args[0], p, func() bool {
		b, err := os.ReadFile(ready)
		return err == nil && json.Unmarshal(b, &g.Ready) == nil
	})
	if err != nil {
		p.Kill()
		return nil, err
	}
	g.Operator = g.Ready.Operator.Bearer
	return g, nil
}

// Addr is host:port where the gateway listens.
func (g *Gateway) Addr() string {
	u, err := url.Parse(g.Endpoint)
	if err != nil {
		panic(err) // a ready file without a URL: every test would fail
	}
	return u.Host
}

// Run runs another partway command to its end and returns stdout. The error carries stderr and exit status.
func Run(ctx context.Context, env []string, bin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, bin, args...)
	// A short-lived command need not wait a second for the reports of the race detector.
	cmd.Env = append(append(CleanEnv(), "GORACE=atexit_sleep_ms=0 exitcode=66"), env...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(bin), strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}
