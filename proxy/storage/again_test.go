package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAgain(t *testing.T) {
	refused := errors.New("refused")
	away := fmt.Errorf("%w: reset", ErrUnavailable)
	for _, c := range []struct {
		name    string
		answers []error // the last one again and again
		takes   time.Duration
		want    int
		err     error
	}{
		{"answered at once", []error{nil}, 0, 1, nil},
		{"answered at the third", []error{away, away, nil}, 0, 3, nil},
		{"a refusal is an answer", []error{refused}, 0, 1, refused},
		{"a refusal after silence", []error{away, refused}, 0, 2, refused},
		{"away", []error{away}, 0, 3, away},
		{"hangs", []error{away}, 15 * time.Second, 1, away},
		{"slow", []error{away}, time.Second, 2, away},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				err := new(Config).again(t.Context(), func() error {
					time.Sleep(c.takes) // of the bubble's clock
					n++
					return c.answers[min(n, len(c.answers))-1]
				})
				if n != c.want || !errors.Is(err, c.err) {
					t.Errorf("%d tries, %v; want %d, %v", n, err, c.want, c.err)
				}
			})
		})
	}
	t.Run("the caller goes", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := new(Config).again(ctx, func() error { n++; cancel(); return away })
		if n != 1 || !errors.Is(err, away) {
			t.Errorf("%d tries, %v", n, err)
		}
	})
}

// Only what may be asked twice is; the rest reaches storage once, whatever becomes of it.
func TestOnlyWhatMayBeAskedAgainIs(t *testing.T) {
	for _, c := range []struct {
		name string
		call func(context.Context, *Backend) error
		want int64
	}{
		{"ListParts", func(ctx context.Context, b *Backend) error { _, err := b.ListParts(ctx, "b", "k", "u"); return err }, 3},
		{"HeadObject", func(ctx context.Context, b *Backend) error { _, err := b.HeadObject(ctx, "b", "k", ""); return err }, 3},
		{"AbortUpload", func(ctx context.Context, b *Backend) error { return b.AbortUpload(ctx, "b", "k", "u") }, 3},
		{"CreateBucket", func(ctx context.Context, b *Backend) error { return b.CreateBucket(ctx, "b") }, 1},
		{"a client's CreateMultipartUpload", func(ctx context.Context, b *Backend) error {
			return answered(b.Do(ctx, &Call{Method: http.MethodPost, Bucket: "b", Key: "k", Query: []Param{{"uploads", ""}}}, nil))
		}, 1},
		{"a client's CompleteMultipartUpload", func(ctx context.Context, b *Backend) error {
			return answered(b.Do(ctx, &Call{Method: http.MethodPost, Bucket: "b", Key: "k", Query: []Param{{"uploadId", "u"}}}, []byte("<x/>")))
		}, 1},
		{"a client's ListParts", func(ctx context.Context, b *Backend) error {
			return answered(b.Do(ctx, &Call{Method: http.MethodGet, Bucket: "b", Key: "k", Query: []Param{{"uploadId", "u"}}}, nil))
		}, 1},
		{"Ping", func(ctx context.Context, b *Backend) error { return b.Ping(ctx) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var arrived atomic.Int64
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				arrived.Add(1)
				w.WriteHeader(http.StatusServiceUnavailable)
			}))
			defer s.Close()
			b, err := New(Config{Name: "main", Endpoint: s.URL, Region: "us-east-1", PathStyle: true, Credentials: Credentials{"id", "secret"}})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if err := c.call(t.Context(), b); err == nil {
				t.Error("no error")
			}
			if n := arrived.Load(); n != c.want {
				t.Errorf("%d requests arrived, want %d", n, c.want)
			}
		})
	}
}

// answered is an error for a 5xx.
func answered(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode >= 500 {
		return errors.New(resp.Status)
	}
	return nil
}
