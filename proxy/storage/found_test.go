package storage

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// nothingToFind takes away whatever AWS's SDKs would find on this machine.
func nothingToFind(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func finding(t *testing.T, endpoint, profile string) *Backend {
	t.Helper()
	b, err := New(Config{Name: "main", Endpoint: endpoint, Region: "us-east-1", PathStyle: true, Profile: profile})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// lender stands in for whatever lends credentials: a container's endpoint, an instance's, an STS.
type lender struct {
	*httptest.Server
	asked  atomic.Int64
	away   atomic.Bool
	thinks sync.Mutex // no answer while it is held
	now    func() time.Time
}

const lent = time.Hour

func newLender(t *testing.T) *lender {
	t.Helper()
	l := &lender{now: time.Now}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *lender) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.thinks.Lock()
	defer l.thinks.Unlock()
	ends := l.now().Add(lent).UTC().Format(time.RFC3339)
	switch {
	case l.away.Load():
		w.WriteHeader(http.StatusBadRequest) // which no SDK tries again
	case r.URL.Path == "/latest/api/token":
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
		fmt.Fprint(w, "imds")
	case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
		fmt.Fprint(w, "gateway")
	case r.Method == http.MethodPost:
		n := l.asked.Add(1)
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>LENT-%d</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token-%d</SessionToken><Expiration>%s</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, n, n, ends)
	default:
		n := l.asked.Add(1)
		fmt.Fprintf(w, `{"Code":"Success","Type":"AWS-HMAC","LastUpdated":%q,"AccessKeyId":"LENT-%d","SecretAccessKey":"secret","Token":"token-%d","Expiration":%q}`, ends, n, n, ends)
	}
}

func TestCredentialsAreFoundWhereSDKsLook(t *testing.T) {
	file := func(t *testing.T, text string) string {
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, c := range []struct {
		name, profile string
		set           func(*testing.T, *lender)
		id, token     string
		where         string
	}{
		{"environment", "", func(t *testing.T, _ *lender) {
			t.Setenv("AWS_ACCESS_KEY_ID", "ENV")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
			t.Setenv("AWS_SESSION_TOKEN", "env-token")
		}, "ENV", "env-token", "the environment: AWS_ACCESS_KEY_ID"},
		{"a profile, whatever the environment says", "partway", func(t *testing.T, _ *lender) {
			t.Setenv("AWS_ACCESS_KEY_ID", "ENV")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file(t, "[default]\naws_access_key_id = OTHER\naws_secret_access_key = s\n[partway]\naws_access_key_id = PROFILE\naws_secret_access_key = s\n"))
		}, "PROFILE", "", "profile partway of "},
		{"web identity", "", func(t *testing.T, l *lender) {
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file(t, "a.b.c"))
			t.Setenv("AWS_ROLE_ARN", roleARN)
			t.Setenv("AWS_ENDPOINT_URL_STS", l.URL)
		}, "LENT-1", "token-1", "web identity: a role, for a token in a file"},
		{"container", "", func(t *testing.T, l *lender) { t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", l.URL+"/container") }, "LENT-1", "token-1",
			"the container's endpoint"},
		{"instance", "", func(t *testing.T, l *lender) {
			t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
			t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", l.URL)
		}, "LENT-1", "token-1", "the instance's role"},
	} {
		t.Run(c.name, func(t *testing.T) {
			nothingToFind(t)
			c.set(t, newLender(t))
			b := finding(t, "http://127.0.0.1:1", c.profile)
			signer, ends, err := b.sign.signer(t.Context(), time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if signer.AccessKeyID != c.id || signer.SessionToken != c.token {
				t.Errorf("found %s with token %q", signer.AccessKeyID, signer.SessionToken)
			}
			found, err := b.FoundCredentials(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(found.Where, c.where) || found.Ends.IsZero() != ends.IsZero() {
				t.Errorf("said to be from %q, until %v", found.Where, found.Ends)
			}
		})
	}
}

// Whatever signs goes over to new credentials before the old ones end, and no URL outlives those it was signed with.
func TestFoundCredentialsAreRenewedBeforeTheyEnd(t *testing.T) {
	nothingToFind(t)
	begin := time.Now().Truncate(time.Second)
	var ahead atomic.Int64
	at := func(d time.Duration) time.Time { ahead.Store(int64(d)); return begin.Add(d) }
	l := newLender(t)
	l.now = func() time.Time { return begin.Add(time.Duration(ahead.Load())) }
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", l.URL)
	b := finding(t, "http://storage.example.com", "")
	call := &Call{Method: http.MethodPut, Bucket: "bucket", Key: "key", ContentLength: 3, Payload: "UNSIGNED-PAYLOAD"}

	signed := func(now time.Time) (url string, until time.Time, header string, err error) {
		t.Helper()
		url, until, err = b.Presigned(t.Context(), call, Grantee{}, 5*time.Minute, now)
		if err != nil {
			return "", time.Time{}, "", err
		}
		r, err := b.Relayed(t.Context(), call, now)
		if err != nil {
			return "", time.Time{}, "", err
		}
		for _, h := range r.Headers {
			header += h.Name + ": " + h.Value + "\n"
		}
		return url, until, header, nil
	}
	expect := func(now time.Time, n int, life time.Duration) {
		t.Helper()
		url, until, header, err := signed(now)
		if err != nil {
			t.Fatal(err)
		}
		id, token := fmt.Sprintf("LENT-%d", n), fmt.Sprintf("token-%d", n)
		if !strings.Contains(url, "X-Amz-Credential="+id+"%2F") || !strings.Contains(url, "X-Amz-Security-Token="+token) {
			t.Errorf("URL %s, want one of %s", url, id)
		}
		if !strings.Contains(header, "Credential="+id+"/") || !strings.Contains(header, "x-amz-security-token: "+token) {
			t.Errorf("headers\n%swant those of %s", header, id)
		}
		if got := until.Sub(now); got != life {
			t.Errorf("the URL lives %s, want %s", got, life)
		}
	}
	expect(at(0), 1, 5*time.Minute)
	expect(at(49*time.Minute), 1, 5*time.Minute)
	if n := l.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	// Ten minutes before the end it is asked, and nobody waits for it.
	l.thinks.Lock()
	expect(at(51*time.Minute), 1, 5*time.Minute)
	l.thinks.Unlock()
	b.sign.found.asking.Wait()
	expect(at(52*time.Minute), 2, 5*time.Minute)

	// Nobody lends any more: what there is serves to its end.
	l.away.Store(true)
	expect(at(109*time.Minute), 2, 2*time.Minute)
	if _, _, _, err := signed(at(110*time.Minute + time.Second)); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("signed with what ends within a minute: %v", err)
	}
	if _, err := b.Relayed(t.Context(), call, at(111*time.Minute)); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Relayed: %v", err)
	}
}

