package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"partway/cmd/partway/config"
)

// testConfig is a gateway on the embedded store in front of a storage that answers everything.
func testConfig(t *testing.T) *config.Config {
	t.Helper()
	storage := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(storage.Close)
	yes := true
	c := config.Default()
	c.Server.Listen, c.Server.AdminListen, c.DataDir = "127.0.0.1:0", "127.0.0.1:0", t.TempDir()
	c.Storage = config.Storage{Default: "main", Backends: []config.Backend{{
		Name: "main", Endpoint: storage.URL, Region: "us-east-1", PathStyle: &yes, AWSChunked: &yes, AccessKeyID: "a", SecretAccessKey: "b",
	}}}
	return &c
}

func TestServerServesAndEnds(t *testing.T) {
	// fasthttp keeps one clock for all servers of a process, for as long as it runs; its workers are looked over every ten seconds.
	c := testConfig(t)
	defer goleak.VerifyNone(t, goleak.IgnoreTopFunction("time.Sleep"), goleak.IgnoreCurrent())
	ctx, cancel := context.WithCancel(t.Context())
	s, err := open(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	err = s.run(ctx, func() error {
		defer cancel()
		for _, path := range []string{"/health", "/ready", "/metrics"} {
			resp, err := http.Get("http://" + s.admin.Addr().String() + path)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", path, resp.Status)
			}
		}
		http.DefaultClient.CloseIdleConnections()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", s.listener.Addr().String()); err == nil {
		c.Close()
		t.Error("still listening after the end")
	}
}

func TestServerEndsWhenReadinessCannotBeTold(t *testing.T) {
	s, err := open(t.Context(), testConfig(t), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	told := errors.New("disk full")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // it would serve on else
	defer cancel()
	if err := s.run(ctx, func() error { return told }); !errors.Is(err, told) {
		t.Errorf("got %v", err)
	}
}

// brokenListener fails once it is told to.
type brokenListener struct {
	net.Listener
	broken chan struct{}
}

var errBroken = errors.New("the listener is broken")

func (l *brokenListener) Accept() (net.Conn, error) {
	<-l.broken
	return nil, errBroken
}

// onRetiring is a log that acts when a gateway retires.
type onRetiring struct {
	slog.Handler
	act func()
}

func (h onRetiring) Enabled(context.Context, slog.Level) bool { return true }

func (h onRetiring) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "retiring" {
		h.act()
	}
	return nil
}

func TestServerThatFailsWhileItRetiresEndsAtOnce(t *testing.T) {
	c := testConfig(t)
	c.Server.DrainDelay = config.Duration(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	broken := make(chan struct{})
	s, err := open(ctx, c, slog.New(onRetiring{slog.DiscardHandler, func() { close(broken) }}))
	if err != nil {
		t.Fatal(err)
	}
	s.admin = &brokenListener{s.admin, broken}
	over := make(chan error, 1)
	go func() { over <- s.run(ctx, func() error { cancel(); return nil }) }()
	select {
	case err := <-over:
		if !errors.Is(err, errBroken) {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("waits for the end of server.drain_delay")
	}
}

func TestOpenLeavesNothingOpen(t *testing.T) {
	c := testConfig(t)
	c.Server.TLS = config.TLS{CertFile: "absent", KeyFile: "absent"}
	if _, err := open(t.Context(), c, slog.New(slog.DiscardHandler)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	// The store's lock is free again.
	c.Server.TLS = config.TLS{}
	s, err := open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.closers.close(); err != nil {
		t.Error(err)
	}
}

func TestClosersRunBackwardsAndAll(t *testing.T) {
	var (
		order []int
		c     closers
		bad   = errors.New("bad")
	)
	for i := range 3 {
		c.add(func() error { order = append(order, i); return bad })
	}
	if err := c.close(); !errors.Is(err, bad) || !slices.Equal(order, []int{2, 1, 0}) {
		t.Errorf("order %v, error %v", order, err)
	}
	if err := c.close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}
