// Package harness starts the built gateway between real servers and tells what happened from outside: bytes on the wire, request
// ids in answers, what storage holds. It imports nothing of the gateway.
package harness

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Bucket that every stack has.
const Bucket = "uploads"

// Stack is a gateway and what it stands on.
type Stack struct {
	Name    string // "embedded" or what stands in MongoDB's place "+redis"
	Bin     string
	Dir     string
	Config  string // path; "" for the demo
	Gateway *Gateway
	Storage *s3.Client // with storage's own credentials, past the gateway

	// Between the gateway (and redirected clients) and its servers; nil in the demo, whose storage is its child.
	ToStorage, ToMongo, ToRedis *Tap

	servers []*Server
}

// NewDemo is `partway demo`: embedded tracking, its own storage.
func NewDemo(ctx context.Context, bin, dir string) (*Stack, error) {
	g, err := Demo(ctx, bin, dir)
	if err != nil {
		return nil, err
	}
	return &Stack{
		Name: "embedded", Bin: bin, Dir: dir, Gateway: g,
		Storage: S3(g.StorageEndpoint, g.Region, g.Ready.Storage.AccessKeyID, g.Ready.Storage.SecretAccessKey),
	}, nil
}

// NewServe is `partway serve` on versitygw, with MongoDB (one of the servers in MongoDB's place, by name) and
// Redis, or with mongo "" on embedded tracking; each server behind a tap. Extra lines end the config file.
func NewServe(ctx context.Context, bin, dir, mongo string, extra ...string) (s *Stack, err error) {
	s = &Stack{Name: "embedded", Bin: bin, Dir: dir, Config: filepath.Join(dir, "config.yaml")}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	if s.ToStorage, err = s.tapped(ctx, StartVersitygw); err != nil {
		return nil, err
	}
	endpoint := "http://" + s.ToStorage.Addr()
	config := []string{
		"data_dir: " + filepath.Join(dir, "data"),
		"storage:",
		"  default: main",
		"  buckets: {" + Bucket + ": main}",
		"  backends:",
		"    - {name: main, endpoint: \"" + endpoint + "\", region: us-east-1, path_style: true, exclusive: true,",
		"       access_key_id: " + StorageKey + ", secret_access_key: " + StorageSecret + "}",
	}
	if mongo != "" {
		s.Name = mongo + "+redis"
		if s.ToRedis, err = s.tapped(ctx, StartRedis); err != nil {
			return nil, err
		}
		if s.ToMongo, err = s.tapped(ctx, func(ctx context.Context, dir string) (*Server, error) { return StartMongo(ctx, dir, mongo) }); err != nil {
			return nil, err
		}
		keys, err := keys(dir)
		if err != nil {
			return nil, err
		}
		config = append(config, keys...)
		config = append(config,
			"mongodb: {uri: \"mongodb://"+s.ToMongo.Addr()+"/?directConnection=true\", database: partway}",
			"redis: {url: \"redis://"+s.ToRedis.Addr()+"/0\"}")
	}
	config = append(config, extra...)
	if err := os.WriteFile(s.Config, []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	s.Storage = S3("http://"+s.servers[0].Addr, "us-east-1", StorageKey, StorageSecret)
	if _, err := s.Storage.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(Bucket)}); err != nil {
		return nil, err
	}
	return s, s.StartGateway(ctx)
}

// keys makes the keys that gateways on one MongoDB share, and the lines of configuration that name them.
func keys(dir string) ([]string, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "signing.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return nil, err
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	return []string{
		"auth:",
		"  signing_keys: [{kid: one, file: " + file + ", active: true}]",
		"  master_keys: [{version: 1, secret: \"" + base64.StdEncoding.EncodeToString(secret) + "\", active: true}]",
	}, nil
}

// StartGateway starts the gateway (again) on the stack's config.
func (s *Stack) StartGateway(ctx context.Context) error {
	if s.Config == "" {
		g, err := Demo(ctx, s.Bin, s.Dir)
		s.Gateway = g
		return err
	}
	bearer, err := Run(ctx, nil, s.Bin, "token", "issue", "--offline", "--operator", "--config", s.Config, "--class", "bearer", "--format", "bearer")
	if err != nil {
		return err
	}
	g, err := Serve(ctx, s.Bin, s.Dir, s.Config)
	if err != nil {
		return err
	}
	s.Gateway, g.Operator = g, strings.TrimSpace(bearer)
	return nil
}

func (s *Stack) tapped(ctx context.Context, start func(context.Context, string) (*Server, error)) (*Tap, error) {
	server, err := start(ctx, s.Dir)
	if err != nil {
		return nil, err
	}
	s.servers = append(s.servers, server)
	return NewTap(server.Addr)
}

// Stop ends everything, the gateway first and gracefully. The error of a gateway that did not end well is returned.
func (s *Stack) Stop() error {
	var err error
	if s.Gateway != nil {
		err = s.Gateway.Stop(40 * time.Second)
	}
	for _, tap := range []*Tap{s.ToStorage, s.ToMongo, s.ToRedis} {
		if tap != nil {
			tap.Cut()
		}
	}
	for _, server := range s.servers {
		server.Kill()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}
