package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"partway/e2e/harness"
)

// federated is a gateway on https that lets in the users "repo:..." of an OpenID Connect provider, as the tenant that their
// token names.
type federated struct {
	*harness.Stack
	provider *harness.Provider
	ca       string
	http     *http.Client // trusts the CA
}

func newFederated(t *testing.T) *federated {
	t.Helper()
	c, err := harness.NewCertificates(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &federated{provider: harness.StartProvider(t, c), ca: c.CA}
	// The shortest life that a role can give: SDKs then take every key for one that is about to expire, and ask again.
	f.Stack = ownStack(t, harness.Setup{StorageTLS: c, Config: []string{
		"server:", "  tls: {cert_file: " + c.Cert + ", key_file: " + c.Key + "}",
		"auth:",
		"  issuers: [{issuer: \"" + f.provider.URL + "\", audiences: [" + harness.Audience + "]}]",
		"  roles:",
		"    - {name: ci, issuer: \"" + f.provider.URL + "\", conditions: {sub: \"repo:*\"}, tenant: \"claim:owner\", max_ttl: 15m,",
		"       scope: [{bucket: " + harness.Bucket + ", prefix: \"${tenant}/\", actions: [\"s3:*\"]}]}",
	}})
	if err := f.Gateway.Trust(c.CA); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	f.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	return f
}

// tokenFile writes a web identity token as a CI system or a kubelet does.
func (f *federated) tokenFile(t *testing.T, subject, tenant string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(f.provider.Token(t, subject, tenant)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// env is all that stock clients are told.
func (f *federated) env(tokenFile string) []string {
	return []string{
		"AWS_WEB_IDENTITY_TOKEN_FILE=" + tokenFile, "AWS_ROLE_ARN=arn:aws:iam::000000000000:role/ci", "AWS_ROLE_SESSION_NAME=e2e",
		"AWS_ENDPOINT_URL_STS=" + f.Gateway.Endpoint, "AWS_ENDPOINT_URL_S3=" + f.Gateway.Endpoint, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_CA_BUNDLE=" + f.ca, "NODE_EXTRA_CA_CERTS=" + f.ca, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + filepath.Join(f.Dir, "none"), "AWS_SHARED_CREDENTIALS_FILE=" + filepath.Join(f.Dir, "none"),
	}
}

func (f *federated) run(t *testing.T, env []string, tool string, args ...string) string {
	t.Helper()
	bin, err := harness.Tool(tool)
	if err != nil {
		t.Fatal(err)
	}
	out, err := harness.Run(t.Context(), env, bin, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, f.Gateway.Tail())
	}
	return out
}

// twice is what a client must have done that took up a new token between two PutObjects: each under the subject that its own
// web identity token named, with the key that was issued for it.
func (f *federated) twice(t *testing.T, tenant, first, second string) {
	t.Helper()
	events, err := f.Gateway.Events(t.Context(), tenant)
	if err != nil {
		t.Fatal(err)
	}
	issued := map[string]string{} // token id -> subject
	var puts []string
	for _, e := range events {
		switch e.Operation {
		case "sts:AssumeRoleWithWebIdentity":
			issued[e.TokenID] = e.Subject
		case "PutObject":
			if issued[e.TokenID] != e.Subject {
				t.Errorf("%v by %s with token %s, which no exchange gave", e, e.Subject, e.TokenID)
			}
			if e.Outcome == "ok" {
				puts = append(puts, e.Subject)
			}
		}
	}
	if want := []string{"ci/" + first, "ci/" + second}; !slices.Equal(puts, want) {
		t.Errorf("PutObject by %q, want %q", puts, want)
	}
}

func TestStockClientsThroughWebIdentity(t *testing.T) {
	f := newFederated(t)

	t.Run("aws-cli", func(t *testing.T) {
		env := f.env(f.tokenFile(t, "repo:cli", "cli"))
		path, content := file(t, 9*mib)
		object := "s3://" + harness.Bucket + "/cli/file"
		f.run(t, env, "venv/bin/aws", "s3", "cp", "--only-show-errors", path, object)
		back := filepath.Join(t.TempDir(), "back")
		f.run(t, env, "venv/bin/aws", "s3", "cp", "--only-show-errors", object, back)
		sameFile(t, back, content)
		if out := f.run(t, env, "venv/bin/aws", "sts", "get-caller-identity", "--query", "Arn", "--output", "text"); out != "arn:aws:sts::000000000000:assumed-role/cli/ci/repo:cli\n" {
			t.Errorf("get-caller-identity says %q", out)
		}
		// By hand, with a policy that narrows.
		token, err := os.ReadFile(strings.TrimPrefix(env[0], "AWS_WEB_IDENTITY_TOKEN_FILE="))
		if err != nil {
			t.Fatal(err)
		}
		keys := strings.Fields(f.run(t, env, "venv/bin/aws", "sts", "assume-role-with-web-identity", "--role-arn", "arn:partway:iam:::role/ci", "--role-session-name", "by-hand",
			"--web-identity-token", string(token), "--duration-seconds", "900", "--query", "Credentials.[AccessKeyId,SecretAccessKey]", "--output", "text",
			"--policy", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::`+harness.Bucket+`/cli/*"}]}`))
		narrow := append(slices.Clone(env[3:]), "AWS_ACCESS_KEY_ID="+keys[0], "AWS_SECRET_ACCESS_KEY="+keys[1])
		f.run(t, narrow, "venv/bin/aws", "s3api", "get-object", "--bucket", harness.Bucket, "--key", "cli/file", back)
		aws, err := harness.Tool("venv/bin/aws")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := harness.Run(t.Context(), narrow, aws, "s3", "cp", path, object); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("writing with a key to read: %v", err)
		}
	})

	t.Run("boto3", func(t *testing.T) {
		script := filepath.Join(t.TempDir(), "script.py")
		if err := os.WriteFile(script, []byte(`
import os, shutil, sys, boto3
s3 = boto3.client("s3")
bucket, new = sys.argv[1:]
s3.put_object(Bucket=bucket, Key="boto/one", Body=b"one")
shutil.copy(new, os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"])
s3.put_object(Bucket=bucket, Key="boto/two", Body=b"two")
assert s3.get_object(Bucket=bucket, Key="boto/one")["Body"].read() == b"one"
assert boto3.client("sts").get_caller_identity()["Account"] == "0" * 12
try:
    s3.put_object(Bucket=bucket, Key="other/x", Body=b"x")
    raise SystemExit("wrote into another tenant's prefix")
except s3.exceptions.ClientError as e:
    assert e.response["Error"]["Code"] == "AccessDenied", e
`), 0o600); err != nil {
			t.Fatal(err)
		}
		first, second := f.tokenFile(t, "repo:one", "boto"), f.tokenFile(t, "repo:two", "boto")
		f.run(t, f.env(first), "venv/bin/python", script, harness.Bucket, second)
		f.twice(t, "boto", "repo:one", "repo:two")
	})

	t.Run("Go SDK v2", func(t *testing.T) {
		ctx := t.Context()
		first, second := f.tokenFile(t, "repo:one", "gosdk"), f.tokenFile(t, "repo:two", "gosdk")
		service := sts.New(sts.Options{BaseEndpoint: aws.String(f.Gateway.Endpoint), Region: "us-east-1", HTTPClient: f.http})
		provider := stscreds.NewWebIdentityRoleProvider(service, "arn:aws:iam::000000000000:role/ci", stscreds.IdentityTokenFile(first))
		// A key of 15 minutes is due when there are 15 minutes left.
		cache := aws.NewCredentialsCache(provider, func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 15 * time.Minute })
		client := harness.S3(f.Gateway.Endpoint, "us-east-1", "", "", func(o *s3.Options) { o.HTTPClient, o.Credentials = f.http, cache })
		put := func(key string) {
			t.Helper()
			if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(harness.Bucket), Key: aws.String("gosdk/" + key), Body: bytes.NewReader([]byte(key))}); err != nil {
				t.Fatalf("%v\n%s", err, f.Gateway.Tail())
			}
		}
		put("one")
		if err := os.Rename(second, first); err != nil {
			t.Fatal(err)
		}
		put("two")
		f.twice(t, "gosdk", "repo:one", "repo:two")
	})

	t.Run("JS SDK v3", func(t *testing.T) {
		script := filepath.Join(t.TempDir(), "script.mjs")
		if err := os.WriteFile(script, []byte(`
import { copyFileSync } from "node:fs"
import { createRequire } from "node:module"
const [modules, bucket, fresh] = process.argv.slice(2)
const { S3Client, PutObjectCommand } = createRequire(modules + "/")("@aws-sdk/client-s3")
const s3 = new S3Client({ forcePathStyle: true })
await s3.send(new PutObjectCommand({ Bucket: bucket, Key: "js/one", Body: "one" }))
copyFileSync(fresh, process.env.AWS_WEB_IDENTITY_TOKEN_FILE)
// Four of the key's fifteen minutes are left: under five, the SDK renews it, in the background.
const { accessKeyId } = await s3.config.credentials()
const now = Date.now
Date.now = () => now() + 11 * 60_000
while ((await s3.config.credentials()).accessKeyId === accessKeyId) await new Promise(r => setImmediate(r))
await s3.send(new PutObjectCommand({ Bucket: bucket, Key: "js/two", Body: "two" }))
`), 0o600); err != nil {
			t.Fatal(err)
		}
		modules, err := harness.Tool("js/node_modules")
		if err != nil {
			t.Fatal(err)
		}
		first, second := f.tokenFile(t, "repo:one", "js"), f.tokenFile(t, "repo:two", "js")
		if out, err := harness.Run(withTimeout(t, time.Minute), f.env(first), "node", script, filepath.Dir(modules), harness.Bucket, second); err != nil {
			t.Fatalf("%s%v\n%s", out, err, f.Gateway.Tail())
		}
		f.twice(t, "js", "repo:one", "repo:two")
	})
}

func TestProviderRotatesItsKeys(t *testing.T) {
	f := newFederated(t)
	before := f.provider.Token(t, "repo:one", "acme")
	if status, body := f.exchange(t, before); status != http.StatusOK {
		t.Fatal(status, body)
	}
	f.provider.Rotate(t)
	after := f.provider.Token(t, "repo:one", "acme")
	// The gateway asks for an unknown key at most every 30 s.
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	if err := harness.Await(ctx, "the new key", f.Gateway.Process, func() bool {
		status, _ := f.exchange(t, after)
		return status == http.StatusOK
	}); err != nil {
		t.Fatal(err)
	}
	if status, body := f.exchange(t, before); status != http.StatusBadRequest || !strings.Contains(body, "InvalidIdentityToken") {
		t.Errorf("a token of the withdrawn key: %d %s", status, body)
	}
	// As a bearer too.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, f.Gateway.Endpoint+"/"+harness.Bucket+"/acme/x", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+after)
	resp, err := f.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("PutObject with the web identity token as a bearer: %s", resp.Status)
	}
}

// exchange is AssumeRoleWithWebIdentity without an SDK.
func (f *federated) exchange(t *testing.T, token string) (status int, body string) {
	t.Helper()
	resp, err := f.http.PostForm(f.Gateway.Endpoint+"/", url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {"arn:partway:iam:::role/ci"}, "RoleSessionName": {"e2e"}, "WebIdentityToken": {token}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
