package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"partway/auth"
	"partway/cmd/partway/config"
	"partway/proxy"
	"partway/proxy/notify"
	"partway/proxy/relay"
	"partway/proxy/storage"
	"partway/tracking"
	"partway/tracking/bolt"
	"partway/tracking/memory"
	"partway/tracking/mongo"
	"partway/tracking/redis"
	"partway/web"
)

// spoolMax bounds the audit events that wait on disk while MongoDB is away: about half a million.
const spoolMax = 256 << 20

// open puts a gateway together: the one place where that happens. On an error nothing is left open.
func open(ctx context.Context, c *config.Config, log *slog.Logger) (*server, error) {
	s := &server{config: c, log: log}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.closers.close())
	}
	return s, nil
}

func (s *server) open(ctx context.Context) error {
	c := s.config
	if err := s.listen(); err != nil {
		return err
	}
	sessions, rates, err := s.openStores(ctx)
	if err != nil {
		return err
	}
	s.store, sessions = withFailpoints(s.store, sessions)
	// After the store, whose lock keeps a second gateway from this data directory.
	if s.authority, err = newAuthority(c); err != nil {
		return err
	}
	auditor := &tracking.Auditor{Archive: s.store, Uploads: s.store, Keys: s.authority.chainKeys, KeyVersion: s.authority.keyVersion, Now: now}
	writer, err := s.openTrail(auditor)
	if err != nil {
		return err
	}
	backends, err := s.openBackends()
	if err != nil {
		return err
	}
	proxies, err := auth.ParsePrefixes(c.Server.TrustedProxies)
	if err != nil {
		return fmt.Errorf("server.trusted_proxies: %w", err)
	}
	registry := prometheus.NewRegistry()
	// What is alive, beside what is allocated: the collector lets garbage lie (gc.go).
	live := collectors.WithGoCollectorRuntimeMetrics(collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile("^/gc/heap/live:bytes$")})
	registry.MustRegister(buildMetric(), collectors.NewGoCollector(live), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	tlsConfig, err := s.openTLS(registry)
	if err != nil {
		return err
	}
	verifier, err := s.newVerifier()
	if err != nil {
		return err
	}
	pages, built := web.Pages()
	if !built {
		s.log.Info("built without its pages", "hint", "make web build")
	}
	notifier, err := notify.New(notify.Config{Store: s.store, Receivers: c.Receivers(), Log: s.log, Registry: registry, Now: time.Now})
	if err != nil {
		return fmt.Errorf("notifications: %w", err)
	}
	if s.tracing, err = newTracing(ctx, c.Tracing, s.log); err != nil {
		return fmt.Errorf("tracing: %w", err)
	}
	s.closers.add(func() error { s.tracing.end(context.Background()); return nil })
	s.gateway, err = proxy.New(proxy.Config{
		Region:  c.Server.Region,
		Domains: c.Server.Domains,

		TrustedProxies: proxies,
		CORSOrigins:    c.CORS.Origins,

		Verifier: verifier,
		Issuer:   s.authority.issuer,
		Sealer:   s.authority.sealer,
		JWKS:     s.authority.jwks,

		Pages:  pages,
		SignIn: proxy.SignIn(c.Web.SignIn),

		Backends:       backends,
		Buckets:        c.Storage.Buckets,
		DefaultBackend: c.Storage.Default,

		Store:    s.store,
		Sessions: sessions,
		Writer:   writer,
		Rates:    rates,
		Auditor:  auditor,
		Notifier: notifier,
		Quota:    proxy.Quota{Bytes: c.Limits.TenantBytes, Daily: c.Limits.TenantPeriod == "day"},

		DefaultRoad:  proxy.Road(c.Transfer.Default),
		URLTTL:       time.Duration(c.Transfer.URLTTL),
		MaxAge:       time.Duration(c.Uploads.MaxAge),
		ResumeWindow: resumeWindow(c.Resume),
		SweepEvery:   time.Duration(c.Sweep.Interval),
		XMLBytes:     c.Limits.XMLBytes,
		HeaderBytes:  c.Limits.HeaderBytes,

		Relay: relay.Config{
			MinRate: c.Limits.MinRate, MaxPerIP: c.Limits.ConnectionsPerAddress, TLS: tlsConfig,
			Proxies: proxies, ProxyProtocol: c.Server.ProxyProtocol,
		},
		Log:      s.log,
		Registry: registry,
		Now:      now,
		Probes:   s.probes,

		ProbeEvery: probeEvery,

		Tracer:      s.tracing.tracer(),
		TrustParent: c.Tracing.TrustParent,
	})
	return err
}

// resumeWindow is 0 where uploads are not resumed.
func resumeWindow(c config.Resume) time.Duration {
	if !c.Enabled {
		return 0
	}
	return time.Duration(c.Window)
}

// listen comes first: a busy port should be said before anything is made or connected to.
func (s *server) listen() error {
	l, err := net.Listen("tcp", s.config.Server.Listen)
	if err != nil {
		return fmt.Errorf("server.listen: %w", err)
	}
	s.listener = l
	s.closers.add(func() error { return ignoreClosed(l.Close()) })
	if s.config.Server.AdminListen == "" {
		return nil
	}
	if s.admin, err = net.Listen("tcp", s.config.Server.AdminListen); err != nil {
		return fmt.Errorf("server.admin_listen: %w", err)
	}
	s.closers.add(func() error { return ignoreClosed(s.admin.Close()) })
	return nil
}

