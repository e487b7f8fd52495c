package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"partway/proxy/storage"
)

// examined is a run's statuses by check, and the whole of each.
type examined struct {
	status map[string]Status
	checks []Check
}

func examine(t *testing.T, endpoint string, change func(*Storage, *storage.Config)) examined {
	t.Helper()
	c := storage.Config{Name: "main", Endpoint: endpoint, Region: "us-east-1", PathStyle: true,
		Credentials: storage.Credentials{AccessKeyID: "ROOT-ID", SecretAccessKey: "root-secret"},
		PresignPut:  &storage.Credentials{AccessKeyID: "PUT-ID", SecretAccessKey: "put-secret"}}
	s := Storage{Endpoint: endpoint, Buckets: []string{"uploads"}, URLTTL: 5 * time.Minute, OwnPutIdentity: true}
	if change != nil {
		change(&s, &c)
	}
	var err error
	if s.Backend, err = storage.New(c); err != nil {
		t.Fatal(err)
	}
	defer s.Backend.Close()
	got := examined{status: map[string]Status{}}
	s.Examine(t.Context(), func(c Check) {
		if _, twice := got.status[c.Name]; twice {
			t.Errorf("%s is said twice", c.Name)
		}
		got.status[c.Name] = c.Status
		got.checks = append(got.checks, c)
		if c.Seen == "" || c.Status == OK && c.Do != "" {
			t.Errorf("unclear: %+v", c)
		}
	})
	return got
}

const (
	getsOnly   = "get identity only gets"
	copyPart   = "unsigned x-amz-copy-source: UploadPart"
	copyObject = "unsigned x-amz-copy-source: PutObject"
	trailer    = "body: STREAMING-UNSIGNED-PAYLOAD-TRAILER"
)

// all are the checks of a storage that keeps every promise.
var all = []string{
	"reachable", "clock", "bucket", "credentials", "body: exact sha256", "body: UNSIGNED-PAYLOAD", trailer, "put identity puts", "put identity only puts",
	copyPart, copyObject, "unsigned x-amz-acl", "unsigned ?acl", "unsigned x-amz-tagging", "unsigned x-amz-meta-*", "longer body than signed", "clean-up",
}

