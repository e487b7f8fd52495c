package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"partway/agent"
)

// childError is the exit status of exec's child, which becomes ours.
type childError struct{ status int }

func (e *childError) Error() string { return fmt.Sprintf("the command ended with status %d", e.status) }

var errNotStarted = errors.New("starting")

func newExec() *cobra.Command {
	var (
		gateway clientFlags
		quiet   bool
		region  string
	)
	cmd := &cobra.Command{
		Use:   "exec [flags] -- COMMAND [ARGUMENT...]",
		Short: "Run an S3 tool that sends the bytes straight to storage",
		Long: "Run an S3 tool, its bytes going straight to storage: exec opens an S3 endpoint that only the tool can use, asks the gateway for a signed\n" +
			"request per body, and passes everything else on. The tool finds endpoint and credentials in its environment: AWS_ENDPOINT_URL_S3 and AWS_*\n" +
			"(aws-cli and the SDKs), the remote \"partway:\" of rclone, the host \"partway\" of mc, S3_ENDPOINT_URL (s5cmd), S3CMD_CONFIG (s3cmd); a\n" +
			"RESTIC_REPOSITORY at the gateway is read as one at this endpoint.",
		Example: "  partway exec -- aws s3 cp big.bin s3://uploads/acme/\n  partway exec -- rclone copy big.bin partway:uploads/acme/",
		Args:    someCommand,
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := startRun(&gateway, "127.0.0.1:0", agent.NewCredentials())
			if err != nil {
				return err
			}
			dir, err := os.MkdirTemp("", "partway-exec-")
			if err != nil {
				run.end()
				return err
			}
			defer os.RemoveAll(dir)
			err = run.child(args, dir, region)
			run.end()
			if !quiet && !errors.Is(err, errNotStarted) {
				fmt.Fprintln(cmd.ErrOrStderr(), run.summary())
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "no summary")
	cmd.Flags().StringVar(&region, "region", "us-east-1", "region of the gateway")
	cmd.Flags().SetInterspersed(false)
	gateway.add(cmd)
	return cmd
}

// agentRun is an endpoint while it is open.
type agentRun struct {
	client      *agent.Client
	server      *agent.Server
	credentials agent.Credentials
	gateway     string // its URL
	endpoint    string // ours
	begun       time.Time
	served      chan error
}

// lastRequests is how long requests may take to end when a run does.
const lastRequests = 15 * time.Second

func startRun(gateway *clientFlags, listen string, credentials agent.Credentials) (*agentRun, error) {
	client, endpoint, err := gateway.agent()
	if err != nil {
		return nil, err
	}
	l, err := agent.Listen(listen)
	if err != nil {
		client.Close(context.Background())
		return nil, usagef("listen: %w", err)
	}
	r := &agentRun{client: client, credentials: credentials, gateway: endpoint, endpoint: "http://" + l.Addr().String(), begun: time.Now(), served: make(chan error, 1)}
	r.server = agent.NewServer(client, credentials, slog.New(slog.DiscardHandler))
	go func() { r.served <- r.server.Serve(l) }()
	return r, nil
}

// end closes the endpoint and waits for what is under way, reports included.
func (r *agentRun) end() {
	ctx, cancel := context.WithTimeout(context.Background(), lastRequests)
	defer cancel()
	r.server.Shutdown(ctx)
	<-r.served
	r.client.Close(ctx)
}

// child runs the command and passes signals on to it.
func (r *agentRun) child(args []string, dir, region string) error {
	env, err := r.environment(os.Environ(), dir, region)
	if err != nil {
		return err
	}
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // it is what the user asks for
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdin, os.Stdout, os.Stderr, env
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w %s: %w", errNotStarted, args[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == os.Interrupt && onTerminal(os.Stdin) {
				continue // the terminal sends it to the child as well
			}
			_ = cmd.Process.Signal(s) // fails only if it has ended
		case err := <-ended:
			var exit *exec.ExitError
			switch {
			case err == nil:
				return nil
			case errors.As(err, &exit):
				return &childError{exitStatus(exit.ProcessState)}
			}
			return err
		}
	}
}

// onTerminal reports whether a file is a terminal, or something like it.
func onTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}

// exitStatus is the child's, or, as shells have it, 128 and the signal that ended it.
func exitStatus(s *os.ProcessState) int {
	if code := s.ExitCode(); code >= 0 {
		return code
	}
	if status, ok := s.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return 1
}

// inTheWay are variables that would lead a tool elsewhere, to other credentials or past plain http; and what is not the child's to know.
var inTheWay = []string{
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CA_BUNDLE", "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME",
	"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ENDPOINT_URL",
	"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT", "AWS_ACCESS_KEY", "AWS_SECRET_KEY",
	"PARTWAY_TOKEN", "PARTWAY_TOKEN_FILE",
}

