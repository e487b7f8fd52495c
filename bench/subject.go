package main

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"time"
)

// subject is something that can stand between a client and the sink.
type subject struct {
	name  string
	start func(o *options, secure bool) (*running, error) // secure: TLS on both legs
}

// running is a subject with its process, nil if nothing stands in between.
type running struct {
	*process
	target
}

func (r *running) stop() {
	if r.process != nil {
		r.process.stop()
	}
}

func (r *running) spent() time.Duration {
	if r.process == nil {
		return 0
	}
	return r.cpu()
}

var (
	nothing       = subject{"nothing", startNothing}
	partway       = subject{"partway", startPartway}
	nginx         = subject{"nginx", startNginx}
	haproxy       = subject{"HAProxy", func(o *options, secure bool) (*running, error) { return startHAProxy(o, secure, false) }}
	haproxySplice = subject{"HAProxy, splice", func(o *options, secure bool) (*running, error) { return startHAProxy(o, secure, true) }}
	reverseProxy  = subject{"net/http ReverseProxy", startReverse}
	rival         = subject{"versitygw s3", startRival}
)

func startNothing(o *options, secure bool) (*running, error) {
	return &running{target: target{addr: o.sink.addr(secure), tls: o.clientTLS(secure)}}, nil
}

func (s *sink) addr(secure bool) string {
	if secure {
		return s.https
	}
	return s.http
}

// clientTLS is nil for plain http.
func (o *options) clientTLS(secure bool) *tls.Config {
	if !secure {
		return nil
	}
	return o.files.clientTLS()
}

func (o *options) path(name string) string { return filepath.Join(o.dir, name) }

// each measures every subject once a round, so that what disturbs a round disturbs them all.
func each(rounds int, subjects []subject, measure func(s subject) error) error {
	for range rounds {
		for _, s := range subjects {
			if err := measure(s); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}
