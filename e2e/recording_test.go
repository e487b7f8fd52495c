package e2e

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

const recordingRegion = "storage-region-1"

// recording is storage of the tests' own, for what no storage here would keep as it is: keys with empty segments, objects of 10,000 tiny
// parts. It takes paths raw, and proves every request with the SDK's signer, which is right by definition.
type recording struct {
	*httptest.Server

	mu      sync.Mutex
	objects map[string][]byte // by "bucket/key", decoded once
	uploads int
	parts   map[string][]string // of the upload of each, as ListParts tells them
	made    []string            // bodies of Completes
	raw     []string            // method and raw path of each request
	wrong   []string            // what was wrong with a request
}

func newRecording(t *testing.T) *recording {
	s := &recording{objects: map[string][]byte{}, parts: map[string][]string{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.Close()
		for _, w := range s.wrong {
			t.Error(w)
		}
	})
	return s
}

// gateway serves s, in a region of its own, on path style and as *.s3.test.
func (s *recording) gateway(t *testing.T) (*harness.Gateway, harness.Keys) {
	t.Helper()
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(strings.Join([]string{
		"server: {domains: [s3.test]}",
		"data_dir: " + filepath.Join(dir, "data"),
		"storage:", "  default: main", "  backends:", "    - name: main", "      endpoint: " + s.URL, "      region: " + recordingRegion,
		"      access_key_id: " + harness.StorageKey, "      secret_access_key: " + harness.StorageSecret}, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := harness.Run(t.Context(), nil, binary, "token", "issue", "--offline", "--operator", "--config", config, "--format", "json")
	if err != nil {
		t.Fatal(err)
	}
	var keys harness.Keys
	if err := json.Unmarshal([]byte(out), &keys); err != nil {
		t.Fatal(err)
	}
	g, err := harness.Serve(t.Context(), binary, dir, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(20 * time.Second); err != nil {
			t.Error(err)
		}
	})
	return g, keys
}

// clientOf is the SDK's client of a gateway, in either style; no name server knows the domain.
func clientOf(g *harness.Gateway, keys harness.Keys, region string, pathStyle bool) *s3.Client {
	_, port, _ := net.SplitHostPort(g.Addr())
	return harness.S3("http://s3.test:"+port, region, keys.AccessKeyID, keys.SecretAccessKey, func(o *s3.Options) {
		o.UsePathStyle = pathStyle
		o.HTTPClient = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, g.Addr())
		}}}
	})
}

func (s *recording) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its sender broke off
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	path, _, _ := strings.Cut(r.RequestURI, "?")
	s.raw = append(s.raw, r.Method+" "+path)
	if err := proved(r, path); err != nil {
		s.wrong = append(s.wrong, fmt.Sprintf("%s %s: %v", r.Method, r.RequestURI, err))
		w.WriteHeader(http.StatusForbidden)
		return
	}
	name, _ := url.PathUnescape(strings.TrimPrefix(path, "/")) // proved has tried
	s.answer(w, r, name, body)
}

func (s *recording) answer(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	q, sum := r.URL.Query(), md5.Sum(body)
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	object, ok := s.objects[name]
	switch {
	case r.Method == "POST" && q.Has("uploads"):
		s.uploads++
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>upload-%d</UploadId></InitiateMultipartUploadResult>", s.uploads)
	case r.Method == "PUT" && q.Has("uploadId"):
		s.objects[name] = body
		s.parts[name] = []string{fmt.Sprintf("<Part><PartNumber>1</PartNumber><ETag>%s</ETag><Size>%d</Size></Part>", etag, len(body))}
		w.Header().Set("ETag", etag)
	case r.Method == "GET" && q.Has("uploadId"):
		from, _ := strconv.Atoi(q.Get("part-number-marker")) // the n-th part has the number n
		to := min(from+1000, len(s.parts[name]))
		fmt.Fprintf(w, "<ListPartsResult><UploadId>%s</UploadId><IsTruncated>%t</IsTruncated><NextPartNumberMarker>%d</NextPartNumberMarker>%s</ListPartsResult>",
			q.Get("uploadId"), to < len(s.parts[name]), to, strings.Join(s.parts[name][from:to], ""))
	case r.Method == "POST" && q.Has("uploadId"):
		s.made = append(s.made, string(body))
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>", etag)
	case r.Method == "PUT" && r.Header.Get("x-amz-copy-source") != "":
		source, _ := url.PathUnescape(r.Header.Get("x-amz-copy-source"))
		s.objects[name] = s.objects[source]
		fmt.Fprintf(w, "<CopyObjectResult><ETag>%s</ETag></CopyObjectResult>", etag)
	case r.Method == "PUT":
		s.objects[name] = body
		w.Header().Set("ETag", etag)
	case r.Method == "DELETE":
		delete(s.objects, name)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == "HEAD" && !strings.Contains(name, "/"):
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(object)))
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		_, _ = w.Write(object)
	}
}

// proved computes the signature of a request, over the path as it came, by the steps of the SigV4 documentation.
func proved(r *http.Request, path string) error {
	if _, err := url.PathUnescape(path); err != nil {
		return err
	}
	_, raw, _ := strings.Cut(r.RequestURI, "?")
	q := r.URL.Query()
	fields := func(name string) string {
		_, v, _ := strings.Cut(r.Header.Get("Authorization"), name+"=")
		v, _, _ = strings.Cut(v, ",")
		return v
	}
	list, date, payload, got := fields("SignedHeaders"), r.Header.Get("x-amz-date"), r.Header.Get("x-amz-content-sha256"), fields("Signature")
	if q.Has("X-Amz-Signature") {
		list, date, payload, got = q.Get("X-Amz-SignedHeaders"), q.Get("X-Amz-Date"), "UNSIGNED-PAYLOAD", q.Get("X-Amz-Signature")
	}
	params := slices.DeleteFunc(strings.Split(raw, "&"), func(p string) bool { return strings.HasPrefix(p, "X-Amz-Signature=") })
	slices.Sort(params)
	var headers strings.Builder
	for _, name := range strings.Split(list, ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = strconv.FormatInt(r.ContentLength, 10)
		}
		fmt.Fprintf(&headers, "%s:%s\n", name, value)
	}
	canonical := sha256.Sum256([]byte(strings.Join([]string{r.Method, path, strings.Join(params, "&"), headers.String(), list, payload}, "\n")))
	if len(date) < 8 {
		return fmt.Errorf("signed at %q", date)
	}
	scope := []string{date[:8], recordingRegion, "s3", "aws4_request"}
	key := []byte("AWS4" + harness.StorageSecret)
	for _, step := range append(scope, strings.Join([]string{"AWS4-HMAC-SHA256", date, strings.Join(scope, "/"), hex.EncodeToString(canonical[:])}, "\n")) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(step))
		key = mac.Sum(nil)
	}
	if want := hex.EncodeToString(key); got != want {
		return fmt.Errorf("signature %s, and should be %s", got, want)
	}
	return nil
}

// object is what is held under "bucket/key".
func (s *recording) object(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[name]
}

// asked are the method and raw path of each request since it was asked last.
func (s *recording) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw := s.raw
	s.raw = nil
	return raw
}

// completed is the last Complete's list as storage got it.
func (s *recording) completed(t *testing.T) (list struct {
	Part []struct{ PartNumber, ETag, ChecksumCRC32 string }
}) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.made) == 0 {
		t.Fatal("no Complete came")
	}
	if err := xml.Unmarshal([]byte(s.made[len(s.made)-1]), &list); err != nil {
		t.Fatal(err)
	}
	return list
}
