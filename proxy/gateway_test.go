package proxy

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partway/auth"
	"partway/proxy/storage"
	"partway/tracking"
	"partway/tracking/bolt"
	"partway/tracking/memory"
)

// bench is a gateway in this process, on a socket of its own, in front of a fakeS3.
type bench struct {
	t       *testing.T
	s3      *fakeS3
	store   *faultyStore
	gateway *Gateway
	writer  *tracking.Writer
	issuer  *auth.Issuer
	url     string
	tenant  string        // bearer: everything under uploads/acme/
	ahead   *atomic.Int64 // how far the gateway's clock is ahead of the wall's, in nanoseconds
	stop    func()
}

const benchStorageSecret = "the storage's own secret"

// faultyStore is the embedded store, with a fault for the next write of a record: it fails, or it is written and fails all the same.
type faultyStore struct {
	tracking.Store
	swaps       atomic.Pointer[func() storeFault]
	trailIsAway atomic.Bool
}

func (s *faultyStore) AppendBatch(ctx context.Context, batches ...*tracking.Batch) error {
	if s.trailIsAway.Load() {
		return tracking.ErrUnavailable
	}
	return s.Store.AppendBatch(ctx, batches...)
}

type storeFault int

const (
	storeOK storeFault = iota
	storeFails
	storeFailsButPersists
	storeIsUnknownMeanwhile // another gateway gave up on finding out
	storeIsOpenMeanwhile    // another gateway was refused the same Complete, and has given the bytes back
	storeIsEndedMeanwhile   // another gateway charged the same Complete anew, and ended it
)

func (s *faultyStore) SwapUpload(ctx context.Context, u *tracking.Upload) error {
	next := s.swaps.Load()
	if next == nil {
		return s.Store.SwapUpload(ctx, u)
	}
	switch (*next)() {
	case storeFails:
		return tracking.ErrUnavailable
	case storeFailsButPersists:
		if err := s.Store.SwapUpload(ctx, u); err != nil {
			return err
		}
		return tracking.ErrUnavailable
	case storeIsUnknownMeanwhile:
		other, err := s.Upload(ctx, u.ID)
		if err != nil {
			return err
		}
		other.State = tracking.StateUnknown
		if err := s.Store.SwapUpload(ctx, other); err != nil {
			return err
		}
	case storeIsOpenMeanwhile:
		other, err := s.Upload(ctx, u.ID)
		if err != nil {
			return err
		}
		charge := chargeOf(other)
		other.State, other.Completion, other.Bytes, other.Parts = tracking.StateOpen, nil, 0, 0
		if err := errors.Join(s.Store.SwapUpload(ctx, other), s.Refund(ctx, *charge)); err != nil {
			return err
		}
	case storeIsEndedMeanwhile:
		other, err := s.Upload(ctx, u.ID)
		if err != nil {
			return err
		}
		completion := *u.Completion
		completion.Charge = &tracking.Charge{Tenant: u.Tenant, Period: u.Completion.Charge.Period, ID: "OTHER"}
		other.State, other.Completion, other.Bytes, other.Parts, other.ETag = tracking.StateCompleted, &completion, u.Bytes, u.Parts, u.ETag
		_, err = s.Charge(ctx, *completion.Charge, tracking.Pending{Upload: u.ID, Bytes: u.Bytes}, math.MaxInt64)
		if err := errors.Join(err, s.Store.SwapUpload(ctx, other), s.Settle(ctx, *completion.Charge)); err != nil {
			return err
		}
	}
	return s.Store.SwapUpload(ctx, u)
}

// swapFaults lets each further SwapUpload meet the next of list.
func (s *faultyStore) swapFaults(list ...storeFault) {
	var mu sync.Mutex
	next := func() storeFault {
		mu.Lock()
		defer mu.Unlock()
		if len(list) == 0 {
			return storeOK
		}
		f := list[0]
		list = list[1:]
		return f
	}
	s.swaps.Store(&next)
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchWith(t, newFakeS3(t), nil)
}

