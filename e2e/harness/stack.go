// Package harness starts the built gateway between real servers and tells what happened from outside: bytes on the wire, request
// ids in answers, what storage holds. It imports nothing of the gateway.
package harness

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

	Redis *RedisCluster // in place of ToRedis, if the setup asks for one

	Lines map[string]*Line // from the gateway to the taps of "storage", "mongodb" and "redis", if the setup asks for them

	began         time.Time // before its first event
	env           []string  // of the gateway
	servers       []*Server
	storageFaults *StorageFaults // nil without failpoints
	armed         []string       // names of the gateway's own failpoints
}

// Setup says what a serve stands on. The zero value: embedded tracking, storage over http, no more configuration than that takes.
type Setup struct {
	Mongo      string        // which server takes MongoDB's place, with Redis beside it; "" for embedded tracking
	Config     []string      // lines at the end of the config file
	Backend    []string      // lines in the storage backend
	StorageTLS *Certificates // of storage, which then speaks https
	StorageEnv []string      // environment of versitygw
	MinIO      bool          // in versitygw's place
	Lines      bool          // that can be made to fail, between the gateway and every server
	Failpoints bool          // of a binary that has them, and between gateway and storage

	RedisCluster bool // beside Mongo, in place of one Redis
}

// NewDemo is `partway demo`: embedded tracking, its own storage.
func NewDemo(ctx context.Context, bin, dir string) (*Stack, error) {
	began := time.Now()
	g, err := Demo(ctx, bin, dir)
	if err != nil {
		return nil, err
	}
	return &Stack{
		began: began, Name: "embedded", Bin: bin, Dir: dir, Gateway: g,
		Storage: S3(g.StorageEndpoint, g.Region, g.Storage.AccessKeyID, g.Storage.SecretAccessKey),
	}, nil
}

// NewServe is `partway serve` on versitygw or MinIO and what the setup says, each server behind a tap.
func NewServe(ctx context.Context, bin, dir string, setup Setup) (_ *Stack, err error) {
	s := &Stack{began: time.Now(), Name: "embedded", Bin: bin, Dir: dir, Config: filepath.Join(dir, "config.yaml"), Lines: map[string]*Line{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	start := func(ctx context.Context, dir string) (*Server, error) {
		if setup.MinIO || os.Getenv("PARTWAY_E2E_STORAGE") == "minio" {
			return StartMinIO(ctx, dir, setup.StorageTLS)
		}
		return StartVersitygw(ctx, dir, setup.StorageTLS, setup.StorageEnv...)
	}
	if s.ToStorage, err = s.tapped(ctx, start); err != nil {
		return nil, err
	}
	if setup.Failpoints {
		if s.storageFaults, err = NewStorageFaults(s.servers[0].Addr); err != nil {
			return nil, err
		}
		s.ToStorage.Retarget(s.storageFaults.Addr)
		s.env = append(s.env, "PARTWAY_FAILPOINT="+s.failpoint())
	}
	// way is where the gateway finds the server behind a tap.
	way := func(name string, tap *Tap) (addr string) {
		if !setup.Lines || err != nil {
			return tap.Addr()
		}
		var line *Line
		if line, err = newLine(name, tap.Addr()); err != nil {
			return ""
		}
		s.Lines[name] = line
		return line.Addr()
	}
	scheme := "http://"
	if setup.StorageTLS != nil {
		scheme = "https://"
		s.env = append(s.env, "SSL_CERT_FILE="+setup.StorageTLS.CA)
	}
	config := []string{
		"data_dir: " + filepath.Join(dir, "data"),
		"storage:",
		"  default: main",
		"  buckets: {" + Bucket + ": main}",
		"  backends:",
		"    - name: main",
		"      endpoint: " + scheme + way("storage", s.ToStorage),
		"      access_key_id: " + StorageKey,
		"      secret_access_key: " + StorageSecret,
		"      exclusive: true",
	}
	for _, line := range setup.Backend {
		config = append(config, "      "+line)
	}
	if setup.Mongo != "" {
		s.Name = setup.Mongo + "+redis"
		var redis string
		if setup.RedisCluster {
			if s.Redis, err = StartRedisCluster(ctx, dir); err != nil {
				return nil, err
			}
			redis = "redis: {url: \"redis://" + s.Redis.Masters[0].Addr + "?addr=" + s.Redis.Masters[1].Addr + "\", cluster: true}"
		} else {
			if s.ToRedis, err = s.tapped(ctx, StartRedis); err != nil {
				return nil, err
			}
			redis = "redis: {url: \"redis://" + way("redis", s.ToRedis) + "/0\"}"
		}
		if s.ToMongo, err = s.tapped(ctx, func(ctx context.Context, dir string) (*Server, error) { return StartMongo(ctx, dir, setup.Mongo) }); err != nil {
			return nil, err
		}
		keys, err := keys(dir)
		if err != nil {
			return nil, err
		}
		config = append(config, keys...)
		config = append(config,
			"mongodb: {uri: \"mongodb://"+way("mongodb", s.ToMongo)+"/?directConnection=true\", database: partway}", redis)
	}
	if err != nil {
		return nil, err
	}
	config = append(config, setup.Config...)
	if err := os.WriteFile(s.Config, []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
		return nil, err
	}
	if s.Storage, err = storageClient(scheme+s.servers[0].Addr, setup.StorageTLS); err != nil {
		return nil, err
	}
	if _, err := s.Storage.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(Bucket)}); err != nil {
		return nil, err
	}
	return s, s.StartGateway(ctx)
}

