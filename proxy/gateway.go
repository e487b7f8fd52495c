package proxy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"partway/auth"
	"partway/proxy/notify"
	"partway/proxy/relay"
	"partway/proxy/storage"
	"partway/tracking"
)

// Config of a Gateway. Every field must be set, but Domains, TrustedProxies, CORSOrigins, JWKS, Pages, SignIn, Buckets, Rates, Quota, Notifier,
// SweepEvery, Probes, ProbeEvery, Tracer and TrustParent.
type Config struct {
	Region  string
	Domains []string // virtual-host style: BUCKET.DOMAIN

	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed
	CORSOrigins    []string       // whose web pages may call; each passes auth.ValidOrigin

	Verifier *auth.Verifier
	Issuer   *auth.Issuer
	Sealer   *auth.Sealer
	JWKS     []byte // JSON served at /_partway/jwks.json

	Pages  fs.FS  // served at /_partway/: index.html, console.html and their assets; nil for none
	SignIn SignIn // of people, at the pages

	Backends       []*storage.Backend
	Buckets        map[string]string // bucket -> backend name
	DefaultBackend string            // of buckets not named there

	Store    tracking.Store
	Sessions tracking.Sessions
	Writer   *tracking.Writer
	Rates    tracking.Rates // nil: no limit
	Auditor  *tracking.Auditor
	Quota    Quota            // of each tenant
	Notifier *notify.Notifier // nil: nobody is told; Serve runs it

	DefaultRoad  Road          // RoadRelay or RoadRedirect
	URLTTL       time.Duration // life of a presigned URL, <= 5 min
	MaxAge       time.Duration // life of an upload
	ResumeWindow time.Duration // how long an interrupted upload may be taken up again; 0: none is
	SweepEvery   time.Duration // 0: never
	XMLBytes     int           // largest XML or JSON body
	HeaderBytes  int           // largest request head

	Relay    relay.Config // of the listener; OnBytes and OnRefused are the gateway's
	Log      *slog.Logger
	Registry *prometheus.Registry
	Now      func() time.Time
	Probes   []Probe // what /_partway/ready asks

	ProbeEvery time.Duration // for the metrics, also when nobody asks; 0: never

	Tracer      trace.Tracer // of the spans of requests; nil: none are made
	TrustParent bool         // the traceparent of whoever asks says whether its request is sampled, and in which trace
}

// Gateway is the S3 surface. Serve and Shutdown are called once each.
type Gateway struct {
	Config
	backends map[string]*storage.Backend
	metrics  *metrics
	refusals *refusals
	app      *fiber.App
	spent    spent
	turns    turns         // of the Completes
	patience time.Duration // how long a Complete may take before its answer begins; changed by tests alone
	hidden   time.Duration // hiddenTime; changed by tests alone

	base   context.Context // of everything that may outlive its client; ends with Shutdown
	cancel context.CancelCauseFunc

	ready struct { // the last answer of readiness
		sync.Mutex
		at     time.Time
		status int
		body   readiness
	}

	mu       sync.Mutex
	listener *relay.Listener // nil until Serve
	stopped  bool            // Shutdown was called
	retiring atomic.Bool     // Retire was called
	running  sync.WaitGroup  // Completes that go on without their client, the writer of refusals, and the sweep
}

// idleWorker is how long fasthttp keeps a goroutine with nothing to do. Every relayed body leaves one behind, with its stack.
const idleWorker = time.Second

// lastWords is how long transfers that were cut may take to end.
const lastWords = 10 * time.Second

var errShutdown = errors.New("the gateway is shutting down")

