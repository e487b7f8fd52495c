package e2e

import (
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"partway/e2e/harness"
)

// lie is how a gateway that means no good answers, chosen by the name of the object: where it leads, and what is there.
type lie struct {
	key      string
	location func(l *liars, r *http.Request) string
	storage  []int    // how storage answers each request in turn; 0: drops the connection amid the body; -1: says nothing
	asked    []string // x-partway-transfer of the requests that the gateway must see
	stored   int      // requests that storage must see
	etag     string   // that the client is told; "" for an error
	cli      bool     // tried with aws-cli too
}

// Redirects that must be followed, or not, and what must then happen. In this order: after storage could not be reached, nothing is redirected.
var lies = []lie{
	{"followed", (*liars).grant, []int{200}, []string{"redirect"}, 1, "stored", true},
	notFollowed("unnamed-host", func(l *liars, r *http.Request) string { return l.presigned("http://elsewhere.example", r) }),
	notFollowed("other-port", func(l *liars, r *http.Request) string { return l.presigned("http://127.0.0.1:1", r) }),
	notFollowed("other-scheme", func(l *liars, r *http.Request) string { return "ftp" + strings.TrimPrefix(l.grant(r), "http") }),
	notFollowed("user-info", func(l *liars, r *http.Request) string {
		return "http://me@" + strings.TrimPrefix(l.grant(r), "http://")
	}),
	notFollowed("gateway-itself", func(l *liars, r *http.Request) string { return l.presigned(l.named, r) }),
	notFollowed("relative", func(*liars, *http.Request) string { return "/elsewhere?X-Amz-SignedHeaders=host" }),
	notFollowed("authorization", func(l *liars, r *http.Request) string { return l.grant(r) + "%3Bauthorization" }),
	notFollowed("security-token", func(l *liars, r *http.Request) string { return l.grant(r) + "%3Bx-amz-security-token" }),
	notFollowed("lost-header", func(l *liars, r *http.Request) string { return strings.Replace(l.grant(r), "cache-control", "host", 1) }),
	notFollowed("twice-signed", func(l *liars, r *http.Request) string { return l.grant(r) + "&X-Amz-SignedHeaders=host" }),
	{"second-redirect", (*liars).grant, []int{307}, []string{"redirect", "relay"}, 1, "relayed", false},
	{"refused-by-storage", (*liars).grant, []int{403}, []string{"redirect", "relay"}, 1, "relayed", false},
	{"storage-busy", (*liars).grant, []int{503, 200}, []string{"redirect", "redirect"}, 2, "stored", true},
	{"storage-drops", (*liars).grant, []int{0, 200}, []string{"redirect", "redirect"}, 2, "stored", false},
	{"storage-lost", (*liars).grant, []int{0, 0, 0}, []string{"redirect", "redirect", "redirect"}, 3, "", false},
	{"bad-digest", (*liars).grant, []int{400}, []string{"redirect"}, 1, "", false},
	{"storage-stalls", (*liars).grant, []int{-1, 200}, []string{"redirect", "redirect"}, 2, "stored", false},
	notFollowed("unreachable", func(l *liars, r *http.Request) string { return l.presigned(l.closed, r) }),
	{"afterwards", (*liars).grant, nil, []string{"relay"}, 0, "relayed", false},
}

// notFollowed is a redirect after which the client asks for the relay.
func notFollowed(key string, location func(*liars, *http.Request) string) lie {
	return lie{key, location, nil, []string{"redirect", "relay"}, 0, "relayed", key == "unnamed-host"}
}

// liars are a gateway and a storage that note what they are sent.
type liars struct {
	gateway, storage *httptest.Server
	named, origin    string // gateway and storage, as the client knows them
	closed           string // origin where nobody listens

	mu     sync.Mutex
	asked  map[string][]string // by key: x-partway-transfer
	stored map[string][]*http.Request
	sums   map[string][]string // of the bodies that storage was sent whole, and of those that were relayed
	early  []string            // keys whose redirected request came with its body
	turns  map[string]int
}

