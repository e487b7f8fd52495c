package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

// partway runs a command as the operator of a gateway.
func partway(t *testing.T, s *harness.Stack, args ...string) string {
	t.Helper()
	out, err := harness.Run(t.Context(), operatorEnv(s), s.Bin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func operatorEnv(s *harness.Stack) []string {
	return []string{"PARTWAY_ENDPOINT=" + s.Gateway.Endpoint, "PARTWAY_TOKEN=" + s.Gateway.Operator}
}

// listWith lists the tenant's prefix with a pair of keys.
func listWith(t *testing.T, n *harness.Tenant, keys harness.Keys) harness.Answer {
	t.Helper()
	r := n.Request(t, http.MethodGet, "/"+harness.Bucket+"?list-type=2&prefix="+n.Prefix, "")
	harness.Sign(t, r, keys, time.Now())
	return n.Do(t, r)
}

// awaitRefusal asks until a pair of keys is refused: within seconds, says the README.
func awaitRefusal(t *testing.T, n *harness.Tenant, keys harness.Keys) (a harness.Answer) {
	t.Helper()
	err := harness.Await(withTimeout(t, 5*time.Second), "the token's end", nil, func() bool {
		a = listWith(t, n, keys)
		return a.StatusCode != http.StatusOK
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestIssuedKeysInTheFormsThatAwsCliTakes(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		issue := []string{"token", "issue", "--tenant", n.Name, "--bucket", harness.Bucket, "--prefix", n.Prefix, "--ttl", "12h",
			"--actions", "PutObject,GetObject,ListBucket,AbortMultipartUpload,ListMultipartUploadParts"}
		path, content := file(t, 9*mib)
		object := "s3://" + harness.Bucket + "/" + n.Prefix + "issued"
		aws, err := harness.Tool("venv/bin/aws")
		if err != nil {
			t.Fatal(err)
		}
		run := func(env []string, command ...string) {
			t.Helper()
			if out, err := harness.Run(t.Context(), env, command[0], command[1:]...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		}
		blank := []string{"AWS_CONFIG_FILE=" + n.AwsConfig(), "AWS_SHARED_CREDENTIALS_FILE=" + n.AwsConfig() + ".credentials",
			"AWS_EC2_METADATA_DISABLED=true", "AWS_REGION=us-east-1"}

		// The export lines, as a shell takes them. They name the gateway; here its tap stands before it.
		exports := partway(t, n.Stack, append(issue, "--format", "env")...)
		run(blank, "bash", "-euc", exports+"export AWS_ENDPOINT_URL_S3="+n.Endpoint+"\n"+aws+" s3 cp --only-show-errors "+path+" "+object)

		// credential-process, as the AWS configuration names it.
		config := "[default]\ncredential_process = " + n.Bin + " " + strings.Join(issue, " ") + " --format credential-process\n"
		if err := os.WriteFile(n.AwsConfig(), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		back := filepath.Join(t.TempDir(), "back")
		run(append(append(blank, operatorEnv(n.Stack)...), "AWS_ENDPOINT_URL_S3="+n.Endpoint), aws, "s3", "cp", "--only-show-errors", object, back)
		sameFile(t, back, content)
	})
}

func TestTokensAreListedAndRevoked(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		scope := harness.Scope{Bucket: harness.Bucket, Prefix: n.Prefix, Actions: []string{"s3:*"}}
		token, err := n.Gateway.Issue(t.Context(), n.Name, "key", time.Hour, scope)
		if err != nil {
			t.Fatal(err)
		}
		if list := partway(t, n.Stack, "token", "list", "--tenant", n.Name); strings.Count(list, n.Name) < 3 || !strings.Contains(list, token.ID) {
			t.Errorf("token list, with %s among three:\n%s", token.ID, list)
		}
		partway(t, n.Stack, "token", "revoke", token.ID)
		refused(t, n, awaitRefusal(t, n, token.Keys), 400, "InvalidToken", false)
		if a := listWith(t, n, n.Keys); a.StatusCode != http.StatusOK {
			t.Errorf("the tenant's other key ended too: %s %s", a.Status, a.Text)
		}

		partway(t, n.Stack, "token", "revoke", "--tenant", n.Name)
		refused(t, n, awaitRefusal(t, n, n.Keys), 400, "InvalidToken", false)
		refused(t, n, n.Do(t, n.Request(t, http.MethodGet, "/"+harness.Bucket+"?list-type=2&prefix="+n.Prefix, "")), 400, "InvalidToken", false)
	})
}

// A token made --offline has no record; it ends with its tenant.
func TestOfflineTokenEndsWithItsTenant(t *testing.T) {
	s := ownStack(t, harness.Setup{})
	if list := partway(t, s, "token", "list"); strings.Contains(list, "operator") {
		t.Errorf("token list shows what was made offline:\n%s", list)
	}
	partway(t, s, "token", "revoke", "--tenant", "operator")
	err := harness.Await(withTimeout(t, 5*time.Second), "the operator's end", s.Gateway.Process, func() bool {
		_, err := harness.Run(t.Context(), operatorEnv(s), s.Bin, "token", "list")
		return err != nil && strings.Contains(err.Error(), "InvalidToken")
	})
	if err != nil {
		t.Error(err)
	}
}

func TestATenantSeesItsOwnRecordsAndNobodysTokens(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		other := n.NewTenant(t)
		key := other.Prefix + "theirs"
		id := create(t, other, key)
		finish(t, other, key, id)
		mine := n.Prefix + "mine"
		finish(t, n, mine, create(t, n, mine))
		for _, c := range []struct {
			name, method, path string
			status             int
			code               string
		}{
			{"uploads", "GET", "uploads", 200, ""},
			{"events", "GET", "events", 200, ""},
			{"events of another's upload", "GET", "events?upload_id=" + id, 200, ""},
			{"another's uploads", "GET", "uploads?tenant=" + other.Name, 403, "AccessDenied"},
			{"another's events", "GET", "events?tenant=" + other.Name, 403, "AccessDenied"},
			{"another's upload", "GET", "uploads/" + id, 404, "NoSuchUpload"},
			{"tokens", "GET", "tokens", 403, "AccessDenied"},
			{"new token", "POST", "tokens", 403, "AccessDenied"},
			{"revocation of a token", "POST", "tokens/x/revoke", 403, "AccessDenied"},
			{"revocation of a tenant", "POST", "tenants/" + other.Name + "/revoke", 403, "AccessDenied"},
			{"metrics", "GET", "metrics", 403, "AccessDenied"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := n.Do(t, n.Request(t, c.method, "/_partway/"+c.path, ""))
				if a.StatusCode != c.status || a.Code != c.code {
					t.Errorf("%s %s", a.Status, a.Text)
				}
				if strings.Contains(a.Text, other.Prefix) || strings.Contains(a.Text, id) {
					t.Errorf("shows the other tenant:\n%s", a.Text)
				}
			})
		}
	})
}

