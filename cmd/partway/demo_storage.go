package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"partway/cmd/partway/config"
	"partway/proxy/storage"
)

// How long the demo's storage may take to answer first, and to end when it is told to.
const (
	storageStart = 20 * time.Second
	storageEnd   = 5 * time.Second
)

// demoStorage is the S3 server that the demo runs as a child process. Close ends it.
type demoStorage struct {
	config.Backend
	child *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{} // closed once err is set
	err   error
}

// startStorage runs this same binary as an S3 server on dir and returns once it answers and has the bucket.
func startStorage(ctx context.Context, dir, region, bucket string) (*demoStorage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	told := childConfig{
		// The id owns the bucket, also in the next run on this directory; the secret is new in each.
		Listen: address, Region: region, AccessKeyID: "demo-storage", SecretAccessKey: rand.Text(),
		Objects: filepath.Join(dir, "objects"), SideCar: filepath.Join(dir, "metadata"),
	}
	yes := true
	s := &demoStorage{
		child: exec.Command(self, storageChild),
		ended: make(chan struct{}),
		Backend: config.Backend{
			Name: "demo", Endpoint: "http://" + address, Region: region, PathStyle: &yes, AWSChunked: &yes,
			AccessKeyID: told.AccessKeyID, SecretAccessKey: told.SecretAccessKey, Exclusive: true,
		},
	}
	// What it logs is kept for who looks for it, out of the way of the session.
	log, err := createLog(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.child.Stderr = log
	if s.stdin, err = s.child.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.child.Start(); err != nil {
		return nil, fmt.Errorf("starting the storage: %w", err)
	}
	go func() {
		s.err = s.child.Wait()
		close(s.ended)
	}()
	err = json.NewEncoder(s.stdin).Encode(told)
	if err == nil {
		err = s.awaitBucket(ctx, bucket)
	}
	if err != nil {
		err = errors.Join(fmt.Errorf("starting the storage: %w", err), s.Close())
		said, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("%w\n%s", err, bytes.TrimSpace(said))
	}
	return s, nil
}

func createLog(file string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	return os.Create(file)
}

// awaitBucket makes the bucket as soon as the child answers.
func (s *demoStorage) awaitBucket(ctx context.Context, bucket string) error {
	backend, err := newBackend(&s.Backend)
	if err != nil {
		return err
	}
	defer backend.Close()
	ctx, cancel := context.WithTimeout(ctx, storageStart)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := backend.CreateBucket(ctx, bucket)
		if err == nil || !errors.Is(err, storage.ErrUnavailable) {
			return err
		}
		select {
		case <-again.C:
		case <-s.ended:
			return errors.New("it ended at once")
		case <-ctx.Done():
			return fmt.Errorf("no answer: %w", err)
		}
	}
}

// letPagesSend lets the gateway's own pages send parts to the bucket.
func (s *demoStorage) letPagesSend(ctx context.Context, bucket string, origins ...string) error {
	backend, err := newBackend(&s.Backend)
	if err != nil {
		return err
	}
	defer backend.Close()
	return backend.PutCORS(ctx, bucket, origins)
}

// Close tells the child to end, waits for it, and kills it when it does not.
func (s *demoStorage) Close() error {
	s.stdin.Close()
	timeout := time.NewTimer(storageEnd)
	defer timeout.Stop()
	select {
	case <-s.ended:
	case <-timeout.C:
		_ = s.child.Process.Kill() // fails only if it has ended meanwhile
		<-s.ended
	}
	return s.err
}

// freeAddress is a loopback address with a port that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