// newLiars starts them; storage speaks https with certificates, and the gateway calls it by this origin, "" for its own.
func newLiars(t *testing.T, certificates *harness.Certificates, origin string) *liars {
	t.Helper()
	l := &liars{origin: origin, asked: map[string][]string{}, stored: map[string][]*http.Request{}, sums: map[string][]string{}, turns: map[string]int{}}
	l.storage = httptest.NewUnstartedServer(http.HandlerFunc(l.serveStorage))
	if certificates != nil {
		l.storage.TLS = certificates.Server(t)
		l.storage.StartTLS()
	} else {
		l.storage.Start()
	}
	t.Cleanup(l.storage.Close)
	if l.origin == "" {
		l.origin = l.storage.URL
	}
	l.gateway = httptest.NewServer(http.HandlerFunc(l.serveGateway))
	t.Cleanup(l.gateway.Close)
	_, port, _ := net.SplitHostPort(l.gateway.Listener.Addr().String())
	l.named = "http://localhost:" + port
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.closed = "http://" + nobody.Addr().String()
	nobody.Close()
	return l
}

// grant is what a gateway that means well would answer.
func (l *liars) grant(r *http.Request) string { return l.presigned(l.origin, r) }

// presigned is a URL that signs all that the client said about the object.
func (l *liars) presigned(origin string, r *http.Request) string {
	signed := []string{"content-length", "host"}
	for name := range r.Header {
		name = strings.ToLower(name)
		if strings.HasPrefix(name, "x-amz-") && name != "x-amz-security-token" || name == "content-md5" || name == "content-type" || name == "cache-control" {
			signed = append(signed, name)
		}
	}
	slices.Sort(signed)
	return origin + r.URL.Path + "?x-id=PutObject&X-Amz-Signature=0&X-Amz-SignedHeaders=" + url.QueryEscape(strings.Join(signed, ";"))
}

func (l *liars) serveGateway(w http.ResponseWriter, r *http.Request) {
	key, wish := path.Base(r.URL.Path), r.Header.Get("X-Partway-Transfer")
	l.mu.Lock()
	l.asked[key] = append(l.asked[key], wish)
	if wish == "redirect" && r.Header.Get("Expect") != "100-continue" {
		l.early = append(l.early, key)
	}
	l.mu.Unlock()
	if wish != "redirect" {
		l.note(key, r)
		w.Header().Set("ETag", `"relayed"`)
		return
	}
	i := slices.IndexFunc(lies, func(c lie) bool { return c.key == key })
	w.Header().Set("Location", lies[i].location(l, r))
	w.Header().Set("X-Partway-Transfer", "redirect;reason=client-asked")
	w.WriteHeader(http.StatusTemporaryRedirect)
}

func (l *liars) serveStorage(w http.ResponseWriter, r *http.Request) {
	key := path.Base(r.URL.Path)
	l.mu.Lock()
	l.stored[key] = append(l.stored[key], r)
	turn := l.turns[key]
	l.turns[key]++
	l.mu.Unlock()
	status := http.StatusOK
	if i := slices.IndexFunc(lies, func(c lie) bool { return c.key == key }); i >= 0 && turn < len(lies[i].storage) {
		status = lies[i].storage[turn]
	}
	switch status {
	case -1:
		_, _ = io.Copy(io.Discard, r.Body) // or the server would not see the client go
		<-r.Context().Done()
	case 0:
		_, _ = io.CopyN(io.Discard, r.Body, 100_000)
		panic(http.ErrAbortHandler)
	case http.StatusOK:
		l.note(key, r)
		w.Header().Set("ETag", `"stored"`)
	case http.StatusTemporaryRedirect:
		w.Header().Set("Location", l.origin+"/again"+r.URL.Path+"?"+r.URL.RawQuery)
		w.Header().Set("X-Partway-Transfer", "redirect;reason=client-asked")
		w.WriteHeader(status)
	default:
		_, _ = io.Copy(io.Discard, r.Body) // it knows only then
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_ = xml.NewEncoder(w).Encode(struct {
			XMLName       xml.Name `xml:"Error"`
			Code, Message string
		}{Code: map[int]string{400: "BadDigest", 403: "AccessDenied", 503: "SlowDown"}[status], Message: "as told"})
	}
}

