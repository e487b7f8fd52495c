// Package config is Partway's configuration: one YAML file, every key also from the environment, defaults for the rest.
//
// Load reads it, strictly: an unknown key, a value of the wrong type and a setting that cannot work are errors that name
// file, line and key (or the variable). Keys makes or reads the keys that the configuration leaves to the data directory.
//
// config.example.yaml at the root of the repository is the manual; a test holds it equal to this struct.
package config

import "time"

// Config is what `partway serve` runs on. Field order is that of config.example.yaml.
type Config struct {
	Server        Server         `yaml:"server"`
	Auth          Auth           `yaml:"auth"`
	Storage       Storage        `yaml:"storage"`
	Transfer      Transfer       `yaml:"transfer"`
	Uploads       Uploads        `yaml:"uploads"`
	Sweep         Sweep          `yaml:"sweep"`
	Resume        Resume         `yaml:"resume"`
	MongoDB       MongoDB        `yaml:"mongodb"`
	Redis         Redis          `yaml:"redis"`
	DataDir       string         `yaml:"data_dir"`
	Limits        Limits         `yaml:"limits"`
	CORS          CORS           `yaml:"cors"`
	Web           Web            `yaml:"web"`
	Audit         Audit          `yaml:"audit"`
	Notifications []Notification `yaml:"notifications"`
	Log           Log            `yaml:"log"`
	Tracing       Tracing        `yaml:"tracing"`
}

// Server is where the gateway listens and what it calls itself.
type Server struct {
	Listen         string   `yaml:"listen"`
	AdminListen    string   `yaml:"admin_listen"`
	Region         string   `yaml:"region"`
	Domains        []string `yaml:"domains"`
	TLS            TLS      `yaml:"tls"`
	DrainDelay     Duration `yaml:"drain_delay"`
	Drain          Duration `yaml:"drain"`
	TrustedProxies []string `yaml:"trusted_proxies"`
	ProxyProtocol  bool     `yaml:"proxy_protocol"`
}

// TLS names a PEM certificate chain and its key; both empty means plain HTTP.
type TLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// Auth is who may ask. Without keys of its own the gateway makes them in the data directory.
type Auth struct {
	Issuer      string       `yaml:"issuer"`
	Audience    string       `yaml:"audience"`
	SigningKeys []SigningKey `yaml:"signing_keys"`
	MasterKeys  []MasterKey  `yaml:"master_keys"`
	Issuers     []Issuer     `yaml:"issuers"`
	Roles       []Role       `yaml:"roles"`
}

// SigningKey signs tokens if active and verifies them in any case. File is a PEM of an Ed25519 private key (PKCS #8).
type SigningKey struct {
	KID    string `yaml:"kid"`
	File   string `yaml:"file"`
	Active bool   `yaml:"active"`
}

// MasterKey is what secret keys, sealed upload ids and the audit chain are derived from. Secret: base64 of 32 bytes or more.
type MasterKey struct {
	Version int    `yaml:"version"`
	Secret  string `yaml:"secret"`
	Active  bool   `yaml:"active"`
}

// Storage is the S3 servers behind the gateway and which bucket lives where.
type Storage struct {
	Backends []Backend         `yaml:"backends"`
	Buckets  map[string]string `yaml:"buckets"`
	Default  string            `yaml:"default"`
}

// Backend is one S3 server. PathStyle and AWSChunked are true unless said otherwise. Without keys of its own, its credentials are found as AWS's SDKs
// find them, in Profile if that is set.
type Backend struct {
	Name            string       `yaml:"name"`
	Endpoint        string       `yaml:"endpoint"`
	Region          string       `yaml:"region"`
	PathStyle       *bool        `yaml:"path_style"`
	AccessKeyID     string       `yaml:"access_key_id"`
	SecretAccessKey string       `yaml:"secret_access_key"`
	Profile         string       `yaml:"profile"`
	AWSChunked      *bool        `yaml:"aws_chunked"`
	Exclusive       bool         `yaml:"exclusive"`
	PresignPut      *PutIdentity `yaml:"presign_put"`
	PresignGet      *Credentials `yaml:"presign_get"`
}

// PutIdentity signs the URLs of uploads: itself, or, with RoleARN, by assuming that role for each tenant's prefix. Without keys, the backend's
// credentials assume it.
type PutIdentity struct {
	AccessKeyID     string `yaml:"access_key_id"`
	SecretAccessKey string `yaml:"secret_access_key"`
	RoleARN         string `yaml:"role_arn"`
	STSEndpoint     string `yaml:"sts_endpoint"`
	ExternalID      string `yaml:"external_id"`
}

