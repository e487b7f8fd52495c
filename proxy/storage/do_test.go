package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"partway/auth/sigv4"
)

func TestDoPathsByteForByte(t *testing.T) {
	s := newServer(t, nil)
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	for _, style := range []struct {
		name, prefix, host string
		change             func(*Config)
	}{
		{"path style", "/bucket/", "127.0.0.1" + port, nil},
		{"virtual-host style", "/", "bucket.localhost" + port, virtualHost},
	} {
		t.Run(style.name, func(t *testing.T) {
			b := newBackend(t, s.URL, style.change)
			for _, key := range oddKeys {
				resp, err := b.Do(t.Context(), &Call{Method: "GET", Bucket: "bucket", Key: key, Query: []Param{{"uploads", ""}, {"a b", "c/d+&="}}}, nil)
				if err != nil {
					t.Fatalf("key %q: %v", key, err)
				}
				resp.Body.Close()
				got := s.only(t)
				if want := style.prefix + sigv4.EncodePath(key) + "?uploads=&a%20b=c%2Fd%2B%26%3D"; got.target != want || got.host != style.host {
					t.Errorf("key %q: %s at %s, want %s at %s", key, got.target, got.host, want, style.host)
				}
				path, _, _ := strings.Cut(got.target, "?")
				if decoded, err := url.PathUnescape(path); err != nil || decoded != style.prefix+key {
					t.Errorf("key %q: storage decodes %q, %v", key, decoded, err)
				}
				judge(t, "GET", got.host, got.target, got.header, root)
			}
		})
	}
}

func TestDoSendsWhatItSigns(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://elsewhere/")
		w.WriteHeader(http.StatusTemporaryRedirect)
		io.WriteString(w, "answer")
	})
	b := newBackend(t, s.URL, nil)
	body := []byte("<CompleteMultipartUpload/>")
	resp, err := b.Do(t.Context(), &Call{
		Method: "POST", Bucket: "bucket", Key: "key", Query: []Param{{"uploadId", "a+b/c="}},
		Headers: []sigv4.Header{{Name: "content-type", Value: "application/xml"}, {Name: "x-amz-meta-a", Value: "1"}, {Name: "if-none-match", Value: "*"}},
	}, body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusTemporaryRedirect || string(text) != "answer" {
		t.Errorf("answer %d %q: a redirect is an answer like any other", resp.StatusCode, text)
	}
	got := s.only(t)
	judge(t, "POST", got.host, got.target, got.header, root)
	if got.body != string(body) || got.header.Get("x-amz-content-sha256") != sha256Hex(body) || got.length != int64(len(body)) {
		t.Errorf("body %q of length %d, sha256 %s", got.body, got.length, got.header.Get("x-amz-content-sha256"))
	}
	signed := got.header.Get("Authorization")
	if want := "SignedHeaders=content-type;host;if-none-match;x-amz-content-sha256;x-amz-date;x-amz-meta-a,"; !strings.Contains(signed, want) {
		t.Errorf("%s, want %s", signed, want)
	}
	if v := got.header.Get("Accept-Encoding"); v != "" {
		t.Errorf("Accept-Encoding %q: an answer must come as it is stored", v)
	}
}

// What a signed URL's identity may do at worst is asked with that identity, not with the one that may do everything.
func TestDoAsPut(t *testing.T) {
	s := newServer(t, leasing(time.Now().Add(time.Hour)))
	get := &Call{Method: "GET", Bucket: "bucket", Key: "key"}
	for _, c := range []struct {
		name, credential, token string
		change                  func(*Config)
	}{
		{"the credentials", "ROOTKEY/", "", func(c *Config) { c.PresignPut = nil }},
		{"presign_put", "PUTKEY/", "", nil},
		{"a role", "ASIALEASED/", "token+/=", withRole(Role{ARN: roleARN})},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, err := newBackend(t, s.URL, c.change).DoAsPut(t.Context(), acme, get, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			got := s.last(t)
			if a := got.header.Get("Authorization"); !strings.Contains(a, "Credential="+c.credential) || got.header.Get("x-amz-security-token") != c.token {
				t.Errorf("token %q, %s", got.header.Get("x-amz-security-token"), a)
			}
			if c.token != "" && !strings.Contains(got.header.Get("Authorization"), ";x-amz-security-token,") {
				t.Errorf("the token is not signed: %s", got.header.Get("Authorization"))
			}
		})
	}
}

