package main

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"partway/cmd/partway/config"
)

func newServe() *cobra.Command {
	var file, listen, readyFile string
	var check bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the gateway",
		Long: "Run the gateway until SIGTERM or SIGINT; transfers under way may then finish within server.drain. A second signal ends it at once.\n" +
			"config.example.yaml explains the configuration.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkListen(listen); err != nil {
				return err
			}
			if check {
				return checkConfig(file, cmd.OutOrStdout(), cmd.ErrOrStderr())
			}
			c, _, err := loadConfig(file)
			if err != nil {
				return tryDemo(err)
			}
			c.Server.Listen = cmp.Or(listen, c.Server.Listen)
			if err := removeReady(readyFile); err != nil {
				return err
			}
			tuneGC()
			ctx, stop := untilSignal(cmd.Context())
			defer stop()
			s, err := open(ctx, c, newLog(c.Log, os.Stderr))
			if err != nil {
				return err
			}
			endpoint := endpointOf(c, s.listener.Addr().String())
			s.printListening(cmd.OutOrStdout(), endpoint)
			return s.run(ctx, func() error { return writeReady(readyFile, &readiness{Endpoint: endpoint}) })
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file [none: defaults and environment alone]")
	cmd.Flags().StringVar(&listen, "listen", "", "HOST:PORT in place of server.listen; port 0 takes a free one")
	cmd.Flags().StringVar(&readyFile, "ready-file", "", "file that is written, as JSON, once everything answers")
	cmd.Flags().BoolVar(&check, "check-config", false, "read the configuration, its keys and its certificate, ask no server, and exit: 0 if it is right, 2 if not")
	return cmd
}

// checkListen refuses what is no address for --listen; "" is none.
func checkListen(address string) error {
	if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
		return usagef("--listen %q is not HOST:PORT", address)
	}
	return nil
}

// untilSignal ends its context at the first SIGTERM or SIGINT. From then on a signal does what it does by default: it kills.
func untilSignal(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func newLog(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	// loadConfig has checked the name.
	_ = level.UnmarshalText([]byte(c.Level))
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