// New checks the config.
func New(c Config) (*Gateway, error) {
	g := &Gateway{Config: c, backends: map[string]*storage.Backend{}, refusals: newRefusals(), turns: turns{busy: map[string]chan struct{}{}}, patience: completePatience, hidden: hiddenTime}
	for _, b := range c.Backends {
		g.backends[b.Name()] = b
	}
	for bucket, name := range c.Buckets {
		if g.backends[name] == nil {
			return nil, fmt.Errorf("bucket %s: no storage backend is called %q", bucket, name)
		}
	}
	if c.DefaultBackend != "" && g.backends[c.DefaultBackend] == nil {
		return nil, fmt.Errorf("no storage backend is called %q", c.DefaultBackend)
	}
	if c.URLTTL <= 0 || c.URLTTL > 5*time.Minute {
		return nil, fmt.Errorf("life of a presigned URL is %s: want more than 0 and at most 5m", c.URLTTL)
	}
	for _, origin := range c.CORSOrigins {
		if err := auth.ValidOrigin(origin); err != nil {
			return nil, err
		}
	}
	g.Log = slog.New(requestLog{c.Log.Handler()})
	g.base, g.cancel = context.WithCancelCause(context.Background())
	g.metrics = newMetrics(c.Registry, g)
	g.Relay.OnBytes, g.Relay.OnRefused = g.metrics.socketBytes, g.metrics.connectionRefused
	g.app = g.newApp()
	return g, nil
}

// newApp makes the fiber application: one route, because the operations table is the router. fasthttp's ReadTimeout, WriteTimeout and
// MaxConnsPerIP stay unset: the relay.Listener owns deadlines and counts, for connections that come back to it as well.
func (g *Gateway) newApp() *fiber.App {
	app := fiber.New(fiber.Config{
		AppName:                      "partway",
		ServerHeader:                 "Partway",
		DisableStartupMessage:        true,
		CaseSensitive:                true,
		StrictRouting:                true,
		DisablePreParseMultipartForm: true,
		ReduceMemoryUsage:            true,
		BodyLimit:                    g.XMLBytes,
		ReadBufferSize:               g.HeaderBytes,
		RequestMethods:               []string{"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"},
		ErrorHandler:                 g.unparsed,
	})
	app.Use(g.entry)
	server := app.Server()
	server.HeaderReceived = g.intake
	server.KeepHijackedConns = true
	server.MaxIdleWorkerDuration = idleWorker
	return app
}

// Serve answers on l, which it owns, until Shutdown; then it returns nil.
func (g *Gateway) Serve(l net.Listener) error {
	g.mu.Lock()
	if g.stopped { // a signal came first
		g.mu.Unlock()
		return l.Close()
	}
	listener := relay.NewListener(l, g.Relay)
	g.listener = listener
	writer := g.Writer
	g.running.Go(func() { g.refusals.run(g.base, writer) })
	if g.Notifier != nil {
		g.running.Go(func() { g.Notifier.Run(g.base) })
	}
	if g.SweepEvery > 0 {
		g.running.Go(func() { g.sweepEvery(g.base, g.SweepEvery) })
	}
	if g.ProbeEvery > 0 {
		g.running.Go(func() { g.watchParts(g.base, g.ProbeEvery) })
	}
	g.mu.Unlock()
	if err := g.app.Listener(listener); g.base.Err() == nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Retire tells balancers to go elsewhere: readiness says no, and answers close their connections. All is served as before until Shutdown.
func (g *Gateway) Retire() {
	g.retiring.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener != nil {
		g.listener.Retire()
	}
}

// Shutdown stops accepting, lets requests and transfers finish until ctx ends, then closes what is left.
func (g *Gateway) Shutdown(ctx context.Context) error {
	g.mu.Lock()
	g.stopped = true
	listener := g.listener
	g.mu.Unlock()
	var errs []error
	if listener != nil {
		errs = append(errs, listener.Shutdown(ctx))
		errs = append(errs, g.app.ShutdownWithContext(ctx))
	}
	g.cancel(errShutdown)
	if listener != nil {
		select { // transfers that were cut still have their events to record
		case <-listener.Drained():
		case <-time.After(lastWords):
			errs = append(errs, errors.New("transfers that were cut did not end"))
		}
	}
	g.running.Wait()
	for _, b := range g.backends {
		b.Close()
	}
	return errors.Join(errs...)
}

// backendOf returns the storage that holds a bucket.
func (g *Gateway) backendOf(bucket string) (*storage.Backend, error) {
	name, ok := g.Buckets[bucket]
	if !ok {
		name = g.DefaultBackend
	}
	if b := g.backends[name]; b != nil {
		return b, nil
	}
	return nil, errNoSuchBucket
}
