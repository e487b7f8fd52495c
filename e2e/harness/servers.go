package harness

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Root of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

// Tool is a program that `make deps` installed; the error names the command that does.
func Tool(path string) (string, error) {
	p := filepath.Join(Root(), ".deps", path)
	if _, err := os.Stat(p); err != nil {
		return "", fmt.Errorf("%w: run `make deps`", err)
	}
	return p, nil
}

// Server is a process that listens.
type Server struct {
	*Process
	Addr string // host:port
}

// Credentials that a storage server was started with.
const (
	StorageKey    = "storage-root"
	StorageSecret = "storage-root-secret"
)

// StartVersitygw starts S3 storage over an empty directory of dir, with users of its own; over https with a certificate.
func StartVersitygw(ctx context.Context, dir string, tls *Certificates, env ...string) (*Server, error) {
	bin, err := Tool("bin/versitygw")
	if err != nil {
		return nil, err
	}
	data, users := filepath.Join(dir, "objects"), filepath.Join(dir, "users")
	for _, d := range []string{data, users} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	var secure []string
	if tls != nil {
		secure = []string{"--cert", tls.Cert, "--key", tls.Key}
	}
	return startServer(ctx, filepath.Join(dir, "versitygw.log"), func(addr string) (string, []string, []string) {
		return bin, append(append([]string{"--port", addr, "-q", "--iam-dir", users}, secure...), "posix", data),
			append([]string{"ROOT_ACCESS_KEY=" + StorageKey, "ROOT_SECRET_KEY=" + StorageSecret}, env...)
	})
}

// StartMinIO starts S3 storage over an empty directory of dir, with an STS at the same address; over https with a certificate.
func StartMinIO(ctx context.Context, dir string, tls *Certificates) (*Server, error) {
	bin, err := Tool("bin/minio")
	if err != nil {
		return nil, err
	}
	scheme, certs := "http://", filepath.Join(dir, "certs")
	if tls != nil {
		scheme = "https://"
		if err := errors.Join(os.Mkdir(certs, 0o700), os.Symlink(tls.Cert, filepath.Join(certs, "public.crt")), os.Symlink(tls.Key, filepath.Join(certs, "private.key"))); err != nil {
			return nil, err
		}
	}
	s, err := startServer(ctx, filepath.Join(dir, "minio.log"), func(addr string) (string, []string, []string) {
		return bin, []string{"server", "--quiet", "--address", addr, "--certs-dir", certs, filepath.Join(dir, "objects")},
			[]string{"MINIO_ROOT_USER=" + StorageKey, "MINIO_ROOT_PASSWORD=" + StorageSecret, "MINIO_BROWSER=off"}
	})
	if err != nil {
		return nil, err
	}
	// It listens before it knows its users.
	client, err := storageClient(scheme+s.Addr, tls)
	if err != nil {
		s.Kill()
		return nil, err
	}
	return s, Await(ctx, "minio's first answer", s.Process, func() bool {
		_, err := client.ListBuckets(ctx, nil)
		return err == nil
	})
}

// StartRedis starts redis-server without persistence: what it holds is a cache.
func StartRedis(ctx context.Context, dir string) (*Server, error) {
	return startServer(ctx, filepath.Join(dir, "redis.log"), func(addr string) (string, []string, []string) {
		host, port, _ := net.SplitHostPort(addr)
		return "redis-server", []string{"--bind", host, "--port", port, "--dir", dir, "--save", "", "--appendonly", "no"}, nil
	})
}

// startServer picks a free port and waits until it is answered. Another process may take the port between the choice and
// the bind; the server then ends at once and the next port is tried.
func startServer(ctx context.Context, log string, command func(addr string) (name string, args, env []string)) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var err error
	for range 3 {
		var addr string
		if addr, err = FreeAddr(); err != nil {
			return nil, err
		}
		name, args, env := command(addr)
		var p *Process
		if p, err = Start(log, env, name, args...); err != nil {
			return nil, err
		}
		err = Await(ctx, name+" on "+addr, p, func() bool {
			c, err := net.Dial("tcp", addr)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
		if err == nil {
			return &Server{Process: p, Addr: addr}, nil
		}
		p.Kill()
	}
	return nil, err
}

// FreeAddr is a loopback address on which nobody listened a moment ago.
func FreeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// S3 is the SDK's client for an endpoint, path style, each request sent once.
func S3(endpoint, region, accessKeyID, secret string, more ...func(*s3.Options)) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint:     aws.String(endpoint),
		Region:           region,
		Credentials:      credentials.NewStaticCredentialsProvider(accessKeyID, secret, ""),
		UsePathStyle:     true,
		RetryMaxAttempts: 1,
	}, more...)
}

// storageClient is a client with storage's own credentials.
func storageClient(endpoint string, tls *Certificates) (*s3.Client, error) {
	if tls == nil {
		return S3(endpoint, "us-east-1", StorageKey, StorageSecret), nil
	}
	config, err := trusting(tls.CA)
	return S3(endpoint, "us-east-1", StorageKey, StorageSecret, func(o *s3.Options) {
		o.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	}), err
}
