package storage

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The variables and files of the machine that the SDK knows have no say.
func TestEnvironmentDoesNotLeak(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") })
	for _, v := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "HTTPS_PROXY"} {
		t.Setenv(v, "http://127.0.0.1:1")
	}
	for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_PROFILE", "AWS_CA_BUNDLE", "AWS_CONFIG_FILE"} {
		t.Setenv(v, "leaked")
	}
	if _, err := newBackend(t, s.URL, nil).HeadObject(t.Context(), "bucket", "key", ""); err != nil {
		t.Fatal(err)
	}
	got := s.only(t)
	judge(t, "HEAD", got.host, got.target, got.header, root)
	if v := got.header.Get("X-Amz-Security-Token"); v != "" {
		t.Errorf("session token %q", v)
	}
}

// The SDK asks for the same paths and hosts as a Call does, odd keys included.
func TestOwnCallsKeepKeys(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for _, style := range []func(*Config){nil, virtualHost} {
		b := newBackend(t, s.URL, style)
		for _, key := range oddKeys {
			if strings.Contains(key, "\xff") {
				continue
			}
			if err := b.AbortUpload(t.Context(), "bucket", key, "an id"); err != nil {
				t.Fatalf("key %q: %v", key, err)
			}
			got := s.only(t)
			path, _, _ := strings.Cut(got.target, "?")
			if want := b.Target(&Call{Bucket: "bucket", Key: key}); path != want || got.host != b.hostOf("bucket") {
				t.Errorf("key %q: %s at %s, want %s at %s", key, path, got.host, want, b.hostOf("bucket"))
			}
			judge(t, "DELETE", got.host, got.target, got.header, root)
		}
	}
}

func TestListPartsPages(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		part := func(n int) string {
			sum := sha256.Sum256([]byte{byte(n)})
			return fmt.Sprintf("<Part><PartNumber>%d</PartNumber><Size>%d</Size><ETag>&quot;e%d&quot;</ETag><ChecksumSHA256>%s</ChecksumSHA256></Part>", n, n*10, n,
				map[bool]string{true: base64.StdEncoding.EncodeToString(sum[:]), false: "no sum"}[n == 2])
		}
		switch r.URL.Query().Get("part-number-marker") {
		case "":
			io.WriteString(w, "<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>2</NextPartNumberMarker>"+part(1)+part(2)+"</ListPartsResult>")
		case "2":
			io.WriteString(w, "<ListPartsResult><IsTruncated>false</IsTruncated>"+part(7)+"</ListPartsResult>")
		}
	})
	parts, err := newBackend(t, s.URL, nil).ListParts(t.Context(), "bucket", "key", "id")
	want := []Part{{1, 10, `"e1"`, ""}, {2, 20, `"e2"`, "dbc1b4c900ffe48d575b5da5c638040125f65db0fe3e24494b76ea986457d986"}, {7, 70, `"e7"`, ""}}
	if err != nil || !slices.Equal(parts, want) {
		t.Errorf("%v, %v, want %v", parts, err, want)
	}
}

// A list that ends too early would show parts as missing that storage has.
func TestListPartsEndsWhereStorageSaysSo(t *testing.T) {
	for name, marker := range map[string]string{"no marker": "", "the marker of the page before": "<NextPartNumberMarker>1</NextPartNumberMarker>"} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, "<ListPartsResult><IsTruncated>true</IsTruncated>%s<Part><PartNumber>1</PartNumber><Size>1</Size></Part></ListPartsResult>", marker)
			})
			if parts, err := newBackend(t, s.URL, nil).ListParts(t.Context(), "bucket", "key", "id"); !errors.Is(err, ErrUnavailable) {
				t.Errorf("%v, %v, want ErrUnavailable", parts, err)
			}
		})
	}
}

func TestErrorsOfOwnCalls(t *testing.T) {
	code := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintf(w, "<Error><Code>%s</Code><Message>m</Message></Error>", code)
		}
	}
	redirect := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://"+r.Host+"/elsewhere")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	list := func(b *Backend, t *testing.T) error {
		_, err := b.ListParts(t.Context(), "b", "k", "u")
		return err
	}
	abort := func(b *Backend, t *testing.T) error { return b.AbortUpload(t.Context(), "b", "k", "u") }
	head := func(b *Backend, t *testing.T) error {
		_, err := b.HeadObject(t.Context(), "b", "k", "")
		return err
	}
	create := func(b *Backend, t *testing.T) error { return b.CreateBucket(t.Context(), "b") }
	ping := func(b *Backend, t *testing.T) error { return b.Ping(t.Context()) }
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		call   func(*Backend, *testing.T) error
		want   error // nil and !ok: another error than this package's
		ok     bool
	}{
		{"list, no upload", code(404, "NoSuchUpload"), list, ErrNoSuchUpload, false},
		{"list, no bucket", code(404, "NoSuchBucket"), list, ErrNotFound, false},
		{"list, refused", code(403, "AccessDenied"), list, nil, false},
		{"list, busy", code(503, "SlowDown"), list, ErrUnavailable, false},
		{"list, connection lost", hangUp, list, ErrUnavailable, false},
		{"list, redirect", redirect, list, nil, false},
		{"abort, no upload", code(404, "NoSuchUpload"), abort, nil, true},
		{"abort, no bucket", code(404, "NoSuchBucket"), abort, ErrNotFound, false},
		{"abort, failed", code(500, "InternalError"), abort, ErrUnavailable, false},
		{"head, none", code(404, ""), head, ErrNotFound, false},
		{"head, refused", code(403, ""), head, nil, false},
		{"head, connection lost", hangUp, head, ErrUnavailable, false},
		{"create, ours", code(409, "BucketAlreadyOwnedByYou"), create, nil, true},
		{"create, another's", code(409, "BucketAlreadyExists"), create, nil, false},
		{"ping, fine", code(200, ""), ping, nil, true},
		{"ping, refused", code(403, "AccessDenied"), ping, nil, true},
		{"ping, down", code(503, "ServiceUnavailable"), ping, ErrUnavailable, false},
		{"ping, connection lost", hangUp, ping, ErrUnavailable, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.answer)
			err := c.call(newBackend(t, s.URL, nil), t)
			switch {
			case c.ok && err != nil:
				t.Errorf("error %v, want none", err)
			case !c.ok && c.want == nil && (err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrNotFound) || errors.Is(err, ErrNoSuchUpload)):
				t.Errorf("error %v, want one that says nothing of the sort", err)
			case c.want != nil && !errors.Is(err, c.want):
				t.Errorf("error %v, want %v", err, c.want)
			}
			// An answer ends it. What is no answer is asked for again, but Ping, which is itself asked again and again.
			if want := map[bool]int{true: defaultTries, false: 1}[errors.Is(c.want, ErrUnavailable) && !strings.HasPrefix(c.name, "ping")]; s.count() != want {
				t.Errorf("%d requests, want %d", s.count(), want)
			}
		})
	}
}
