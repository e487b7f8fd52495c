//go:build servers

package storage

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"partway/auth/sigv4"
)

// startVersitygw starts a storage with a bucket "bucket" and returns its backend.
func startVersitygw(t *testing.T) *Backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(versitygw(t), "--port", address, "-q", "posix", t.TempDir())
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+root.AccessKeyID, "ROOT_SECRET_KEY="+root.SecretAccessKey, "AWS_CA_BUNDLE=")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-exited })

	b := newBackend(t, "http://"+address, func(c *Config) { c.Region, c.PresignPut, c.PresignGet = "us-east-1", nil, &root })
	deadline := time.After(20 * time.Second)
	for b.Ping(t.Context()) != nil {
		select {
		case <-exited:
			t.Fatalf("versitygw ended: %s", &log)
		case <-deadline:
			t.Fatalf("versitygw does not answer: %s", &log)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := b.CreateBucket(t.Context(), "bucket"); err != nil {
		t.Fatal(err)
	}
	return b
}

// versitygw is the binary that make deps puts beside go.mod, or the one in PATH.
func versitygw(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	path := filepath.Join(dir, ".deps", "bin", "versitygw")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if path, err = exec.LookPath("versitygw"); err != nil {
		t.Fatalf("versitygw is neither in .deps/bin nor in PATH: %v", err)
	}
	return path
}

// create starts an upload whose parts carry CRC-32, and returns its id.
func create(t *testing.T, b *Backend, key string) string {
	t.Helper()
	status, body := do(t, b, &Call{Method: "POST", Bucket: "bucket", Key: key, Query: []Param{{"uploads", ""}}, Headers: []sigv4.Header{{Name: "x-amz-checksum-algorithm", Value: "CRC32"}}}, nil)
	id := regexp.MustCompile("<UploadId>(.*)</UploadId>").FindStringSubmatch(body)
	if status != 200 || id == nil {
		t.Fatalf("create: %d %s", status, body)
	}
	return id[1]
}

func do(t *testing.T, b *Backend, c *Call, body []byte) (int, string) {
	t.Helper()
	resp, err := b.Do(t.Context(), c, body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func part(number int, uploadID string) []Param {
	return []Param{{"partNumber", strconv.Itoa(number)}, {"uploadId", uploadID}}
}

func crc(b []byte) sigv4.Header {
	return sigv4.Header{Name: "x-amz-checksum-crc32", Value: base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)))}
}

// send sends body with exactly those headers, as the holder of a URL or the relay does.
func send(t *testing.T, method, url, host string, headers []sigv4.Header, body io.Reader, length int64) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = length
	if host != "" {
		r.Host = host
	}
	for _, h := range headers {
		if h.Name != "host" {
			r.Header.Add(h.Name, h.Value)
		}
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestVersitygwPresigned(t *testing.T) {
	b := startVersitygw(t)
	id := create(t, b, "key")
	// Short, because storage resets a connection whose body it refuses unread.
	body := bytes.Repeat([]byte("p"), 1000)
	other := bytes.Repeat([]byte("q"), 1000)
	sum := []sigv4.Header{crc(body)}
	for number, c := range []struct {
		name    string
		headers []sigv4.Header // as sent; sum is signed
		body    []byte
		want    int
	}{
		1: {"right", sum, body, 200},
		2: {"shorter", sum, body[:999], 403},
		3: {"longer", sum, append(bytes.Clone(body), 'p'), 403},
		4: {"other bytes", sum, other, 400},
		5: {"signed header missing", nil, body, 403},
		6: {"signed header of another value", []sigv4.Header{crc(other)}, other, 403},
		7: {"unsigned copy source", append([]sigv4.Header{{Name: "x-amz-copy-source", Value: "bucket/other"}}, sum...), body, 403},
	} {
		if c.name == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			url, _, err := b.Presigned(t.Context(), &Call{Method: "PUT", Bucket: "bucket", Key: "key", Query: part(number, id), Headers: sum, ContentLength: int64(len(body))}, acme, time.Minute, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if got := send(t, "PUT", url, "", c.headers, bytes.NewReader(c.body), int64(len(c.body))); got != c.want {
				t.Errorf("status %d, want %d", got, c.want)
			}
		})
	}
	parts, err := b.ListParts(t.Context(), "bucket", "key", id)
	if err != nil || len(parts) != 1 || parts[0].Number != 1 || parts[0].Size != 1000 || !strings.HasPrefix(parts[0].ETag, `"`) {
		t.Errorf("parts %v, %v, want the first alone", parts, err)
	}
}