func TestWithoutCredentialsNothingIsSent(t *testing.T) {
	nothingToFind(t)
	var arrived atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Store(true) }))
	defer s.Close()
	b := finding(t, s.URL, "")
	call := &Call{Method: http.MethodPut, Bucket: "bucket", Key: "key", ContentLength: 3}
	_, err := b.Do(t.Context(), call, nil)
	if !errors.Is(err, ErrUnavailable) || Sent(err) {
		t.Errorf("Do: %v, sent %v", err, Sent(err))
	}
	if _, err := b.Relayed(t.Context(), call, time.Now()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Relayed: %v", err)
	}
	if _, _, err := b.Presigned(t.Context(), call, Grantee{}, time.Minute, time.Now()); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("Presigned: %v", err)
	}
	if _, err := b.HeadObject(t.Context(), "bucket", "key", ""); !errors.Is(err, ErrUnavailable) {
		t.Errorf("HeadObject: %v", err)
	}
	if arrived.Load() {
		t.Error("storage was asked without credentials")
	}
}

// The SDK quotes what a credential_process said where it was not understood. That is credentials, nearly always.
func TestWhatACredentialProcessSaysIsNotShown(t *testing.T) {
	for name, c := range map[string]struct{ says, want string }{
		"a line before the JSON": {`note\n{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"hunter2"}`, "invalid character"},
		"no end of the JSON":     {`{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"hunter2"`, "unexpected end"},
		"an end that is no time": {`{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"hunter2","Expiration":"soon"}`, "cannot parse"},
		"another version":        {`{"Version":2,"AccessKeyId":"AKID","SecretAccessKey":"hunter2"}`, "wrong version"},
	} {
		t.Run(name, func(t *testing.T) {
			nothingToFind(t)
			dir := t.TempDir()
			script, profiles := filepath.Join(dir, "lend"), filepath.Join(dir, "config")
			if err := os.WriteFile(script, []byte("printf '"+c.says+"'\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(profiles, []byte("[profile lent]\ncredential_process = sh "+script+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_CONFIG_FILE", profiles)
			found, err := finding(t, "http://127.0.0.1:1", "lent").FoundCredentials(t.Context())
			if !errors.Is(err, ErrNoIdentity) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("found %v, error %v, want %q", found, err, c.want)
			}
		})
	}
}