// Issuer and audience are in every token, and a gateway takes its own alone.
func TestTokensForAnotherAudienceAreRefused(t *testing.T) {
	s := ownStack(t, harness.Setup{})
	n := s.NewTenant(t)
	config, err := os.ReadFile(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"auth: {issuer: somebody}", "auth: {audience: somebody}"} {
		other := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(other, append(config, line+"\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		bearer := partway(t, s, "token", "issue", "--offline", "--operator", "--config", other, "--format", "bearer")
		r := n.Request(t, http.MethodGet, "/"+harness.Bucket+"?list-type=2", "")
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(bearer))
		refused(t, n, n.Do(t, r), 403, "InvalidAccessKeyId", false)
	}
}

// Keys are replaced by adding the new one as active and keeping the old: what was made under the old goes on.
func TestKeysAreReplacedWithoutLoss(t *testing.T) {
	s := ownStack(t, harness.Setup{Mongo: harness.MongoJavaServer})
	n := s.NewTenant(t)
	key := n.Prefix + "across"
	id := create(t, n, key)
	if err := s.Gateway.Stop(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	signing, err := harness.SigningKey(s.Dir, "two")
	if err != nil {
		t.Fatal(err)
	}
	replaced := strings.NewReplacer(", active: true}]\n  master_keys: [", "}, {kid: two, file: "+signing+", active: true}]\n  master_keys: [",
		"\", active: true}]\n", "\"}, {version: 2, secret: \""+harness.MasterKey()+"\", active: true}]\n").Replace(string(config))
	if strings.Count(replaced, "{kid: two,") != 1 || strings.Count(replaced, "{version: 2,") != 1 {
		t.Fatalf("config:\n%s", replaced)
	}
	if err := os.WriteFile(s.Config, []byte(replaced), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.StartGateway(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.Tap.Retarget(s.Gateway.Addr())
	if a := listWith(t, n, n.Keys); a.StatusCode != http.StatusOK {
		t.Errorf("a key of before: %s %s", a.Status, a.Text)
	}
	finish(t, n, key, id)
	finish(t, n, n.Prefix+"after", create(t, n, n.Prefix+"after"))
}