// Each weakness is found, and nothing else is said of it.
func TestWeaknesses(t *testing.T) {
	get := func(s *Storage, c *storage.Config) {
		s.GetIdentity, c.PresignGet = true, &storage.Credentials{AccessKeyID: "GET-ID", SecretAccessKey: "get-secret"}
	}
	for _, c := range []struct {
		name   string
		weak   weaknesses
		change func(*Storage, *storage.Config)
		want   map[string]Status // beside OK
		until  string            // the last check before the end, "" for all
	}{
		{name: "none"},
		{name: "a versioned bucket", weak: weaknesses{versions: true}},
		{name: "a versioned bucket where nothing is checked", weak: weaknesses{versions: true, verifiesNothing: true, ignoresAdditions: true, queryACL: true, takesLonger: true},
			want: map[string]Status{"body: exact sha256": Warn, "body: UNSIGNED-PAYLOAD": Warn, trailer: Warn, "unsigned ?acl": Fail, "longer body than signed": Fail}},
		{name: "additions are ignored", weak: weaknesses{ignoresAdditions: true}},
		{name: "clock a little ahead", weak: weaknesses{ahead: 20 * time.Second}},
		{name: "clock ahead", weak: weaknesses{ahead: time.Minute}, want: map[string]Status{"clock": Warn}},
		{name: "clock behind", weak: weaknesses{ahead: -10 * time.Minute}, want: map[string]Status{"clock": Warn}},
		{name: "clock so far ahead that URLs are born dead", weak: weaknesses{ahead: 5*time.Minute + 5*time.Second}, want: map[string]Status{"clock": Fail}},
		{name: "clock so far behind that signatures are refused", weak: weaknesses{ahead: -16 * time.Minute}, want: map[string]Status{"clock": Fail}},
		{name: "no clock", weak: weaknesses{noDate: true}, want: map[string]Status{"clock": Warn}},
		{name: "broken", weak: weaknesses{breaks: "service"}, want: map[string]Status{"reachable": Fail}, until: "reachable"},
		{name: "no bucket", weak: weaknesses{noBucket: true}, want: map[string]Status{"bucket": Fail}, until: "bucket"},
		{name: "credentials are refused", weak: weaknesses{refuses: "list"}, want: map[string]Status{"bucket": Fail}, until: "bucket"},
		{name: "credentials may not put", weak: weaknesses{refuses: "put"}, want: map[string]Status{"credentials": Fail}, until: "credentials"},
		{name: "credentials may not get", weak: weaknesses{refuses: "get"}, want: map[string]Status{"credentials": Fail}, until: "credentials"},
		{name: "credentials may not begin uploads", weak: weaknesses{refuses: "create"}, want: map[string]Status{"credentials": Fail}, until: "credentials"},
		{name: "credentials may not list parts", weak: weaknesses{refuses: "parts"}, want: map[string]Status{"credentials": Fail}, until: "credentials"},
		{name: "credentials may not delete", weak: weaknesses{refuses: "delete"}, want: map[string]Status{"credentials": Fail, "clean-up": Warn}, until: "credentials"},
		{name: "framing is stored", weak: weaknesses{keepsFraming: true}, want: map[string]Status{trailer: Fail}},
		{name: "no trailers", weak: weaknesses{refusesStream: true}, want: map[string]Status{trailer: Fail}},
		{name: "no trailers, as configured", weak: weaknesses{refusesStream: true}, change: func(_ *Storage, c *storage.Config) { c.NoAWSChunked = true }},
		{name: "trailers that are configured as not taken", change: func(_ *Storage, c *storage.Config) { c.NoAWSChunked = true }, want: map[string]Status{trailer: Warn}},
		{name: "checksums are not verified", weak: weaknesses{verifiesNothing: true}, want: map[string]Status{"body: exact sha256": Warn, "body: UNSIGNED-PAYLOAD": Warn, trailer: Warn}},
		{name: "the put identity may not put", weak: weaknesses{refuses: "as-put put"}, want: map[string]Status{"put identity puts": Fail}, until: "put identity puts"},
		{name: "the put identity may not put parts", weak: weaknesses{refuses: "as-put part"}, want: map[string]Status{"put identity puts": Fail}, until: "put identity puts"},
		{name: "the put identity may read", weak: weaknesses{putMay: []string{"get"}}, want: map[string]Status{"put identity only puts": Warn}},
		{name: "the put identity may list", weak: weaknesses{putMay: []string{"list"}}, want: map[string]Status{"put identity only puts": Warn}},
		{name: "the put identity may delete", weak: weaknesses{putMay: []string{"delete"}}, want: map[string]Status{"put identity only puts": Warn}},
		{name: "the put identity may delete versions", weak: weaknesses{versions: true, putMay: []string{"delete"}}, want: map[string]Status{"put identity only puts": Warn}},
		{name: "the put identity's list breaks", weak: weaknesses{breaks: "as-put list"}, want: map[string]Status{"put identity only puts": Fail}},
		{name: "no put identity", change: func(s *Storage, c *storage.Config) { s.OwnPutIdentity, c.PresignPut = false, nil }, want: map[string]Status{"put identity only puts": Warn}},
		{name: "a get identity", change: get, want: map[string]Status{getsOnly: OK}},
		{name: "the get identity may not get", weak: weaknesses{refuses: "as-get get"}, change: get, want: map[string]Status{getsOnly: Fail}},
		{name: "the get identity may put", weak: weaknesses{getMay: []string{"put"}}, change: get, want: map[string]Status{getsOnly: Warn}},
		{name: "the get identity may delete", weak: weaknesses{getMay: []string{"delete"}}, change: get, want: map[string]Status{getsOnly: Warn}},
		{name: "the get identity's delete breaks", weak: weaknesses{breaks: "as-get delete"}, change: get, want: map[string]Status{getsOnly: Fail}},
		{name: "a part is copied", weak: weaknesses{copiesParts: true}, want: map[string]Status{copyPart: Fail}},
		{name: "an object is copied", weak: weaknesses{copies: true}, want: map[string]Status{copyObject: Fail}},
		{name: "an ACL is set", weak: weaknesses{acl: true}, want: map[string]Status{"unsigned x-amz-acl": Fail}},
		{name: "an ACL is set by a query", weak: weaknesses{queryACL: true}, want: map[string]Status{"unsigned ?acl": Fail}},
		{name: "tags are set", weak: weaknesses{tagging: true}, want: map[string]Status{"unsigned x-amz-tagging": Warn}},
		{name: "metadata is set", weak: weaknesses{metadata: true}, want: map[string]Status{"unsigned x-amz-meta-*": Warn}},
		{name: "more than was signed", weak: weaknesses{takesLonger: true}, want: map[string]Status{"longer body than signed": Fail}},
		{name: "nothing can be taken away", weak: weaknesses{keepsObjects: true}, want: map[string]Status{"clean-up": Warn}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, endpoint := newFake(t, c.weak)
			got := examine(t, endpoint, c.change)
			want := map[string]Status{}
			for _, name := range all {
				want[name] = OK
				if name == c.until {
					break
				}
			}
			if c.until != "" && c.until != "reachable" && c.until != "bucket" {
				want["clean-up"] = OK
			}
			maps.Copy(want, c.want)
			if !maps.Equal(got.status, want) {
				t.Errorf("said\n%s\nwant %v", table(got.checks), want)
			}
			f.onlyOwn(t)
			if !c.weak.keepsObjects && c.weak.refuses != "delete" {
				f.empty(t)
			}
		})
	}
}

func table(checks []Check) string {
	var b strings.Builder
	for _, c := range checks {
		fmt.Fprintf(&b, "%-4s %s: %s -> %s\n", c.Status, c.Name, c.Seen, c.Do)
	}
	return b.String()
}

