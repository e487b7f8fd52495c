package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"partway/agent"
)

func newCp() *cobra.Command {
	var (
		gateway clientFlags
		copying agent.Copy
		quiet   bool
		fresh   bool
	)
	cmd := &cobra.Command{
		Use:   "cp FILE s3://BUCKET/KEY | s3://BUCKET/KEY FILE",
		Short: "Copy a file to or from storage, its bytes past the gateway",
		Long: "Copy a file to or from storage, its bytes past the gateway. A target that ends with a slash gets the source's name. An upload that broke off\n" +
			"goes on when the same command is run again: parts that storage holds are not sent twice. Downloads go straight where the gateway has\n" +
			"presign_get for the storage, through the gateway otherwise.",
		Args: fileAndObject,
		RunE: func(cmd *cobra.Command, args []string) error {
			from, fromThere := agent.ParseObject(args[0])
			to, toThere := agent.ParseObject(args[1])
			if fromThere == toThere {
				return usagef("one of the two is a file, the other s3://BUCKET/KEY")
			}
			client, _, err := gateway.agent()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			run, bar := &agentRun{client: client, begun: time.Now()}, &progress{}
			defer func() {
				ctx, cancel := context.WithTimeout(context.Background(), lastRequests)
				defer cancel()
				client.Close(ctx)
				if !quiet && (err == nil || bar.moved.Load() > 0) { // else the error says it all
					fmt.Fprintln(cmd.ErrOrStderr(), run.summary())
				}
			}()
			if cache, err := os.UserCacheDir(); err == nil && !fresh {
				copying.StateDir = filepath.Join(cache, "partway", "uploads")
			}
			copying.Moved, copying.Resumed = func(n int64) { bar.moved.Add(n) }, func(n int64) { bar.moved.Add(n); bar.resumed.Add(n) }
			show := !quiet && onTerminal(os.Stderr)
			if toThere {
				err = upload(ctx, &copying, client, args[0], to, bar, show)
			} else {
				err = download(ctx, &copying, client, from, args[1], bar, show)
			}
			if n := bar.resumed.Load(); n > 0 && !quiet {
				fmt.Fprintf(cmd.ErrOrStderr(), "partway: %s were there before\n", size(n))
			}
			return err
		},
	}
	cmd.Flags().IntVar(&copying.Parallel, "parallel", 4, "bodies at once")
	cmd.Flags().Int64Var(&copying.PartSize, "part-size", 0, "bytes [8 MiB, or what it takes for 10,000 parts]")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress and no summary")
	cmd.Flags().BoolVar(&fresh, "no-resume", false, "begin a new upload")
	gateway.add(cmd)
	return cmd
}

func upload(ctx context.Context, c *agent.Copy, client *agent.Client, file string, to agent.Object, bar *progress, show bool) error {
	if to.Key == "" || strings.HasSuffix(to.Key, "/") {
		to.Key += filepath.Base(file)
	}
	if info, err := os.Stat(file); err == nil {
		bar.total = info.Size()
	}
	defer bar.show(show)()
	if _, err := c.Upload(ctx, client, file, to); err != nil {
		return fmt.Errorf("%s to %s: %w", file, to, err)
	}
	return nil
}

func download(ctx context.Context, c *agent.Copy, client *agent.Client, from agent.Object, file string, bar *progress, show bool) error {
	if info, err := os.Stat(file); strings.HasSuffix(file, string(filepath.Separator)) || err == nil && info.IsDir() {
		file = filepath.Join(file, filepath.Base(from.Key)) // not path.Base: on Windows a key may hold another separator
	}
	defer bar.show(show)()
	verified, err := c.Download(ctx, client, from, file)
	if err != nil {
		return fmt.Errorf("%s to %s: %w", from, file, err)
	}
	if !verified {
		fmt.Fprintln(os.Stderr, "partway: the ETag of this object is no checksum of its bytes: its length was compared, and the connection vouches for the rest")
	}
	return nil
}

// progress is a line on a terminal.
type progress struct {
	total          int64 // 0: not known
	moved, resumed atomic.Int64
}

// show draws until the function that it returns is called.
func (p *progress) show(really bool) (stop func()) {
	if !really {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	begun := time.Now()
	go func() {
		defer close(ended)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				n := p.moved.Load()
				line := size(n)
				if p.total > 0 {
					filled := int(30 * n / p.total)
					line = fmt.Sprintf("[%-30s] %3d %%  %s of %s", strings.Repeat("=", filled), 100*n/p.total, size(n), size(p.total))
				}
				rate := float64(n-p.resumed.Load()) / time.Since(begun).Seconds()
				fmt.Fprintf(os.Stderr, "\r%s  %s/s   ", line, size(int64(rate)))
			case <-done:
				fmt.Fprint(os.Stderr, "\r\033[K")
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}