func (l *liars) note(key string, r *http.Request) {
	sum := sha256.New()
	if _, err := io.Copy(sum, r.Body); err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sums[key] = append(l.sums[key], fmt.Sprintf("%x", sum.Sum(nil)))
}

// env of a client of the liars, whose credentials have a session token too.
func (l *liars) env(dir string) []string {
	return []string{
		"AWS_ACCESS_KEY_ID=liars", "AWS_SECRET_ACCESS_KEY=secret", "AWS_SESSION_TOKEN=session", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ENDPOINT_URL_S3=" + l.named,
		"AWS_CONFIG_FILE=" + dir + "/none", "AWS_SHARED_CREDENTIALS_FILE=" + dir + "/none", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_RETRY_MODE=standard", "AWS_MAX_ATTEMPTS=3",
	}
}

// A redirect is followed once, to where the user allows, with what the URL has signed and no more. All else goes by the relay, with the body from
// where it began, and what storage says of an object is the client's to hear.
func TestShimsFollowNoLies(t *testing.T) {
	for _, s := range shims(t) {
		if s.same && !s.works["parts"] {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			l := newLiars(t, nil, "")
			file, content := file(t, 2*mib)
			var keys []string
			for _, c := range lies {
				// aws-cli is boto3 below, and a process of half a second for each key.
				if (s.works["parts"] || c.cli) && !slices.Contains(c.storage, -1) {
					keys = append(keys, c.key)
				}
			}
			said := s.run(t, shimRun{env: l.env(t.TempDir()), storage: l.origin + "," + l.named + "," + l.closed}, "put", file, keys...)
			l.mu.Lock()
			defer l.mu.Unlock()
			for _, o := range said {
				c := lies[slices.IndexFunc(lies, func(c lie) bool { return c.key == o.Key })]
				if !slices.Equal(l.asked[c.key], c.asked) || len(l.stored[c.key]) != c.stored {
					t.Errorf("%s: the gateway was asked %v and storage %d times, want %v and %d", c.key, l.asked[c.key], len(l.stored[c.key]), c.asked, c.stored)
				}
				if c.etag == "" && (o.Error == "" || c.key == "bad-digest" && !strings.Contains(o.Error, "BadDigest")) || c.etag != "" && o.ETag != `"`+c.etag+`"` {
					t.Errorf("%s: the client heard ETag %s, error %q; want %q", c.key, o.ETag, o.Error, c.etag)
				}
				if sum := fmt.Sprintf("%x", sha256.Sum256(content[s.skips:])); c.etag != "" && !slices.Equal(l.sums[c.key], []string{sum}) {
					t.Errorf("%s: bodies %v, want one, %s", c.key, l.sums[c.key], sum)
				}
				for _, r := range l.stored[c.key] {
					onlySigned(t, r)
				}
			}
			if l.early != nil {
				t.Errorf("asked for a redirect without Expect: %v", l.early)
			}
		})
	}
}