// environment is the child's: ours, and where the endpoint is in the words of each tool.
func (r *agentRun) environment(ours []string, dir, region string) ([]string, error) {
	host := strings.TrimPrefix(r.endpoint, "http://")
	config := filepath.Join(dir, "s3cfg")
	lines := []string{"[default]", "access_key = " + r.credentials.AccessKeyID, "secret_key = " + r.credentials.SecretAccessKey, "host_base = " + host,
		"host_bucket = " + host, "use_https = False", "signature_v2 = False", "bucket_location = " + region, ""}
	if err := os.WriteFile(config, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		return nil, err
	}
	set := append(r.variables(region), "S3CMD_CONFIG="+config)
	taken := map[string]bool{}
	for _, name := range inTheWay {
		taken[name] = true
	}
	for _, kv := range set {
		name, _, _ := strings.Cut(kv, "=")
		taken[name] = true
	}
	var env []string
	for _, kv := range ours {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case taken[strings.ToUpper(name)]:
		case name == "RESTIC_REPOSITORY":
			env = append(env, name+"="+strings.Replace(value, "s3:"+r.gateway, "s3:"+r.endpoint, 1))
		case strings.EqualFold(name, "NO_PROXY"): // the endpoint is on no proxy's side
			env = append(env, name+"="+strings.Trim(value+",127.0.0.1", ","))
		default:
			env = append(env, kv)
		}
	}
	if os.Getenv("NO_PROXY") == "" && os.Getenv("no_proxy") == "" {
		env = append(env, "NO_PROXY=127.0.0.1")
	}
	return append(env, set...), nil
}

// variables name the endpoint to tools that need no file for it.
func (r *agentRun) variables(region string) []string {
	id, secret := r.credentials.AccessKeyID, r.credentials.SecretAccessKey
	const remote = "RCLONE_CONFIG_PARTWAY_"
	return []string{
		"AWS_ENDPOINT_URL_S3=" + r.endpoint, "AWS_ACCESS_KEY_ID=" + id, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region,
		"AWS_EC2_METADATA_DISABLED=true",
		"S3_ENDPOINT_URL=" + r.endpoint,
		remote + "TYPE=s3", remote + "PROVIDER=Other", remote + "ENV_AUTH=false", remote + "ACCESS_KEY_ID=" + id, remote + "SECRET_ACCESS_KEY=" + secret,
		remote + "ENDPOINT=" + r.endpoint, remote + "REGION=" + region, remote + "FORCE_PATH_STYLE=true", remote + "NO_CHECK_BUCKET=true",
		"MC_HOST_partway=" + strings.Replace(r.endpoint, "://", "://"+id+":"+secret+"@", 1),
	}
}

// summary is the one line at the end.
func (r *agentRun) summary() string {
	s, took := &r.client.Stats, time.Since(r.begun)
	line := fmt.Sprintf("partway: %s direct in %d bodies", size(s.DirectBytes.Load()), s.DirectBodies.Load())
	if n := s.RelayedBodies.Load(); n > 0 {
		line += fmt.Sprintf(", %s through the gateway in %d", size(s.RelayedBytes.Load()), n)
	}
	if n := s.StoredBodies.Load(); n > 0 {
		line += fmt.Sprintf(", %s in %d were stored already", size(s.StoredBytes.Load()), n)
	}
	if n := s.Retries.Load(); n > 0 {
		line += fmt.Sprintf(", %d retries", n)
	}
	return line + fmt.Sprintf(", %.1f s, %s/s", took.Seconds(), size(int64(float64(s.DirectBytes.Load()+s.RelayedBytes.Load())/max(took.Seconds(), 0.001))))
}

func size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1024, 0
	for ; v >= 1024 && i < len(units)-1; i++ {
		v /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}

func newAgent() *cobra.Command {
	var (
		gateway                 clientFlags
		listen, envFile, region string
	)
	cmd := &cobra.Command{
		Use:   "agent [flags]",
		Short: "Keep an S3 endpoint on this machine whose bytes go straight to storage",
		Long: "Keep an S3 endpoint on this machine, as exec does for one command. Its address and credentials, made for this run, are printed as shell\n" +
			"variables, or written to --env-file. It ends with SIGTERM or SIGINT, once what is under way has ended.",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			run, err := startRun(&gateway, listen, agent.NewCredentials())
			if err != nil {
				return err
			}
			if err := run.announce(cmd.OutOrStdout(), envFile, region); err != nil {
				run.end()
				return err
			}
			select {
			case <-ctx.Done():
				run.end()
			case err := <-run.served: // it has ended on its own
				run.served <- err
				run.end()
				return fmt.Errorf("serving: %w", err)
			}
			fmt.Fprintln(cmd.ErrOrStderr(), run.summary())
			return nil
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:0", "loopback HOST:PORT; port 0: any")
	cmd.Flags().StringVar(&envFile, "env-file", "", "file to write the variables to, for this user alone, in place of stdout")
	cmd.Flags().StringVar(&region, "region", "us-east-1", "region of the gateway")
	gateway.add(cmd)
	return cmd
}

// announce says where the endpoint is, once it answers.
func (r *agentRun) announce(stdout io.Writer, file, region string) error {
	if file == "" {
		for _, kv := range r.variables(region) {
			if _, err := fmt.Fprintln(stdout, "export "+kv); err != nil {
				return err
			}
		}
		return nil
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), ".partway-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = io.WriteString(temporary, strings.Join(r.variables(region), "\n")+"\n")
	if err = errors.Join(err, temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}