// benchChainKeys are of the trail of a bench.
var benchChainKeys = map[int][]byte{0: []byte("chain")}

// newBenchOn has storage that the test plays itself.
func newBenchOn(t *testing.T, endpoint string) *bench {
	t.Helper()
	return newBenchWith(t, &fakeS3{URL: endpoint}, nil)
}

// newBenchWith lets in whom other issuers vouch for.
func newBenchWith(t *testing.T, s3 *fakeS3, foreign *auth.Foreign) *bench {
	t.Helper()
	return newBenchLogging(t, s3, foreign, slog.New(slog.DiscardHandler))
}

func newBenchLogging(t *testing.T, s3 *fakeS3, foreign *auth.Foreign, log *slog.Logger) *bench {
	t.Helper()
	b := &bench{t: t, s3: s3, ahead: new(atomic.Int64)}
	store, err := bolt.Open(bolt.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b.store, s3.now = &faultyStore{Store: store}, b.now
	b.writer, err = tracking.NewWriter(tracking.WriterConfig{Trail: b.store, ChainKey: benchChainKeys[0], Gateway: "test", Log: log, Now: b.now})
	if err != nil {
		t.Fatal(err)
	}
	backend, err := storage.New(storage.Config{Name: "main", Endpoint: s3.URL, Region: "us-east-1", PathStyle: true, Tries: 1,
		Credentials: storage.Credentials{AccessKeyID: "storage-id", SecretAccessKey: benchStorageSecret}})
	if err != nil {
		t.Fatal(err)
	}
	verifier, issuer, sealer := newAuthority(t, foreign)
	b.issuer = issuer
	sessions := memory.New(memory.Config{})
	b.gateway, err = New(Config{
		Region: "us-east-1", Domains: []string{"gw.test"}, Verifier: verifier, Issuer: issuer, Sealer: sealer, JWKS: []byte(`{"keys":[]}`),
		Backends: []*storage.Backend{backend}, DefaultBackend: "main",
		Store: b.store, Sessions: sessions, Writer: b.writer,
		Auditor:     &tracking.Auditor{Archive: b.store, Uploads: b.store, Keys: benchChainKeys, Now: time.Now},
		DefaultRoad: RoadRelay, URLTTL: 5 * time.Minute, MaxAge: time.Hour, ResumeWindow: time.Hour, XMLBytes: 4 << 20, HeaderBytes: 16 << 10,
		Log: log, Registry: prometheus.NewRegistry(), Now: b.now,
		Probes: []Probe{{Name: "storage", Part: "storage", Ask: backend.Ping}},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.gateway.Serve(l) }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	b.url = "http://localhost:" + port // not the name that storage has: a redirect needs two
	b.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.gateway.Shutdown(ctx); err != nil {
			t.Errorf("shutting down: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serving: %v", err)
		}
		if err := b.writer.Close(ctx); err != nil {
			t.Errorf("closing the audit writer: %v", err)
		}
		_ = sessions.Close()
		_ = store.Close()
	})
	t.Cleanup(b.stop)
	b.tenant = b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}})
	return b
}

// now is the gateway's clock, which the test can put forward.
func (b *bench) now() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }

// wait puts the clock forward, and gives the tenant a new token.
func (b *bench) wait(d time.Duration) {
	b.ahead.Add(int64(d))
	b.tenant = b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}})
}

func (b *bench) bearer(tenant string, scopes ...auth.Scope) string {
	b.t.Helper()
	return b.issue(auth.Grant{Class: auth.ClassBearer, Tenant: tenant, Subject: tenant, Scopes: scopes, TTL: time.Hour})
}

