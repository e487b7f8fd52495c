package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partway/cmd/partway/config"
)

// certificateInterval is how often the files of server.tls are read again. What renews certificates writes files, or turns a link to
// others, and need send no signal: one that is missed would be noticed when the old certificate ends.
const certificateInterval = 2 * time.Second

// servedCertificate is the pair of server.tls, which may be renewed while it serves. A pair that is no good never takes the place of one that is.
type servedCertificate struct {
	files   config.TLS
	log     *slog.Logger
	now     func() time.Time
	expiry  prometheus.Gauge
	reloads *prometheus.CounterVec

	current atomic.Pointer[tls.Certificate]
	loaded  [sha256.Size]byte // of the files that current was read from
	bad     [sha256.Size]byte // of the files as the last look found them, if they were no good
	told    bool              // that these are no good
}

// newServedCertificate reads the files, which must be good.
func newServedCertificate(files config.TLS, log *slog.Logger, registry *prometheus.Registry, now func() time.Time) (*servedCertificate, error) {
	c := &servedCertificate{
		files: files, log: log, now: now,
		expiry: prometheus.NewGauge(prometheus.GaugeOpts{Name: "partway_tls_certificate_expiry_timestamp_seconds",
			Help: "When the certificate that is served ends, in seconds since 1970."}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "partway_tls_certificate_reloads_total",
			Help: "Times that the certificate's files had changed and were taken up (ok), or were no good (failed) and the old pair stayed."}, []string{"result"}),
	}
	for _, result := range []string{"ok", "failed"} {
		c.reloads.WithLabelValues(result) // there from the start, so that the first failure is an increase
	}
	pair, sum, err := c.read()
	if err != nil {
		return nil, err
	}
	c.take(pair, sum)
	if !now().Before(pair.Leaf.NotAfter) {
		log.Warn("server.tls: the certificate has ended", "file", files.CertFile, "ended", pair.Leaf.NotAfter)
	}
	registry.MustRegister(c.expiry, c.reloads)
	return c, nil
}

// config is that of a server. Nothing here speaks HTTP/2.
func (c *servedCertificate) config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
	}
}

// run looks at the files until ctx ends.
func (c *servedCertificate) run(ctx context.Context) {
	tick := time.NewTicker(certificateInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.look()
		case <-ctx.Done():
			return
		}
	}
}

// look takes up what is new and good. What is not is told when a second look finds it unchanged: two files are not replaced at once, and in
// between they are no pair.
func (c *servedCertificate) look() {
	pair, sum, err := c.read()
	if err == nil && sum == c.loaded {
		c.bad, c.told = [sha256.Size]byte{}, false
		return
	}
	switch {
	case err != nil:
	case !c.now().Before(pair.Leaf.NotAfter):
		err = fmt.Errorf("it ended %s", pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case c.now().Before(pair.Leaf.NotBefore): // each look tries it again
		err = fmt.Errorf("it begins %s", pair.Leaf.NotBefore.UTC().Format(time.RFC3339))
	}
	switch {
	case err == nil:
		c.take(pair, sum)
		c.reloads.WithLabelValues("ok").Inc()
		c.log.Info("server.tls: new certificate", "file", c.files.CertFile, "serial", pair.Leaf.SerialNumber.Text(16), "ends", pair.Leaf.NotAfter)
	case sum != c.bad:
		c.bad, c.told = sum, false
	case !c.told:
		c.told = true
		c.reloads.WithLabelValues("failed").Inc()
		c.log.Error("server.tls: the new certificate is no good, the old one stays", "file", c.files.CertFile, "error", err, "ends", c.current.Load().Leaf.NotAfter)
	}
}

func (c *servedCertificate) take(pair *tls.Certificate, sum [sha256.Size]byte) {
	c.current.Store(pair)
	c.loaded, c.bad, c.told = sum, [sha256.Size]byte{}, false
	c.expiry.Set(float64(pair.Leaf.NotAfter.Unix()))
}

// read returns the pair, and the sum of what both files hold or of why they cannot be read.
func (c *servedCertificate) read() (*tls.Certificate, [sha256.Size]byte, error) {
	chain, err := os.ReadFile(c.files.CertFile)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	key, err := os.ReadFile(c.files.KeyFile)
	if err != nil {
		return nil, sha256.Sum256([]byte(err.Error())), err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s%s", len(chain), chain, key))
	pair, err := tls.X509KeyPair(chain, key) // with its Leaf
	if err != nil {
		return nil, sum, fmt.Errorf("%s and %s: %w", c.files.CertFile, c.files.KeyFile, err)
	}
	return &pair, sum, nil
}