// keys makes the keys that gateways on one MongoDB share, and the lines of configuration that name them.
func keys(dir string) ([]string, error) {
	signing, err := SigningKey(dir, "one")
	return []string{
		"auth:",
		"  signing_keys: [{kid: one, file: " + signing + ", active: true}]",
		"  master_keys: [{version: 1, secret: \"" + MasterKey() + "\", active: true}]",
	}, err
}

// SigningKey makes a key for auth.signing_keys and returns its file.
func SigningKey(dir, kid string) (string, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "signing-"+kid+".pem")
	return file, writePEM(file, "PRIVATE KEY", der)
}

// MasterKey makes a secret for auth.master_keys.
func MasterKey() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return base64.StdEncoding.EncodeToString(secret)
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
	g, err := Serve(ctx, s.Bin, s.Dir, s.Config, s.env)
	if err != nil {
		return err
	}
	s.Gateway, g.Operator = g, strings.TrimSpace(bearer)
	return nil
}

// RestartAhead is Restart with a clock that is ahead, of a binary with failpoints.
func (s *Stack) RestartAhead(ctx context.Context, ahead time.Duration) error {
	before := s.env
	s.env = append(slices.Clone(before), "PARTWAY_FAILPOINT_CLOCK="+ahead.String())
	defer func() { s.env = before }()
	return s.Restart(ctx)
}

// Restart starts a gateway that ended again; its operator stays who it was. A gateway does not start without MongoDB, and on a busy machine
// that may be slow to answer: then it is started once more, as whatever watches over it would.
func (s *Stack) Restart(ctx context.Context) error { return s.RestartAt(ctx, "127.0.0.1:0") }

// RestartAt is Restart at an address of its own, which a balancer knows.
func (s *Stack) RestartAt(ctx context.Context, addr string) error {
	g, err := serveAt(ctx, s.Bin, s.Dir, s.Config, s.env, addr)
	for tries := 1; err != nil && tries < 5; tries++ {
		g, err = serveAt(ctx, s.Bin, s.Dir, s.Config, s.env, addr)
	}
	if err != nil {
		return err
	}
	g.Operator = s.Gateway.Operator
	s.Gateway = g
	return nil
}

// Another starts one more gateway, with a directory of its own, on the same MongoDB, Redis and storage. It is stopped before s.
func (s *Stack) Another(ctx context.Context) (*Stack, error) {
	dir, err := os.MkdirTemp(s.Dir, "gateway-")
	if err != nil {
		return nil, err
	}
	config, err := os.ReadFile(s.Config)
	if err != nil {
		return nil, err
	}
	other := &Stack{Name: s.Name, Bin: s.Bin, Dir: dir, Config: filepath.Join(dir, "config.yaml"), Storage: s.Storage, env: s.env}
	own := strings.Replace(string(config), "data_dir: "+s.Dir, "data_dir: "+dir, 1)
	if err := os.WriteFile(other.Config, []byte(own), 0o600); err != nil {
		return nil, err
	}
	return other, other.StartGateway(ctx)
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
	for _, line := range s.Lines {
		line.proxy.Stop()
	}
	for _, tap := range []*Tap{s.ToStorage, s.ToMongo, s.ToRedis} {
		if tap != nil {
			tap.Cut()
		}
	}
	if s.storageFaults != nil {
		s.storageFaults.Close()
	}
	for _, server := range s.servers {
		server.Kill()
	}
	if s.Redis != nil {
		s.Redis.Kill()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}