// onlyOwn: no key but the doctor's was asked for.
func (f *fake) onlyOwn(t *testing.T) {
	t.Helper()
	for _, path := range f.touched {
		if !strings.HasPrefix(path, "/uploads/partway-doctor-") {
			t.Errorf("touched %s", path)
		}
	}
}

// empty: neither an object, a version of one, nor an upload is left.
func (f *fake) empty(t *testing.T) {
	t.Helper()
	for path, left := range f.objects {
		if len(left) > 0 {
			t.Errorf("left %d versions of %s", len(left), path)
		}
	}
	if len(f.uploads) > 0 {
		t.Errorf("left uploads %v", slices.Collect(maps.Keys(f.uploads)))
	}
}

// What others have in the bucket stays.
func TestNothingOfOthersIsTouched(t *testing.T) {
	f, endpoint := newFake(t, weaknesses{copies: true, copiesParts: true, putMay: []string{"get", "delete", "list"}})
	for _, path := range []string{"/uploads/acme/file", "/uploads/partway-doctor", "/uploads/victim/object"} {
		f.store(path, object{body: []byte("theirs")})
	}
	examine(t, endpoint, func(s *Storage, _ *storage.Config) { s.Prefix = "tests/" })
	for _, path := range f.touched {
		if !strings.HasPrefix(path, "/uploads/tests/partway-doctor-") {
			t.Errorf("touched %s", path)
		}
	}
	if len(f.objects) < 3 || string(f.newest("/uploads/acme/file").body) != "theirs" {
		t.Errorf("left %v", f.objects)
	}
}

// An interrupted run takes away what it made.
func TestInterrupted(t *testing.T) {
	for _, after := range []string{"credentials", "put identity puts", copyPart, "unsigned x-amz-tagging"} {
		t.Run(after, func(t *testing.T) {
			f, endpoint := newFake(t, weaknesses{})
			c := storage.Config{Name: "main", Endpoint: endpoint, Region: "us-east-1", PathStyle: true, Credentials: storage.Credentials{AccessKeyID: "ROOT-ID", SecretAccessKey: "s"}}
			backend, err := storage.New(c)
			if err != nil {
				t.Fatal(err)
			}
			defer backend.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var said []string
			last := Check{}
			(&Storage{Backend: backend, Endpoint: endpoint, Buckets: []string{"uploads"}, URLTTL: time.Minute}).Examine(ctx, func(c Check) {
				said, last = append(said, c.Name), c
				if c.Name == after {
					cancel()
				}
			})
			if n := len(said); last.Status != OK || n < 2 || said[n-2] != after || said[n-1] != cleanUp {
				t.Errorf("said %v, at last %+v", said, last)
			}
			f.empty(t)
		})
	}
}

func TestUnreachable(t *testing.T) {
	got := examine(t, "http://127.0.0.1:1", nil)
	if !maps.Equal(got.status, map[string]Status{"reachable": Fail}) {
		t.Errorf("said\n%s", table(got.checks))
	}
}

// Where credentials are from is said if the configuration has none, and nothing of them.
func TestSaysWhereCredentialsAreFrom(t *testing.T) {
	const name = "credentials' source"
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
	t.Setenv("AWS_CONFIG_FILE", "none")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", "ROOT-ID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "root-secret")
	unconfigured := func(_ *Storage, c *storage.Config) { c.Credentials = storage.Credentials{} }
	_, endpoint := newFake(t, weaknesses{})
	got := examine(t, endpoint, unconfigured)
	first := got.checks[0]
	if first.Name != name || first.Status != OK || first.Seen != "the environment: AWS_ACCESS_KEY_ID" || got.status["clean-up"] != OK {
		t.Errorf("said\n%s", table(got.checks))
	}
	for _, c := range got.checks {
		if strings.Contains(c.Seen+c.Do, "root-secret") || strings.Contains(c.Seen+c.Do, "ROOT-ID") {
			t.Errorf("%+v", c)
		}
	}
	if _, said := examine(t, endpoint, nil).status[name]; said {
		t.Error("said of credentials that are configured")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	if got := examine(t, endpoint, unconfigured); !maps.Equal(got.status, map[string]Status{name: Fail}) {
		t.Errorf("without any, said\n%s", table(got.checks))
	}
}

// Neither secrets nor signatures are in what is said, whatever fails.
func TestSaysNoSecret(t *testing.T) {
	for _, op := range []string{"put", "part", "as-put put", "as-put part", "as-put get", "complete", "delete", "abort"} {
		for _, w := range []weaknesses{{refuses: op}, {breaks: op}} {
			_, endpoint := newFake(t, w)
			for _, c := range examine(t, endpoint, nil).checks {
				for _, secret := range []string{"root-secret", "put-secret", "X-Amz-", "Signature=", "This belongs to"} {
					if strings.Contains(c.Seen+c.Do, secret) {
						t.Errorf("%+v", c)
					}
				}
			}
		}
	}
}
