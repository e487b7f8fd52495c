package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partway/auth"
	"partway/proxy/relay"
	"partway/proxy/storage"
	"partway/tracking"
)

// Config of a Gateway. Fields without a default must be set.
type Config struct {
	Region  string
	Domains []string // virtual-host style: bucket.DOMAIN

	Verifier *auth.Verifier
	Issuer   *auth.Issuer
	Sealer   *auth.Sealer
	JWKS     []byte // JSON served at /_partway/jwks.json

	Backends       []*storage.Backend
	Buckets        map[string]string // bucket -> backend name
	DefaultBackend string

	Store    tracking.Store
	Sessions tracking.Sessions
	Writer   *tracking.Writer

	DefaultRoad string        // "relay" or "redirect"
	URLTTL      time.Duration // life of a presigned URL, <= 5 min
	MaxAge      time.Duration // life of an upload
	XMLBytes    int           // largest XML body
	HeaderBytes int           // largest request head

	Relay    relay.Config // of the listener; OnBytes is set by the gateway
	Log      *slog.Logger
	Registry *prometheus.Registry
	Now      func() time.Time
	Names    map[string]func(context.Context) error // ready parts by name: storage, mongodb, redis
}

// Gateway is the S3 surface.
type Gateway struct{ _ int }

// New checks the config.
func New(c Config) (*Gateway, error) { panic("not yet") }

// Serve answers on l until Shutdown. It owns l. nil after Shutdown.
func (g *Gateway) Serve(l net.Listener) error { panic("not yet") }

// Shutdown stops accepting, lets requests and transfers finish until ctx ends, then closes what is left.
func (g *Gateway) Shutdown(ctx context.Context) error { panic("not yet") }

// Admin serves /metrics, /ready and /health for server.admin_listen.
func (g *Gateway) Admin() http.Handler { panic("not yet") }