func TestDoWithoutBody(t *testing.T) {
	s := newServer(t, nil)
	b := newBackend(t, s.URL, nil)
	for _, method := range []string{"GET", "HEAD", "PUT", "POST", "DELETE"} {
		resp, err := b.Do(t.Context(), &Call{Method: method, Bucket: "bucket", Key: "key"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		got := s.only(t)
		judge(t, method, got.host, got.target, got.header, root)
		if got.length != 0 {
			t.Errorf("%s: length %d, want 0 and not chunked", method, got.length)
		}
	}
}

// rawServer answers each connection with serve.
func rawServer(t *testing.T, serve func(n int, c net.Conn)) (endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 1; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(n, c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String()
}

// readHead reads a request's head, and tells whether there was one.
func readHead(c net.Conn) bool {
	var head []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := c.Read(b); err != nil {
			return false
		}
		head = append(head, b[0])
	}
	return true
}

// A Create or Complete whose pooled connection breaks after it was written is not sent again, and the error says that it was sent.
func TestNeverSentTwice(t *testing.T) {
	for _, body := range [][]byte{nil, []byte("<CompleteMultipartUpload/>")} {
		heads := make(chan int, 10)
		endpoint := rawServer(t, func(n int, c net.Conn) {
			for i := 1; readHead(c); i++ {
				heads <- n
				if i == 2 {
					return // the second request on a connection gets no answer
				}
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
		b := newBackend(t, endpoint, nil)
		c := &Call{Method: "POST", Bucket: "bucket", Key: "key", Query: []Param{{"uploads", ""}}}
		resp, err := b.Do(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if _, err = b.Do(t.Context(), c, body); !errors.Is(err, ErrUnavailable) || !Sent(err) {
			t.Errorf("error %v, Sent %v", err, Sent(err))
		}
		if len(heads) != 2 {
			t.Errorf("storage got %d requests, want 2", len(heads))
		}
		b.Close()
	}
}

// deafConn writes nothing any more once deaf is closed.
type deafConn struct {
	net.Conn
	deaf chan struct{}
}

func (c *deafConn) Write(b []byte) (int, error) {
	select {
	case <-c.deaf:
		return 0, errors.New("broken pipe")
	default:
		return c.Conn.Write(b)
	}
}

// A pooled connection that takes not a byte is replaced by a fresh one: the request is sent, once. Without a fresh one it
// was not sent, and is said not to have been.
func TestDeadPooledConnection(t *testing.T) {
	for _, body := range [][]byte{nil, []byte("<CompleteMultipartUpload/>")} {
		for _, again := range []bool{true, false} {
			s := newServer(t, nil)
			b := newBackend(t, s.URL, nil)
			deaf, dials, dial := make(chan struct{}), 0, b.transport.DialContext
			b.transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				dials++
				if dials == 2 && !again {
					return nil, errors.New("connection refused")
				}
				c, err := dial(ctx, network, address)
				if err == nil && dials == 1 {
					c = &deafConn{c, deaf}
				}
				return c, err
			}
			c := &Call{Method: "POST", Bucket: "bucket", Key: "key", Query: []Param{{"uploads", ""}}}
			resp, err := b.Do(t.Context(), c, body)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			s.only(t)
			close(deaf)
			resp, err = b.Do(t.Context(), c, body)
			if again {
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if got := s.only(t); got.body != string(body) {
					t.Errorf("body %q, want %q", got.body, body)
				}
			} else if !errors.Is(err, ErrUnavailable) || Sent(err) {
				t.Errorf("error %v, Sent %v", err, Sent(err))
			}
			if dials != 2 {
				t.Errorf("%d dials, want 2", dials)
			}
		}
	}
}

func TestNotSentWhenNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	b := newBackend(t, "http://"+l.Addr().String(), nil)
	_, err = b.Do(t.Context(), &Call{Method: "POST", Bucket: "bucket", Key: "key"}, []byte("x"))
	if !errors.Is(err, ErrUnavailable) || Sent(err) {
		t.Errorf("error %v, Sent %v", err, Sent(err))
	}
	if Sent(nil) || Sent(errors.New("other")) {
		t.Error("Sent of an error that is not of Do")
	}
}

// Storage that took the request and says nothing: the context ends it, and it was sent.
func TestSilentStorage(t *testing.T) {
	took := make(chan struct{})
	endpoint := rawServer(t, func(_ int, c net.Conn) {
		readHead(c)
		close(took)
		io.Copy(io.Discard, c)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-took; cancel() }()
	_, err := newBackend(t, endpoint, nil).Do(ctx, &Call{Method: "POST", Bucket: "bucket", Key: "key"}, nil)
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) || !Sent(err) {
		t.Errorf("error %v, Sent %v", err, Sent(err))
	}
}