// onlySigned demands that storage was sent no header beyond those that the URL has signed, Content-Length and Expect; but for what an HTTP library
// says about itself and its connection.
func onlySigned(t *testing.T, r *http.Request) {
	t.Helper()
	signed := strings.Split(r.URL.Query().Get("X-Amz-SignedHeaders"), ";")
	for name, values := range r.Header {
		library := name == "Accept-Encoding" || name == "Connection" || name == "User-Agent" && strings.HasPrefix(values[0], "python-urllib3/")
		if name = strings.ToLower(name); !slices.Contains(signed, name) && name != "content-length" && name != "expect" && !library {
			t.Errorf("%s: storage was sent %s: %v", path.Base(r.URL.Path), name, values)
		}
	}
	for _, name := range signed {
		if name != "host" && name != "content-length" && r.Header.Get(name) == "" {
			t.Errorf("%s: storage was not sent %s, which is signed", path.Base(r.URL.Path), name)
		}
	}
	if r.Header.Get("Expect") != "100-continue" {
		t.Errorf("%s: the body was sent to storage without Expect", path.Base(r.URL.Path))
	}
}

// Without a word about storage, https is followed to whomever the CA bundle vouches for, and http nowhere.
func TestShimsFollowHTTPSByDefault(t *testing.T) {
	certificates, err := harness.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range shims(t) {
		if s.same {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			file, _ := file(t, 1*mib)
			for _, c := range []struct {
				name  string
				https *harness.Certificates
				ca    string
				asked []string
			}{
				{"https, trusted", certificates, certificates.CA, []string{"redirect"}},
				{"https, not trusted", certificates, "", []string{"redirect", "relay"}},
				{"http", nil, "", []string{"redirect", "relay"}},
			} {
				l := newLiars(t, c.https, "")
				o := s.run(t, shimRun{env: l.env(t.TempDir()), ca: c.ca}, "put", file, "followed")[0]
				l.mu.Lock()
				got := l.asked["followed"]
				l.mu.Unlock()
				if !slices.Equal(got, c.asked) || o.Error != "" {
					t.Errorf("%s: the gateway was asked %v, want %v; %s", c.name, got, c.asked, o.Error)
				}
			}
		})
	}
}

// A storage that says nothing is given up after the client's own timeout, and the next attempt asks the gateway again.
func TestShimsKeepTheTimeoutsOfTheClient(t *testing.T) {
	for _, s := range shims(t) {
		if !s.works["put"] {
			continue // aws-cli is boto3 below
		}
		t.Run(s.name, func(t *testing.T) {
			l := newLiars(t, nil, "")
			file, _ := file(t, 1*mib)
			o := s.run(t, shimRun{env: append(l.env(t.TempDir()), "SHIM_TIMEOUT=2"), storage: l.origin}, "put", file, "storage-stalls")[0]
			l.mu.Lock()
			defer l.mu.Unlock()
			if asked := l.asked["storage-stalls"]; o.ETag != `"stored"` || len(asked) < 2 || slices.Contains(asked, "relay") {
				t.Errorf("%+v; the gateway was asked %v", o, asked)
			}
		})
	}
}

// The way to storage has a proxy where the environment names one for it, whatever is so for the gateway. Node's HTTP knows no such environment: there
// the agent is the program's.
func TestShimsGoToStorageByTheProxy(t *testing.T) {
	for _, s := range shims(t) {
		if s.same || strings.HasPrefix(s.name, "JavaScript") {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			const storage = "http://storage.example" // which only the proxy can find
			l := newLiars(t, nil, storage)
			forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Host = l.storage.Listener.Addr().String() }}
			var proxied []string
			var mu sync.Mutex
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				proxied = append(proxied, r.RequestURI)
				mu.Unlock()
				forward.ServeHTTP(w, r)
			}))
			defer proxy.Close()
			file, _ := file(t, 1*mib)
			env := append(l.env(t.TempDir()), "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=localhost", "no_proxy=localhost")
			o := s.run(t, shimRun{env: env, storage: storage}, "put", file, "followed")[0]
			mu.Lock()
			defer mu.Unlock()
			if o.ETag != `"stored"` || len(proxied) != 1 || !strings.HasPrefix(proxied[0], storage+"/") {
				t.Errorf("%+v; by the proxy: %v", o, proxied)
			}
		})
	}
}