// The payload forms that the relay sends, each with the right body and with a wrong one.
func TestVersitygwRelayed(t *testing.T) {
	b := startVersitygw(t)
	id := create(t, b, "key")
	body := bytes.Repeat([]byte("r"), 6<<20)
	other := bytes.Clone(body)
	other[1000] = 'x'
	framed := func(data []byte) []byte {
		var f bytes.Buffer
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 64<<10)
			fmt.Fprintf(&f, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		fmt.Fprintf(&f, "0\r\nx-amz-checksum-crc32:%s\r\n\r\n", crc(body).Value)
		return f.Bytes()
	}
	plain := func(data []byte) []byte { return data }
	chunked := []sigv4.Header{{Name: "content-encoding", Value: "aws-chunked"}, {Name: "x-amz-trailer", Value: "x-amz-checksum-crc32"}, {Name: "x-amz-decoded-content-length", Value: strconv.Itoa(len(body))}}
	number := 0
	for _, c := range []struct {
		name    string
		payload string
		headers []sigv4.Header
		frame   func([]byte) []byte
		unknown bool // length: Transfer-Encoding: chunked
	}{
		{"exact sha256 and crc32", sha256Hex(body), []sigv4.Header{crc(body)}, plain, false},
		{"unsigned payload and crc32", sigv4.UnsignedPayload, []sigv4.Header{crc(body)}, plain, false},
		{"unsigned trailer", sigv4.StreamingUnsignedTrailer, chunked, framed, false},
		{"unsigned trailer of unknown length", sigv4.StreamingUnsignedTrailer, chunked, framed, true},
	} {
		for _, data := range []struct {
			name string
			body []byte
			want int
		}{{"right", body, 200}, {"wrong", other, 400}} {
			t.Run(c.name+", "+data.name, func(t *testing.T) {
				number++
				sent := c.frame(data.body)
				length := int64(len(sent))
				if c.unknown {
					length = -1
				}
				r, err := b.Relayed(t.Context(), &Call{Method: "PUT", Bucket: "bucket", Key: "key", Query: part(number, id), Headers: c.headers, Payload: c.payload, ContentLength: length}, time.Now())
				if err != nil {
					t.Fatal(err)
				}
				if got := send(t, r.Method, "http://"+b.Host()+r.Target, b.Host(), r.Headers, io.NopCloser(bytes.NewReader(sent)), r.Length); got != data.want {
					t.Errorf("status %d, want %d", got, data.want)
				}
			})
		}
	}
}

// Keys that storage takes as they are, by every way of asking.
func TestVersitygwOddKeys(t *testing.T) {
	b := startVersitygw(t)
	for _, key := range []string{"plain", "a/b/c", "%2F", "%252F", "a b+c", "a?b=c", "a#b", "ü/日本", "=&;:@,$!*'()", "~-_.", "\\", "\u2028"} {
		body := []byte("body of " + key)
		if status, text := do(t, b, &Call{Method: "PUT", Bucket: "bucket", Key: key}, body); status != 200 {
			t.Errorf("put %q: %d %s", key, status, text)
		}
		if status, text := do(t, b, &Call{Method: "GET", Bucket: "bucket", Key: key}, nil); status != 200 || text != string(body) {
			t.Errorf("get %q: %d %s", key, status, text)
		}
		if o, err := b.HeadObject(t.Context(), "bucket", key, ""); err != nil || o.Size != int64(len(body)) || o.ETag == "" || o.LastModified.IsZero() {
			t.Errorf("head %q: %v, %v", key, o, err)
		}
		url, _, err := b.Presigned(t.Context(), &Call{Method: "GET", Bucket: "bucket", Key: key}, acme, time.Minute, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if status := send(t, "GET", url, "", nil, nil, 0); status != 200 {
			t.Errorf("presigned get of %q: %d", key, status)
		}
		id := create(t, b, key)
		if _, err := b.ListParts(t.Context(), "bucket", key, id); err != nil {
			t.Errorf("parts of %q: %v", key, err)
		}
		if err := b.AbortUpload(t.Context(), "bucket", key, id); err != nil {
			t.Errorf("abort %q: %v", key, err)
		}
	}
}

func TestVersitygwErrors(t *testing.T) {
	b := startVersitygw(t)
	if err := b.CreateBucket(t.Context(), "bucket"); err != nil {
		t.Errorf("bucket that is ours already: %v", err)
	}
	if _, err := b.HeadObject(t.Context(), "bucket", "none", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("head: %v", err)
	}
	id := create(t, b, "key")
	for range 2 {
		if err := b.AbortUpload(t.Context(), "bucket", "key", id); err != nil {
			t.Errorf("abort: %v", err)
		}
	}
	if _, err := b.ListParts(t.Context(), "bucket", "key", id); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("parts of an aborted upload: %v", err)
	}
}
