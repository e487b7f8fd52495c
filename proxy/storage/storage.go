// Package storage is the S3 servers behind the gateway: where they are, how requests to them are signed, and the few calls that
// the gateway makes on its own account. The only importer of the S3 SDK.
//
// A client's request that is passed on is a Call: signed into its header for the relay and for control calls, into its query for
// redirect and sign. Calls that the gateway itself originates (ListParts to verify, Abort, HeadBucket) use the SDK.
//
// Each backend has up to three identities: credentials sign headers of requests that the gateway sends; PresignPut signs
// URLs for UploadPart and PutObject; PresignGet, if there, signs URLs for GetObject and never a PUT.
package storage

import (
	"context"
	"errors"
	"net/http"
	"time"

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
	CAFile                 string
	NoAWSChunked           bool // storage that cannot take STREAMING-UNSIGNED-PAYLOAD-TRAILER
}

// Backend is one S3 server. Safe for concurrent use.
type Backend struct{ _ int }

// ErrUnavailable: storage could not be reached or did not answer in time.
var ErrUnavailable = errors.New("storage unavailable")

// New checks the config; it makes no request.
func New(c Config) (*Backend, error) { panic("not yet") }

// Name as configured.
func (b *Backend) Name() string { panic("not yet") }

// Host is host[:port] of the endpoint, as redirects will show it (without a bucket label).
func (b *Backend) Host() string { panic("not yet") }

// Param is one decoded query parameter. A sub-resource without a value ("uploads") has Value "".
type Param struct{ Name, Value string }

// Call is a request to storage before it is signed.
type Call struct {
	Method, Bucket, Key string         // Bucket "" for the service, Key "" for the bucket; decoded
	Query               []Param        // decoded, any order
	Headers             []sigv4.Header // to be signed and sent, without host, x-amz-date, authorization, content-length
	Payload             string         // x-amz-content-sha256; "" means the SHA-256 of an empty body, for Do of Body
	ContentLength       int64          // of the body; -1: unknown (chunked). Signed only by Presign, when >= 0
}

// Target is the request target that storage gets: encoded path (with the bucket when path style) and "?query".
func (b *Backend) Target(c *Call) string { panic("not yet") }

// Relayed signs c into its header and returns what relay.Exchange.Put sends.
func (b *Backend) Relayed(c *Call, now time.Time) *relay.Request { panic("not yet") }

// Conns is where relayed requests of c's bucket go.
func (b *Backend) Conns(bucket string) *relay.Storage { panic("not yet") }

// Presigned signs c into its query with PresignPut (PUT) or PresignGet (GET), content-length and c.Headers signed too, and
// returns the URL. The client must send exactly c.Headers (and Content-Length).
func (b *Backend) Presigned(c *Call, ttl time.Duration, now time.Time) (url string, err error) {
	panic("not yet")
}

// Do signs c into its header, sends it once, never again, and returns storage's answer whatever its status. The caller closes the
// body. ErrUnavailable (wrapped) if there was no answer; Sent tells whether storage may have seen the request.
func (b *Backend) Do(ctx context.Context, c *Call, body []byte) (*http.Response, error) {
	panic("not yet")
}

// Sent reports whether the request that failed with err may have reached storage.
func Sent(err error) bool { panic("not yet") }

// Part is one part that storage holds.
type Part struct {
	Number int
	Size   int64
	ETag   string // with its quotes
}

// Errors of the calls below, wrapped.
var (
	ErrNoSuchUpload = errors.New("no such upload at storage")
	ErrNotFound     = errors.New("not found at storage")
)

// ListParts returns every part, by number. ErrNoSuchUpload, ErrUnavailable.
func (b *Backend) ListParts(ctx context.Context, bucket, key, uploadID string) ([]Part, error) {
	panic("not yet")
}

// AbortUpload ends the upload; nil also if it is gone already.
func (b *Backend) AbortUpload(ctx context.Context, bucket, key, uploadID string) error {
	panic("not yet")
}

// Object is what HeadObject says.
type Object struct {
	Size            int64
	ETag, VersionID string
	LastModified    time.Time
}

// HeadObject reads an object's head. ErrNotFound, ErrUnavailable.
func (b *Backend) HeadObject(ctx context.Context, bucket, key string) (*Object, error) {
	panic("not yet")
}

// Ping makes one cheap signed request (ListBuckets with a limit, or HeadBucket of bucket when it is given); any S3 answer but 5xx counts as alive.
func (b *Backend) Ping(ctx context.Context) error { panic("not yet") }

// CreateBucket makes a bucket; nil if it is there already and ours. For demo and tests.
func (b *Backend) CreateBucket(ctx context.Context, bucket string) error { panic("not yet") }

// Close ends idle connections.
func (b *Backend) Close() { panic("not yet") }