// Credentials of an identity at a backend.
type Credentials struct {
	AccessKeyID     string `yaml:"access_key_id"`
	SecretAccessKey string `yaml:"secret_access_key"`
}

// Transfer is how bodies travel when neither client nor token says.
type Transfer struct {
	Default string   `yaml:"default"`
	URLTTL  Duration `yaml:"url_ttl"`
}

// Uploads is the life of a multipart upload.
type Uploads struct {
	MaxAge Duration `yaml:"max_age"`
}

// Sweep is how often uploads past their life are ended.
type Sweep struct {
	Interval Duration `yaml:"interval"`
}

// Resume is whether interrupted uploads are taken up again.
type Resume struct {
	Enabled bool     `yaml:"enabled"`
	Window  Duration `yaml:"window"`
}

// MongoDB keeps records and audit trail when Redis keeps the sessions; without both, the data directory does.
type MongoDB struct {
	URI      string `yaml:"uri"`
	Database string `yaml:"database"`
}

// Redis keeps the hot sessions.
type Redis struct {
	URL     string `yaml:"url"`
	Cluster bool   `yaml:"cluster"` // of which the URL names a server
}

// Limits bound what one request, client or tenant may ask of the gateway. Zero rates and zero connections are no limit.
type Limits struct {
	XMLBytes              int    `yaml:"xml_bytes"`
	HeaderBytes           int    `yaml:"header_bytes"`
	MinRate               int64  `yaml:"min_rate"`
	RequestsPerSecond     int    `yaml:"requests_per_second"`     // of one tenant
	ConnectionsPerAddress int    `yaml:"connections_per_address"` // of one client; trusted proxies may have more
	TenantBytes           int64  `yaml:"tenant_bytes"`            // that one tenant may upload in a period
	TenantPeriod          string `yaml:"tenant_period"`           // day or month
}

// Notification is a receiver of what becomes of uploads.
type Notification struct {
	Name   string   `yaml:"name"`
	URL    string   `yaml:"url"`
	Secret string   `yaml:"secret"`
	Events []string `yaml:"events"`
}

// CORS names the web origins that may call the gateway.
type CORS struct {
	Origins []string `yaml:"origins"`
}

// Web is the pages under /_partway/.
type Web struct {
	SignIn SignIn `yaml:"sign_in"`
}

// SignIn is a provider of OpenID Connect where people sign in to the pages; Origins are those of its endpoints, the issuer's own if empty.
type SignIn struct {
	Issuer   string   `yaml:"issuer"`
	ClientID string   `yaml:"client_id"`
	Scope    string   `yaml:"scope"`
	Origins  []string `yaml:"origins"`
}

// Audit is how long events are kept and what is written down about them elsewhere.
type Audit struct {
	Retention      Duration `yaml:"retention"`
	AnchorFile     string   `yaml:"anchor_file"`
	AnchorInterval Duration `yaml:"anchor_interval"`
}

// Log is how much is logged to standard error, and in which form.
type Log struct {
	Level  string `yaml:"level"`
	Format string `yaml:"format"`
}

// Tracing is where spans go, as OTLP over HTTP; without Endpoint none are made.
type Tracing struct {
	Endpoint    string            `yaml:"endpoint"`
	Headers     map[string]string `yaml:"headers"`
	Sample      float64           `yaml:"sample"` // the part of the requests that is traced
	TrustParent bool              `yaml:"trust_parent"`
}

// Default returns the configuration before file and environment. DataDir is left empty: Load fills it, because its
// default depends on the environment.
func Default() Config {
	return Config{
		Server:   Server{Listen: "127.0.0.1:9000", Region: "us-east-1", Drain: Duration(25 * time.Second)},
		Auth:     Auth{Issuer: "partway", Audience: "partway"},
		Transfer: Transfer{Default: "relay", URLTTL: Duration(5 * time.Minute)},
		Uploads:  Uploads{MaxAge: Duration(168 * time.Hour)},
		Sweep:    Sweep{Interval: Duration(5 * time.Minute)},
		Resume:   Resume{Window: Duration(24 * time.Hour)},
		MongoDB:  MongoDB{Database: "partway"},
		Limits:   Limits{XMLBytes: 4 << 20, HeaderBytes: 16 << 10, MinRate: 1 << 10, TenantPeriod: "month"},
		Web:      Web{SignIn: SignIn{Scope: "openid"}},
		Audit:    Audit{AnchorInterval: Duration(time.Minute)},
		Log:      Log{Level: "info", Format: "text"},
		Tracing:  Tracing{Sample: 1},
	}
}
