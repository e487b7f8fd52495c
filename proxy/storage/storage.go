// Package storage is the S3 servers behind the gateway: where they are, how requests to them are signed, and the few calls that
// the gateway makes on its own account. The only importer of the S3 SDK.
//
// A client's request that is passed on is a Call: signed into its header for the relay (Relayed) and for control calls (Do), into
// its query for redirect and sign (Presigned). Calls that the gateway itself originates (ListParts to verify, AbortUpload,
// HeadObject, CreateBucket) use the SDK.
//
// Each backend has up to three identities: credentials sign headers of requests that the gateway sends; PresignPut signs
// URLs for UploadPart and PutObject; PresignGet, if there, signs URLs for GetObject and never a PUT.
//
// A key is decoded in a Call and encoded once, by AWS's rules, on the wire. Nothing on the way cleans it: "//", a leading slash
// and dots arrive at storage as they are.
package storage

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/auth/sigv4"
	"partway/proxy/relay"
)

// Credentials of one identity.
type Credentials struct{ AccessKeyID, SecretAccessKey string }

// Config of one backend.
type Config struct {
	Name, Endpoint, Region string // Endpoint: "http://host:port" or "https://host[:port]"
	PathStyle              bool   // false: bucket.host
	Credentials            Credentials
	PresignPut, PresignGet *Credentials // nil: Credentials signs presigned PUTs; no presigned GETs
	Exclusive              bool         // nobody but the gateway creates uploads there
	CAFile                 string       // PEM; the only authorities that are trusted for https. "": the system's
	NoAWSChunked           bool         // storage that cannot take STREAMING-UNSIGNED-PAYLOAD-TRAILER
}

// Errors of calls to storage, wrapped.
var (
	ErrUnavailable  = errors.New("storage unavailable") // not reached, no answer in time, or a 5xx to a call of the gateway's own
	ErrNoSuchUpload = errors.New("no such upload at storage")
	ErrNotFound     = errors.New("not found at storage")
)

// Backend is one S3 server. Safe for concurrent use.
type Backend struct {
	config       Config
	scheme, host string // host[:port], without the scheme's default port
	sign         *sigv4.Signer
	presignPut   *sigv4.Signer
	presignGet   *sigv4.Signer // nil: no presigned GETs
	conns        *relay.Storage
	transport    *http.Transport
	sdk          *s3.Client
}

// New checks the config and reads the CA file; it makes no request.
func New(c Config) (*Backend, error) {
	b := &Backend{config: c}
	address, err := b.parseEndpoint()
	if err != nil {
		return nil, fmt.Errorf("storage %q: %w", c.Name, err)
	}
	if b.sign, err = c.signer(&c.Credentials); err != nil {
		return nil, fmt.Errorf("storage %q: %w", c.Name, err)
	}
	b.presignPut = b.sign
	if c.PresignPut != nil {
		if b.presignPut, err = c.signer(c.PresignPut); err != nil {
			return nil, fmt.Errorf("storage %q: presign_put: %w", c.Name, err)
		}
	}
	if c.PresignGet != nil {
		if b.presignGet, err = c.signer(c.PresignGet); err != nil {
			return nil, fmt.Errorf("storage %q: presign_get: %w", c.Name, err)
		}
	}
	tlsConfig, err := b.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("storage %q: %w", c.Name, err)
	}
	b.conns = relay.NewStorage(relay.StorageConfig{Address: address, TLS: tlsConfig, DialTimeout: dialTimeout})
	b.transport = newTransport(address, tlsConfig)
	b.sdk = b.newSDK()
	return b, nil
}

// Name as configured.
func (b *Backend) Name() string { return b.config.Name }

// Exclusive reports whether nobody but the gateway creates uploads there.
func (b *Backend) Exclusive() bool { return b.config.Exclusive }

// TakesAWSChunked reports whether storage takes STREAMING-UNSIGNED-PAYLOAD-TRAILER.
func (b *Backend) TakesAWSChunked() bool { return !b.config.NoAWSChunked }

// Host is host[:port] of the endpoint, as redirects will show it (without a bucket label).
func (b *Backend) Host() string { return b.host }

// Conns is where relayed requests go, whatever their bucket: virtual-host style changes the Host header, not the address.
func (b *Backend) Conns(string) *relay.Storage { return b.conns }

// Close ends idle connections.
func (b *Backend) Close() {
	b.conns.Close()
	b.transport.CloseIdleConnections()
}

// parseEndpoint sets scheme and host and returns the address to dial.
func (b *Backend) parseEndpoint() (string, error) {
	u, err := url.Parse(b.config.Endpoint)
	if err != nil {
		return "", fmt.Errorf("endpoint: %w", err)
	}
	defaultPort, ok := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if !ok {
		return "", fmt.Errorf("endpoint %q: want http:// or https://", b.config.Endpoint)
	}
	if u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", fmt.Errorf("endpoint %q: want a scheme, a host and a port alone", b.config.Endpoint)
	}
	if !b.config.PathStyle && net.ParseIP(u.Hostname()) != nil {
		return "", fmt.Errorf("endpoint %q: virtual-host style needs a host name; set path_style", b.config.Endpoint)
	}
	b.scheme, b.host = u.Scheme, strings.ToLower(u.Host)
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	if port == defaultPort {
		// The SDKs leave it out of the Host header, and Host is signed.
		b.host = strings.TrimSuffix(strings.TrimSuffix(b.host, ":"+port), ":")
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// tlsConfig is nil for http. The name to verify is the endpoint's also in virtual-host style, since that is what is dialled.
func (b *Backend) tlsConfig() (*tls.Config, error) {
	if b.scheme == "http" {
		return nil, nil
	}
	name := (&url.URL{Host: b.host}).Hostname()
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: name}
	if b.config.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(b.config.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s: no PEM certificate in it", b.config.CAFile)
	}
	return t, nil
}

func (c *Config) signer(id *Credentials) (*sigv4.Signer, error) {
	if id.AccessKeyID == "" || id.SecretAccessKey == "" {
		return nil, errors.New("access_key_id and secret_access_key must both be set")
	}
	if c.Region == "" {
		return nil, errors.New("region must be set")
	}
	return &sigv4.Signer{AccessKeyID: id.AccessKeyID, Secret: id.SecretAccessKey, Region: c.Region, Service: "s3"}, nil
}

// Timeouts of connecting. How long storage may take to answer is the caller's context's to say.
const (
	dialTimeout         = 5 * time.Second
	tlsHandshakeTimeout = 5 * time.Second
)
