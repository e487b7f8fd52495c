package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"partway/cmd/partway/config"
	"partway/tracking/mongo"
	"partway/tracking/redis"
)

// checkConfig is `serve --check-config`: everything about a configuration that can be tried here, without a server, a port or a file made.
func checkConfig(file string, out, warnings io.Writer) error {
	c, locate, err := loadConfig(file)
	if err != nil {
		return err
	}
	if err := tryConfig(c); err != nil {
		return &usageError{locate(err)}
	}
	if c.AdminExposed() {
		fmt.Fprintf(warnings, "partway: server.admin_listen %s: %s\n", c.Server.AdminListen, adminExposed)
	}
	_, err = fmt.Fprintln(out, "the configuration is right")
	return err
}

const adminExposed = "whoever reaches it reads metrics and readiness without a token"

// tryConfig opens what c names on this machine, and puts together what needs nobody else. Each error says its key (config.At).
func tryConfig(c *config.Config) error {
	errs := []error{c.CheckKeys()}
	if c.KeysConfigured() && errs[0] == nil {
		_, err := newAuthority(c)
		errs = append(errs, config.At("auth", err))
	}
	if _, err := certificate(c.Server.TLS, time.Now()); err != nil {
		errs = append(errs, config.At("server.tls", err))
	}
	for i := range c.Storage.Backends {
		b, err := newBackend(&c.Storage.Backends[i])
		if err != nil {
			errs = append(errs, config.At(fmt.Sprintf("storage.backends[%d]", i), err))
			continue
		}
		b.Close()
	}
	if c.MongoDB.URI == "" {
		return errors.Join(errs...)
	}
	errs = append(errs, config.At("mongodb.uri", mongo.CheckURI(c.MongoDB.URI)))
	sessions, err := redis.Open(redis.Config{URL: c.Redis.URL, Cluster: c.Redis.Cluster})
	if err != nil {
		errs = append(errs, config.At("redis.url", err))
	} else {
		errs = append(errs, sessions.Close())
	}
	return errors.Join(errs...)
}

// certificate is what clients will be shown; nil without TLS. One that they would refuse is an error.
func certificate(c config.TLS, now time.Time) (*x509.Certificate, error) {
	if c.CertFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, err
	}
	switch leaf := pair.Leaf; {
	case now.After(leaf.NotAfter):
		return nil, fmt.Errorf("%s: the certificate ended on %s", c.CertFile, leaf.NotAfter.Format(time.RFC3339))
	case now.Before(leaf.NotBefore):
		return nil, fmt.Errorf("%s: the certificate begins on %s", c.CertFile, leaf.NotBefore.Format(time.RFC3339))
	default:
		return leaf, nil
	}
}