// ignoreClosed: whoever serves a listener closes it as well.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// openStores opens MongoDB and Redis if they are configured, else the embedded store and process memory. The rates are nil if
// there is no limit.
func (s *server) openStores(ctx context.Context) (tracking.Sessions, tracking.Rates, error) {
	c, rate := s.config, s.config.Limits.RequestsPerSecond
	if c.MongoDB.URI == "" {
		store, err := bolt.Open(bolt.Config{Dir: c.DataDir})
		if err != nil {
			return nil, nil, fmt.Errorf("data_dir: %w", err)
		}
		s.store = store
		s.closers.add(store.Close)
		s.probes = append(s.probes, proxy.Probe{Name: "store", Part: "store", Ask: store.Ping})
		sessions := memory.New(memory.Config{})
		s.closers.add(sessions.Close)
		if rate == 0 {
			return sessions, nil, nil
		}
		return sessions, memory.NewRates(rate, time.Now), nil
	}
	store, err := mongo.Open(ctx, mongo.Config{URI: c.MongoDB.URI, Database: c.MongoDB.Database, Spans: c.Tracing.Endpoint != ""})
	if err != nil {
		return nil, nil, fmt.Errorf("mongodb: %w", err)
	}
	s.store = store
	s.closers.add(store.Close)
	sessions, err := redis.Open(redis.Config{URL: c.Redis.URL, Cluster: c.Redis.Cluster})
	if err != nil {
		return nil, nil, err
	}
	s.closers.add(sessions.Close)
	s.probes = append(s.probes,
		proxy.Probe{Name: "mongodb", Part: "mongodb", Ask: store.Ping},
		proxy.Probe{Name: "redis", Part: "redis", Ask: sessions.Ping, Spare: true})
	if rate == 0 {
		return sessions, nil, nil
	}
	return sessions, &tracking.SharedRates{
		Shared: sessions.Rates(rate),
		Local:  memory.NewRates(max(1, rate/localShare), time.Now),
		Now:    time.Now,
	}, nil
}

// probeEvery is how often metrics learn whether what the gateway stands on answers.
const probeEvery = 10 * time.Second

// localShare: without Redis each of several gateways counts for itself, and allows only this part of the rate.
const localShare = 4

// openTrail starts the audit writer and the regular work on the trail. It spools only in front of MongoDB: where the embedded store cannot be written, neither can
// a file beside it.
func (s *server) openTrail(auditor *tracking.Auditor) (*tracking.Writer, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("the gateway's name in the audit trail: %w", err)
	}
	wc := tracking.WriterConfig{
		Trail: s.store, ChainKey: s.authority.chainKeys[s.authority.keyVersion], KeyVersion: s.authority.keyVersion,
		Erasures: auditor.Erasures, AnchorFile: s.config.Audit.AnchorFile, AnchorInterval: time.Duration(s.config.Audit.AnchorInterval),
		Gateway: host, Log: s.log, Now: now,
	}
	if s.config.MongoDB.URI != "" {
		wc.SpoolDir, wc.SpoolMax = filepath.Join(s.config.DataDir, "spool"), spoolMax
	}
	writer, err := tracking.NewWriter(wc)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	s.closers.add(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), auditEnd)
		defer cancel()
		return writer.Close(ctx)
	})
	keeper := &tracking.Keeper{Auditor: auditor, Writer: writer, Retention: time.Duration(s.config.Audit.Retention), Log: s.log}
	s.background(keeper.Run) // ends before the writer is closed, to which it notes what it does
	return writer, nil
}

// background runs work until the server is closed, and before what was opened until now is.
func (s *server) background(work func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var working sync.WaitGroup
	working.Go(func() { work(ctx) })
	s.closers.add(func() error {
		cancel()
		working.Wait()
		return nil
	})
}

func (s *server) openBackends() ([]*storage.Backend, error) {
	var backends []*storage.Backend
	for i := range s.config.Storage.Backends {
		b, err := newBackend(&s.config.Storage.Backends[i])
		if err != nil {
			return nil, fmt.Errorf("storage.backends[%d]: %w", i, err)
		}
		s.closers.add(func() error { b.Close(); return nil })
		backends = append(backends, b)
	}
	for _, b := range backends {
		name := "storage"
		if len(backends) > 1 {
			name += "/" + b.Name()
		}
		s.probes = append(s.probes, proxy.Probe{Name: name, Part: "storage", Ask: b.Ping})
	}
	return backends, nil
}

func newBackend(b *config.Backend) (*storage.Backend, error) {
	c := storage.Config{
		Name: b.Name, Endpoint: b.Endpoint, Region: b.Region, PathStyle: *b.PathStyle,
		Credentials:  storage.Credentials{AccessKeyID: b.AccessKeyID, SecretAccessKey: b.SecretAccessKey},
		Profile:      b.Profile,
		Exclusive:    b.Exclusive,
		NoAWSChunked: !*b.AWSChunked,
	}
	if put := b.PresignPut; put != nil {
		if put.AccessKeyID != "" { // else the backend's own credentials assume the role
			c.PresignPut = &storage.Credentials{AccessKeyID: put.AccessKeyID, SecretAccessKey: put.SecretAccessKey}
		}
		if put.RoleARN != "" {
			c.PutRole = &storage.Role{ARN: put.RoleARN, Endpoint: put.STSEndpoint, ExternalID: put.ExternalID}
		}
	}
	if get := b.PresignGet; get != nil {
		c.PresignGet = &storage.Credentials{AccessKeyID: get.AccessKeyID, SecretAccessKey: get.SecretAccessKey}
	}
	return storage.New(c)
}

// openTLS is nil where the gateway speaks plain HTTP.
func (s *server) openTLS(registry *prometheus.Registry) (*tls.Config, error) {
	if s.config.Server.TLS.CertFile == "" {
		return nil, nil
	}
	c, err := newServedCertificate(s.config.Server.TLS, s.log, registry, time.Now)
	if err != nil {
		return nil, fmt.Errorf("server.tls: %w", err)
	}
	s.background(c.run)
	return c.config(), nil
}