func (b *bench) operator() string {
	b.t.Helper()
	return b.issue(auth.Grant{Class: auth.ClassBearer, Tenant: "ops", Subject: "ops", Operator: true, TTL: time.Hour,
		Scopes: []auth.Scope{{Bucket: "*", Actions: []string{"s3:*"}}}})
}

func (b *bench) issue(g auth.Grant) string {
	b.t.Helper()
	issued, err := b.issuer.Issue(g, b.now())
	if err != nil {
		b.t.Fatal(err)
	}
	return issued.Token
}

// answer is what a client saw.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) code() string {
	code, _ := errorElements([]byte(a.body))
	return code
}

// ask sends one request as the tenant; headers are pairs and may name another Authorization, or "" for none.
func (b *bench) ask(method, path, body string, headers ...string) answer {
	b.t.Helper()
	req, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+b.tenant)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if req.Header.Get("Authorization") == "" {
		req.Header.Del("Authorization")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	var buf bytes.Buffer
	_, _ = io.Copy(&buf, resp.Body) // what was readable is what the client saw
	return answer{resp.StatusCode, resp.Header, buf.String()}
}

func (b *bench) want(a answer, status int, code string) {
	b.t.Helper()
	if a.status != status || a.code() != code {
		b.t.Fatalf("got %d %s (%s), want %d %s", a.status, a.code(), a.body, status, code)
	}
}

// create makes an upload of key and returns its id.
func (b *bench) create(key string) string {
	b.t.Helper()
	a := b.ask("POST", "/uploads/"+key+"?uploads", "")
	b.want(a, 200, "")
	var made struct {
		Bucket, Key string
		UploadID    string `xml:"UploadId"`
	}
	if err := xml.Unmarshal([]byte(a.body), &made); err != nil || made.Bucket != "uploads" || made.Key != key || made.UploadID == "" {
		b.t.Fatalf("%s: %v", a.body, err)
	}
	return made.UploadID
}

func (b *bench) part(key, id string, n int, body string) answer {
	b.t.Helper()
	return b.ask("PUT", fmt.Sprintf("/uploads/%s?partNumber=%d&uploadId=%s", key, n, id), body)
}

func (b *bench) complete(key, id string, bodies ...string) answer {
	b.t.Helper()
	return b.ask("POST", "/uploads/"+key+"?uploadId="+id, partList(bodies...))
}

func partList(bodies ...string) string {
	var list strings.Builder
	for i, body := range bodies {
		fmt.Fprintf(&list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, strings.ReplaceAll(etagOf([]byte(body)), `"`, "&quot;"))
	}
	return "<CompleteMultipartUpload>" + list.String() + "</CompleteMultipartUpload>"
}

// started makes an upload with one part "hello".
func (b *bench) started(key string) string {
	b.t.Helper()
	id := b.create(key)
	b.want(b.part(key, id, 1, "hello"), 200, "")
	return id
}

func (b *bench) record(id string) *tracking.Upload {
	b.t.Helper()
	u, err := b.store.Upload(context.Background(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return u
}

// events returns the trail so far, all that was noted included.
func (b *bench) events() []tracking.Event {
	b.t.Helper()
	// A recorded event is behind every event that was noted before it.
	if err := b.writer.Record(context.Background(), tracking.Event{Operation: "mark"}); err != nil {
		b.t.Fatal(err)
	}
	page, _, err := b.store.Events(context.Background(), tracking.EventQuery{Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	var out []tracking.Event
	for _, e := range page {
		if e.Operation == "mark" {
			continue
		}
		if !slices.Contains(recorded, e.Operation) {
			b.t.Errorf("an event of operation %q, which no list can be asked for", e.Operation)
		}
		out = append(out, e)
	}
	return out
}

func TestShutdownBeforeServe(t *testing.T) {
	b := newBench(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g, err := New(b.gateway.withRegistry(prometheus.NewRegistry()))
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := g.Serve(l); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}

func (c Config) withRegistry(r *prometheus.Registry) Config {
	c.Registry = r
	return c
}
