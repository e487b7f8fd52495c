package storage

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"partway/auth/sigv4"
)

var (
	root = Credentials{"ROOTKEY", "rootsecret"}
	put  = Credentials{"PUTKEY", "putsecret"}
	get  = Credentials{"GETKEY", "getsecret"}
	acme = Grantee{"acme", "acme/"}
	noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
)

// received is a request as storage got it.
type received struct {
	method, target, host string
	header               http.Header
	body                 string
	length               int64
}

// server is a storage that notes what it gets and answers what it is told to.
type server struct {
	*httptest.Server
	answer http.HandlerFunc

	mu       sync.Mutex
	received []received
}

func newServer(t *testing.T, answer http.HandlerFunc) *server {
	t.Helper()
	s := &server{answer: answer}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.received = append(s.received, received{r.Method, r.RequestURI, r.Host, r.Header, string(body), r.ContentLength})
		s.mu.Unlock()
		if s.answer != nil {
			s.answer(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// only returns the one request that came.
func (s *server) only(t *testing.T) received {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.received) != 1 {
		t.Fatalf("%d requests, want 1", len(s.received))
	}
	r := s.received[0]
	s.received = nil
	return r
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.received)
}

// last returns the newest request.
func (s *server) last(t *testing.T) received {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.received) == 0 {
		t.Fatal("no request")
	}
	return s.received[len(s.received)-1]
}

func newBackend(t *testing.T, endpoint string, change func(*Config)) *Backend {
	t.Helper()
	c := Config{Name: "main", Endpoint: endpoint, Region: "eu-central-1", PathStyle: true, Credentials: root, PresignPut: &put, PresignGet: &get}
	if change != nil {
		change(&c)
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// virtualHost gives the server a name, which virtual-host style needs.
func virtualHost(c *Config) {
	c.PathStyle = false
	c.Endpoint = strings.Replace(c.Endpoint, "127.0.0.1", "localhost", 1)
}

// judge signs the same request with the SDK's signer, which is right by definition, and compares.
func judge(t *testing.T, method, host, target string, header http.Header, id Credentials) {
	t.Helper()
	authorization := header.Get("Authorization")
	_, list, _ := strings.Cut(authorization, "SignedHeaders=")
	list, _, _ = strings.Cut(list, ",")
	signed := http.Header{}
	for _, name := range strings.Split(list, ";") {
		if name != "host" {
			signed[http.CanonicalHeaderKey(name)] = header.Values(name)
		}
	}
	path, query, _ := strings.Cut(target, "?")
	decoded, err := url.PathUnescape(path)
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{Method: method, Host: host, Header: signed, URL: &url.URL{Scheme: "http", Host: host, Path: decoded, RawPath: path, RawQuery: query}}
	at, err := time.Parse(sigv4.TimeFormat, header.Get("x-amz-date"))
	if err != nil {
		t.Fatal(err)
	}
	err = v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: id.AccessKeyID, SecretAccessKey: id.SecretAccessKey},
		r, header.Get("x-amz-content-sha256"), "s3", "eu-central-1", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err != nil {
		t.Fatal(err)
	}
	if want := r.Header.Get("Authorization"); authorization != want {
		t.Errorf("authorization of %s %s\n got %s\nwant %s", method, target, authorization, want)
	}
}

// oddKeys are keys that something on the way might clean, decode twice or take for a part of the URL.
var oddKeys = []string{
	"plain", "a/b/c", "a//b", "/lead", "//lead2", "trail/", "a/./b", "a/../b", "..", "%2F", "%252F", "a b+c", "a?b=c", "a#b", "ü/日本", "a\x00b",
	"=&;:@,$!*'()", "~-_.", "\\", "\u2028", "a\xffb", "http://host/x",
}
