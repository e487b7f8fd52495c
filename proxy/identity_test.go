package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"partway/auth"
	"partway/proxy/storage"
)

// withRole lets the bench's storage sign URLs with credentials that an STS leases for each tenant's prefix.
func (b *bench) withRole(sts http.HandlerFunc) {
	b.t.Helper()
	server := httptest.NewServer(sts)
	b.t.Cleanup(server.Close)
	backend, err := storage.New(storage.Config{Name: "main", Endpoint: b.s3.URL, Region: "us-east-1", PathStyle: true, Tries: 1,
		Credentials: storage.Credentials{AccessKeyID: "storage-id", SecretAccessKey: "storage-secret"},
		PresignPut:  &storage.Credentials{AccessKeyID: "put-id", SecretAccessKey: "put-secret"},
		PutRole:     &storage.Role{ARN: "arn:aws:iam::1:role/put", Endpoint: server.URL}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.gateway.backends["main"].Close()
	b.gateway.backends["main"] = backend
	b.t.Cleanup(backend.Close) // before the STS, which waits for its requests
}

func TestRedirectBySessionOfTheTenantsPrefix(t *testing.T) {
	b := newBench(t)
	var policies []string
	b.withRole(func(w http.ResponseWriter, r *http.Request) {
		policies = append(policies, r.PostFormValue("RoleSessionName")+" "+r.PostFormValue("Policy"))
		fmt.Fprintf(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>LEASE%d</AccessKeyId><SecretAccessKey>s</SecretAccessKey>`+
			`<SessionToken>t</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			len(policies), time.Now().Add(2*time.Minute).UTC().Format(time.RFC3339))
	})
	other := b.bearer("other", auth.Scope{Bucket: "uploads", Prefix: "other", Actions: []string{"s3:*"}})
	for _, c := range []struct{ path, bearer, lease string }{
		{"/uploads/acme/one", b.tenant, "LEASE1"},
		{"/uploads/acme/two", b.tenant, "LEASE1"},
		{"/uploads/other/one", other, "LEASE2"},
	} {
		a := b.ask("PUT", c.path, "hello", "x-partway-transfer", "redirect", "Authorization", "Bearer "+c.bearer)
		u, err := url.Parse(a.header.Get("Location"))
		if a.status != 307 || err != nil {
			t.Fatalf("%s: %d %s", c.path, a.status, a.body)
		}
		if got := u.Query().Get("X-Amz-Credential"); got[:6] != c.lease {
			t.Errorf("%s is signed by %s, want %s", c.path, got, c.lease)
		}
		if life, _ := strconv.Atoi(u.Query().Get("X-Amz-Expires")); life < 60 || life > 120 {
			t.Errorf("%s lives %d s, its credentials 120", c.path, life)
		}
	}
	allow := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:PutObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"],"Resource":"arn:aws:s3:::uploads/%s/*"}]}`
	want := []string{"partway-acme " + fmt.Sprintf(allow, "acme"), "partway-other " + fmt.Sprintf(allow, "other")}
	if fmt.Sprint(policies) != fmt.Sprint(want) {
		t.Errorf("sessions\n got %s\nwant %s", policies, want)
	}
}

// Without an identity a body is relayed, or refused where the token does not let it be; never redirected by another identity.
func TestRedirectWithoutIdentity(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // or the server would not notice that the client is gone
		<-r.Context().Done()
	}
	for _, c := range []struct {
		name string
		sts  http.HandlerFunc
		road string
	}{
		{"STS refuses", refuse, "relay;reason=identity"},
		{"STS hangs", hang, "relay;reason=slow"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			b.withRole(c.sts)
			a := b.ask("PUT", "/uploads/acme/x", "hello", "x-partway-transfer", "redirect")
			if a.status != 200 || a.header.Get("X-Partway-Transfer") != c.road {
				t.Errorf("%d by %s, want 200 by %s", a.status, a.header.Get("X-Partway-Transfer"), c.road)
			}
			if o, ok := b.s3.object("/uploads/acme/x"); !ok || string(o.body) != "hello" {
				t.Errorf("stored %q, %t", o.body, ok)
			}
			direct := b.bearer("acme", auth.Scope{Bucket: "uploads", Prefix: "acme", Actions: []string{"s3:*"}, Transfer: []string{"redirect"}})
			if a := b.ask("PUT", "/uploads/acme/y", "hello", "Authorization", "Bearer "+direct); a.status != 403 || a.code() != "AccessDenied" {
				t.Errorf("a token without relay: %d %s", a.status, a.code())
			}
		})
	}
}
