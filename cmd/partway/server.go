package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"partway/cmd/partway/config"
	"partway/proxy"
	"partway/tracking"
)

// auditEnd is how long the events of the last requests may take to be written at the end.
const auditEnd = 10 * time.Second

// server is a gateway with everything that it stands on. open makes it; run owns and closes it.
type server struct {
	config    *config.Config
	log       *slog.Logger
	authority *authority
	store     tracking.Store
	gateway   *proxy.Gateway
	tracing   *tracing // nil: no spans are made
	listener  net.Listener
	admin     net.Listener // nil: none
	probes    []proxy.Probe
	closers   closers
}

// closers undoes what was opened, last first.
type closers []func() error

func (c *closers) add(f func() error) { *c = append(*c, f) }

func (c *closers) close() error {
	var errs []error
	for i := len(*c) - 1; i >= 0; i-- {
		errs = append(errs, (*c)[i]())
	}
	*c = nil
	return errors.Join(errs...)
}

func (s *server) printListening(w io.Writer, endpoint string) {
	fmt.Fprintf(w, "listening on %s\n", endpoint)
}

// run serves until ctx ends, drains, and closes everything. It calls whenReady once the gateway and all behind it answer.
func (s *server) run(ctx context.Context, whenReady func() error) error {
	told := ctx // to end; the group's ends on an error too
	all, ctx := errgroup.WithContext(ctx)
	serving, ended := context.WithCancel(context.WithoutCancel(ctx)) // until one of the listeners is served no more
	all.Go(func() error {
		defer ended()
		return s.gateway.Serve(s.listener)
	})
	admin := &http.Server{Handler: s.gateway.Admin(), ReadHeaderTimeout: 10 * time.Second}
	if s.admin != nil {
		all.Go(func() error {
			defer ended()
			if err := admin.Serve(s.admin); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	all.Go(func() error {
		if !s.awaitReady(ctx) {
			return nil // told to end before everything answered
		}
		return whenReady()
	})
	all.Go(func() error {
		<-ctx.Done()
		if delay := time.Duration(s.config.Server.DrainDelay); delay > 0 && told.Err() != nil {
			s.log.Info("retiring", "for", delay)
			s.gateway.Retire()
			select {
			case <-time.After(delay): // a second signal kills
			case <-serving.Done(): // there is nothing to send elsewhere
			}
		}
		s.log.Info("draining", "at most", s.config.Server.Drain)
		// The drain must not end with the context whose end began it.
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Duration(s.config.Server.Drain))
		defer cancel()
		err := errors.Join(ignoreDeadline(s.gateway.Shutdown(drain)), admin.Close())
		s.tracing.end(drain)
		return err
	})
	return errors.Join(all.Wait(), s.closers.close())
}

// ignoreDeadline: transfers that were cut at the end of the drain are no failure of the gateway's; the audit trail has them.
func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}
