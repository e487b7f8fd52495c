package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"partway/auth"
	"partway/cmd/partway/config"
	"partway/proxy"
	"partway/web"
)

// What the demo is about.
const (
	demoBucket = "uploads"
	demoTenant = "acme"
	demoPrefix = "acme/"
	demoLife   = 12 * time.Hour // of its tokens
)

// tenantActions are what the demo's tenant may do below its prefix.
var tenantActions = []string{
	"s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListBucket", "s3:AbortMultipartUpload",
	"s3:ListMultipartUploadParts", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation",
}

var errStorageEnded = errors.New("the demo's storage ended by itself")

type demoFlags struct {
	dir, listen, readyFile string
	resume                 bool
}

func newDemo() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run gateway, storage and a tenant on this machine, and print a session to paste",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), cmd.OutOrStdout(), &f)
		},
	}
	cmd.Flags().StringVar(&f.dir, "dir", "", "directory that keeps objects, records and keys [a temporary one, removed at the end]")
	cmd.Flags().StringVar(&f.listen, "listen", "127.0.0.1:0", "HOST:PORT of the gateway; port 0 takes a free one")
	cmd.Flags().StringVar(&f.readyFile, "ready-file", "", "file that is written, as JSON with all credentials, once everything answers")
	cmd.Flags().BoolVar(&f.resume, "resume", false, "let the tenant's token resume uploads")
	return cmd
}

func runDemo(parent context.Context, out io.Writer, f *demoFlags) (err error) {
	if !hasStorage {
		return errors.New("this binary has no storage for a demo: releases leave it out (-tags nodemo). In a clone, `go run ./cmd/partway demo` has one")
	}
	if err := checkListen(f.listen); err != nil {
		return err
	}
	if err := removeReady(f.readyFile); err != nil {
		return err
	}
	ctx, stop := untilSignal(parent)
	defer stop()
	dir, remove, err := demoDir(f.dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()

	c := config.Default()
	objects, err := startStorage(ctx, filepath.Join(dir, "storage"), c.Server.Region, demoBucket)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, objects.Close()) }()
	// Without storage there is nothing to show.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		<-objects.ended // at the latest when it is closed
		cancel(errStorageEnded)
	}()

	c.Server.Listen, c.DataDir = f.listen, filepath.Join(dir, "data")
	c.Storage = config.Storage{Backends: []config.Backend{objects.Backend}, Default: objects.Name}
	c.Log.Level, c.Resume.Enabled = "warn", f.resume
	s, err := open(ctx, &c, newLog(c.Log, os.Stderr))
	if err != nil {
		return err
	}
	session, err := s.demoSession(ctx, f, objects)
	if err == nil {
		err = objects.letPagesSend(ctx, demoBucket, "http://"+s.listener.Addr().String(), session.Endpoint)
	}
	if err != nil {
		return errors.Join(err, s.closers.close())
	}
	session.dir, session.kept = dir, f.dir != ""
	s.printListening(out, session.Endpoint)
	err = s.run(ctx, func() error {
		if err := writeReady(f.readyFile, &session.readiness); err != nil {
			return err
		}
		return session.print(out)
	})
	if errors.Is(context.Cause(ctx), errStorageEnded) {
		return errors.Join(errStorageEnded, err)
	}
	return err
}

// demoDir returns the directory to work in and what to do with it at the end.
func demoDir(given string) (dir string, remove func() error, err error) {
	if given == "" {
		dir, err := os.MkdirTemp("", "partway-demo-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	// posix.New and the child's working directory: relative paths would mean another place there.
	dir, err = filepath.Abs(given)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	return dir, func() error { return nil }, err
}

// demoSession issues the demo's tokens, with their records, and says what there is.
func (s *server) demoSession(ctx context.Context, f *demoFlags, objects *demoStorage) (*session, error) {
	scope := []auth.Scope{{Bucket: demoBucket, Prefix: demoPrefix, Actions: tenantActions, Resume: f.resume}}
	tenant, err := s.demoAccount(ctx, auth.Grant{Tenant: demoTenant, Subject: demoTenant, Scopes: scope})
	if err != nil {
		return nil, err
	}
	tenant.Name, tenant.Prefix = demoTenant, demoPrefix
	operator, err := s.demoAccount(ctx, auth.Grant{Tenant: operatorTenant, Subject: operatorTenant, Operator: true, Scopes: everything()})
	if err != nil {
		return nil, err
	}
	_, pages := web.Pages()
	return &session{pages: pages, readiness: readiness{
		Endpoint:        demoEndpoint(s.listener.Addr()),
		StorageEndpoint: objects.Endpoint,
		Region:          s.config.Server.Region,
		Bucket:          demoBucket,
		Storage:         &keyPair{objects.AccessKeyID, objects.SecretAccessKey},
		Operator:        operator,
		Tenant:          tenant,
	}, partway: commandName()}, nil
}

// demoAccount issues a key and a bearer for the same grant.
func (s *server) demoAccount(ctx context.Context, g auth.Grant) (*demoAccount, error) {
	g.TTL = demoLife
	var account demoAccount
	for _, class := range []auth.Class{auth.ClassKey, auth.ClassBearer} {
		g.Class = class
		issued, err := s.authority.issuer.Issue(g, time.Now())
		if err != nil {
			return nil, fmt.Errorf("issuing %s's %s: %w", g.Tenant, class, err)
		}
		if err := s.store.InsertToken(ctx, proxy.TokenRecord(issued, "demo")); err != nil {
			return nil, fmt.Errorf("recording %s's %s: %w", g.Tenant, class, err)
		}
		if class == auth.ClassBearer {
			account.Bearer = issued.Token
		} else {
			account.keyPair = keyPair{issued.Token, issued.Secret}
		}
	}
	return &account, nil
}

// demoEndpoint is "localhost" for a loopback address: a redirect may only lead to another host than the gateway's, or clients
// would take their Authorization header along, and the demo's storage is 127.0.0.1.
func demoEndpoint(a net.Addr) string {
	host, port, _ := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}
