// Package storage is the S3 servers behind the gateway: where they are, how requests to them are signed, and the few calls that
// the gateway makes on its own account. The only importer of the S3 and STS SDKs.
//
// A client's request that is passed on is a Call: signed into its header for the relay (Relayed) and for control calls (Do), into
// its query for redirect and sign (Presigned). Calls that the gateway itself originates (ListParts to verify, AbortUpload,
// HeadObject, CreateBucket) use the SDK.
//
// Each backend has up to three identities: credentials sign headers of requests that the gateway sends; PresignPut signs
// URLs for UploadPart and PutObject; PresignGet, if there, signs URLs for GetObject and never a PUT. With a PutRole, PresignPut
// signs no URL itself: it assumes the role for each tenant's prefix, and what STS leases for it signs (role.go, lease.go). Credentials that are not
// configured are found as AWS's SDKs find them (found.go), and leased in the same way.
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
	Name, Endpoint, Region string       // Endpoint: "http://host:port" or "https://host[:port]"
	PathStyle              bool         // false: bucket.host
	Credentials            Credentials  // none: those that AWS's SDKs would find
	Profile                string       // of AWS's shared files, to find them in; "": AWS_PROFILE
	PresignPut, PresignGet *Credentials // nil: Credentials signs presigned PUTs; no presigned GETs
	PutRole                *Role        // nil: PresignPut signs itself. Assumed with PresignPut, or with Credentials if that is nil
	Exclusive              bool         // nobody but the gateway creates uploads there
	CAFile                 string       // PEM; the only authorities that are trusted for https. "": the system's
	Tries                  int          // of what may be asked again; 0: 3
	NoAWSChunked           bool         // storage that cannot take STREAMING-UNSIGNED-PAYLOAD-TRAILER
}

// Errors of calls to storage, wrapped.
var (
	ErrUnavailable  = errors.New("storage unavailable") // not reached, no answer in time, or a 5xx to a call of the gateway's own
	ErrNoSuchUpload = errors.New("no such upload at storage")
	ErrNotFound     = errors.New("not found at storage")
	ErrNoIdentity   = errors.New("no identity to sign with") // whoever gives credentials was too slow, was away, or refused; or none is configured
)

// Backend is one S3 server. Safe for concurrent use.
type Backend struct {
	config       Config
	scheme, host string // host[:port], without the scheme's default port
	sign         *identity
	presignPut   *identity
	presignGet   *identity // nil: no presigned GETs
	assumer      *assumer  // nil: presignPut signs itself
	leases       *leases   // of assumer
	conns        *relay.Storage
	transport    *http.Transport
	sdk          *s3.Client
}

// New checks the config and reads the CA file; it makes no request.
func New(c Config) (*Backend, error) {
	b := &Backend{config: c}
	at, err := parseEndpoint(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("storage %q: endpoint: %w", c.Name, err)
	}
	if !c.PathStyle && net.ParseIP(at.name) != nil {
		return nil, fmt.Errorf("storage %q: endpoint %q: virtual-host style needs a host name; set path_style", c.Name, c.Endpoint)
	}
	b.scheme, b.host = at.scheme, at.host
	if b.sign, err = c.identity(&c.Credentials); err != nil {
		return nil, fmt.Errorf("storage %q: %w", c.Name, err)
	}
	b.presignPut = b.sign
	if c.PresignPut != nil {
		s, err := c.signer(c.PresignPut)
		if err != nil {
			return nil, fmt.Errorf("storage %q: presign_put: %w", c.Name, err)
		}
		b.presignPut = &identity{fixed: s}
	}
	if c.PresignGet != nil {
		s, err := c.signer(c.PresignGet)
		if err != nil {
			return nil, fmt.Errorf("storage %q: presign_get: %w", c.Name, err)
		}
		b.presignGet = &identity{fixed: s}
	}
	tlsConfig, err := c.tls(at)
	if err != nil {
		return nil, fmt.Errorf("storage %q: %w", c.Name, err)
	}
	if c.PutRole != nil {
		if b.assumer, err = b.newAssumer(); err != nil {
			return nil, fmt.Errorf("storage %q: presign_put: %w", c.Name, err)
		}
		b.leases = newLeases("assume role", b.assumer.assume)
	}
	b.conns = relay.NewStorage(relay.StorageConfig{Address: at.address, TLS: tlsConfig, DialTimeout: dialTimeout})
	b.transport = newTransport(at.address, tlsConfig)
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

// WebOrigin is where signed requests of a web page go, as a Content-Security-Policy writes it: in virtual-host style any bucket's host.
func (b *Backend) WebOrigin() string {
	if b.config.PathStyle {
		return b.scheme + "://" + b.host
	}
	return b.scheme + "://*." + b.host
}

// Conns is where relayed requests go, whatever their bucket: virtual-host style changes the Host header, not the address.
func (b *Backend) Conns() *relay.Storage { return b.conns }

// Close ends idle connections, and what STS and others are being asked for credentials.
func (b *Backend) Close() {
	b.sign.close()
	if b.leases != nil {
		b.leases.close()
		b.assumer.transport.CloseIdleConnections()
	}
	b.conns.Close()
	b.transport.CloseIdleConnections()
}

// endpoint is where a server is.
type endpoint struct {
	scheme, host  string // host[:port], without the scheme's default port: what the SDKs put into the Host header, which is signed
	name, address string // the host alone; what to dial
}

func parseEndpoint(text string) (endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		return endpoint{}, err
	}
	defaultPort, ok := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if !ok {
		return endpoint{}, fmt.Errorf("%q: want http:// or https://", text)
	}
	if u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return endpoint{}, fmt.Errorf("%q: want a scheme, a host and a port alone", text)
	}
	e := endpoint{scheme: u.Scheme, host: strings.ToLower(u.Host), name: strings.ToLower(u.Hostname())}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	if port == defaultPort {
		e.host = strings.TrimSuffix(strings.TrimSuffix(e.host, ":"+port), ":")
	}
	e.address = net.JoinHostPort(u.Hostname(), port)
	return e, nil
}

// tls is nil for http. The name to verify is the endpoint's also in virtual-host style, since that is what is dialled.
func (c *Config) tls(at endpoint) (*tls.Config, error) {
	if at.scheme == "http" {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: at.name}
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	t.RootCAs = x509.NewCertPool()
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file %s: no PEM certificate in it", c.CAFile)
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
