package storage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

const roleARN = "arn:aws:iam::123456789012:role/partway-put"

// leasing is an STS that answers every AssumeRole with credentials that end at expires.
func leasing(expires time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIALEASED</AccessKeyId>`+
			`<SecretAccessKey>leased</SecretAccessKey><SessionToken>token+/=</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			expires.Format(time.RFC3339))
	}
}

func withRole(r Role) func(*Config) {
	return func(c *Config) { c.PutRole = &r }
}

func TestAssumeRoleRequest(t *testing.T) {
	s := newServer(t, leasing(noon.Add(time.Hour)))
	for _, c := range []struct {
		name             string
		role             Role
		bucket           string
		grantee          Grantee
		session, policy  string
		endpoint, extern string
	}{
		{"a tenant's prefix", Role{ARN: roleARN}, "uploads", acme, "partway-acme", `"Resource":"arn:aws:s3:::uploads/acme/*"`, s.URL, ""},
		{"a whole bucket, another partition, an external id", Role{ARN: "arn:aws-cn:iam::1:role/p", ExternalID: "ours"}, "b", Grantee{"ops", ""},
			"partway-ops", `"Resource":"arn:aws-cn:s3:::b/*"`, s.URL, "ours"},
		{"names that STS would not take", Role{ARN: roleARN}, "b", Grantee{"a b/ü" + strings.Repeat("x", 99), `q"uote/`},
			"partway-a-b---" + strings.Repeat("x", 50), `"Resource":"arn:aws:s3:::b/q\"uote/*"`, s.URL, ""},
		{"an STS of its own", Role{ARN: roleARN, Endpoint: s.URL}, "b", acme, "partway-acme", `"Resource":"arn:aws:s3:::b/acme/*"`, "http://127.0.0.1:1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBackend(t, c.endpoint, withRole(c.role))
			if _, _, err := b.Presigned(t.Context(), &Call{Method: "PUT", Bucket: c.bucket, Key: "k"}, c.grantee, time.Minute, noon); err != nil {
				t.Fatal(err)
			}
			got := s.only(t)
			form, err := url.ParseQuery(got.body)
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{"Action": "AssumeRole", "RoleArn": c.role.ARN, "RoleSessionName": c.session, "ExternalId": c.extern, "DurationSeconds": "3600"} {
				if form.Get(name) != want {
					t.Errorf("%s %q, want %q", name, form.Get(name), want)
				}
			}
			policy := form.Get("Policy")
			want := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],` + c.policy + `}]}`
			if policy != want {
				t.Errorf("policy\n got %s\nwant %s", policy, want)
			}
			// By the put identity, not by the one that may do everything.
			if a := got.header.Get("Authorization"); !strings.Contains(a, "Credential=PUTKEY/") || !strings.Contains(a, "/eu-central-1/sts/aws4_request") {
				t.Errorf("authorization %s", a)
			}
		})
	}
}

// The leased credentials sign, their token is in the query, and the URL does not outlive them.
func TestPresignedByRole(t *testing.T) {
	for _, c := range []struct {
		name            string
		life, ttl, want time.Duration // of credentials, of the URL asked for, of the URL
	}{
		{"the URL ends first", time.Hour, 5 * time.Minute, 5 * time.Minute},
		{"the credentials end first", 90 * time.Second, 5 * time.Minute, 90 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, leasing(noon.Add(c.life)))
			b := newBackend(t, s.URL, withRole(Role{ARN: roleARN}))
			signed, until, err := b.Presigned(t.Context(), &Call{Method: "PUT", Bucket: "bucket", Key: "acme/k"}, acme, c.ttl, noon)
			if err != nil {
				t.Fatal(err)
			}
			u, err := url.Parse(signed)
			if err != nil {
				t.Fatal(err)
			}
			q := u.Query()
			if q.Get("X-Amz-Security-Token") != "token+/=" || !strings.HasPrefix(q.Get("X-Amz-Credential"), "ASIALEASED/") {
				t.Errorf("signed by %s with token %q", q.Get("X-Amz-Credential"), q.Get("X-Amz-Security-Token"))
			}
			if q.Get("X-Amz-Expires") != fmt.Sprint(int(c.want.Seconds())) || !until.Equal(noon.Add(c.want)) {
				t.Errorf("lives %s s, until %s; want %s", q.Get("X-Amz-Expires"), until, c.want)
			}
			s.only(t)
			// Downloads are signed by their own identity.
			if got, _, err := b.Presigned(t.Context(), &Call{Method: "GET", Bucket: "bucket", Key: "acme/k"}, acme, c.ttl, noon); err != nil || !strings.Contains(got, "GETKEY") {
				t.Errorf("GET: %s, %v", got, err)
			}
		})
	}
}

// Where there are no leased credentials nothing is signed, least of all by an identity that may do more.
func TestNoIdentity(t *testing.T) {
	xml := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		prefix string
		want   string
	}{
		{"refused", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`)
		}, "acme/", "AccessDenied"},
		{"away", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "acme/", "AssumeRole"},
		{"a redirect", http.RedirectHandler("http://elsewhere.example/", http.StatusTemporaryRedirect).ServeHTTP, "acme/", "307"},
		{"no credentials", xml(`<AssumeRoleResponse><AssumeRoleResult></AssumeRoleResult></AssumeRoleResponse>`), "acme/", "lacks"},
		{"no session token", xml(`<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>s</SecretAccessKey>` +
			`<Expiration>2026-03-04T13:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`), "acme/", "lacks"},
		{"credentials of yesterday", leasing(noon.Add(-time.Hour)), "acme/", "end"},
		{"a prefix that would match others", leasing(noon.Add(time.Hour)), "ac*/", "policy"},
		{"a prefix that would match others, by a character", leasing(noon.Add(time.Hour)), "acm?/", "policy"},
		{"a prefix that STS would fill in", leasing(noon.Add(time.Hour)), "${aws:username}/", "policy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.answer)
			b := newBackend(t, s.URL, withRole(Role{ARN: roleARN}))
			signed, _, err := b.Presigned(t.Context(), &Call{Method: "PUT", Bucket: "bucket", Key: "k"}, Grantee{"acme", c.prefix}, time.Minute, noon)
			if !errors.Is(err, ErrNoIdentity) || !strings.Contains(err.Error(), c.want) || signed != "" {
				t.Errorf("%q, %v, want ErrNoIdentity with %q", signed, err, c.want)
			}
		})
	}
}

// An STS that hangs holds the caller no longer than it is willing to wait.
func TestHangingSTS(t *testing.T) {
	begun := make(chan struct{})
	s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { close(begun); <-r.Context().Done() })
	b := newBackend(t, s.URL, withRole(Role{ARN: roleARN}))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-begun; cancel() }()
	if _, _, err := b.Presigned(ctx, &Call{Method: "PUT", Bucket: "bucket", Key: "k"}, acme, time.Minute, noon); !errors.Is(err, ErrNoIdentity) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestSTSEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"https://s3.eu-central-1.amazonaws.com":      "https://sts.eu-central-1.amazonaws.com",
		"https://s3.cn-north-1.amazonaws.com.cn:443": "https://sts.eu-central-1.amazonaws.com.cn",
		"https://amazonaws.com.example":              "https://amazonaws.com.example",
		"http://minio.example:9000":                  "http://minio.example:9000",
	} {
		b := newBackend(t, endpoint, withRole(Role{ARN: roleARN}))
		if b.assumer.role.Endpoint != want {
			t.Errorf("STS of %s is %s, want %s", endpoint, b.assumer.role.Endpoint, want)
		}
	}
}
