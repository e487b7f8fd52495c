package e2e

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

// cp runs `partway cp` as the tenant, which notes unfinished uploads in cache.
func cp(n *harness.Tenant, cache string) []string {
	return []string{"PARTWAY_ENDPOINT=" + n.Endpoint, "PARTWAY_TOKEN=" + n.Bearer, "PARTWAY_CA=" + n.Gateway.CA, "XDG_CACHE_HOME=" + cache}
}

func TestCp(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		env, root := cp(n, t.TempDir()), "s3://"+harness.Bucket+"/"+n.Prefix
		run := func(args ...string) {
			t.Helper()
			if out, err := harness.Run(t.Context(), env, n.Bin, append([]string{"cp"}, args...)...); err != nil {
				t.Fatalf("%v %s", err, out)
			}
		}
		for name, size := range map[string]int{"parts": 20*mib + 1, "one": 100, "none": 0, "exact": 16 * mib} {
			path, content := file(t, size)
			run(path, root+"a dir/"+name+"+ü")
			(&session{Tenant: n}).stored(t, "a dir/"+name+"+ü", content)
			back := filepath.Join(t.TempDir(), "back")
			run(root+"a dir/"+name+"+ü", back)
			sameFile(t, back, content)
		}
		path, content := file(t, 5000)
		run(path, root)
		(&session{Tenant: n}).stored(t, "file.bin", content)
		if out, err := harness.Run(t.Context(), env, n.Bin, "cp", root+"nothing", filepath.Join(t.TempDir(), "x")); err == nil || !strings.Contains(err.Error(), "NoSuchKey") {
			t.Errorf("%v %s", err, out)
		}
		if out, err := harness.Run(t.Context(), env, n.Bin, "cp", path, "s3://"+harness.Bucket+"/other/x"); err == nil || !strings.Contains(err.Error(), n.Prefix) {
			t.Errorf("a refusal that does not name the prefix: %v %s", err, out)
		}
	})
}

// An upload that was killed goes on where it stopped: what storage holds is not sent again, and a part that is another's is.
func TestCpGoesOn(t *testing.T) {
	s := ownStack(t, harness.Setup{})
	n := s.NewTenant(t)
	path, content := file(t, 96*mib)
	env, target := cp(n, t.TempDir()), "s3://"+harness.Bucket+"/"+n.Prefix+"one"
	p, err := harness.Start(filepath.Join(t.TempDir(), "log"), env, n.Bin, "cp", "--parallel", "1", path, target)
	if err != nil {
		t.Fatal(err)
	}
	if err := harness.Await(withTimeout(t, time.Minute), "half of it", nil, func() bool { return s.ToStorage.Up() > 20*mib }); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	if p.ExitCode() == 0 {
		t.Fatal("it was over before it could be killed")
	}
	before, crossed := s.ToStorage.Up(), n.Tap.Up()
	if out, err := harness.Run(t.Context(), env, n.Bin, "cp", path, target); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	(&session{Tenant: n}).stored(t, "one", content)
	if again := s.ToStorage.Up() - before; again > int64(len(content))-8*mib {
		t.Errorf("%d bytes were sent again", again)
	}
	if carried := n.Tap.Up() - crossed; carried*100 > int64(len(content)) {
		t.Errorf("%d bytes crossed the gateway", carried)
	}
	uploads, err := s.Gateway.Uploads(t.Context(), n.Name)
	if err != nil || len(uploads) != 1 {
		t.Errorf("%d uploads, %v: it did not go on with the first", len(uploads), err)
	}
}

// A token that does not allow signed requests still copies, through the gateway.
func TestCpByATokenForTheRelay(t *testing.T) {
	n := stacks[1].NewTenant(t, func(s *harness.Scope) { s.Transfer = []string{"relay"} })
	path, content := file(t, 20*mib)
	out, err := harness.Run(t.Context(), cp(n, t.TempDir()), n.Bin, "cp", path, "s3://"+harness.Bucket+"/"+n.Prefix+"one")
	if err != nil {
		t.Fatalf("%v %s", err, out)
	}
	(&session{Tenant: n}).stored(t, "one", content)
	if n.Tap.Up() < int64(len(content)) {
		t.Errorf("%d bytes crossed the gateway", n.Tap.Up())
	}
}

// Downloads go straight to storage where that has an identity for them.
func TestCpDownloadsDirectly(t *testing.T) {
	s := ownStack(t, harness.Setup{Backend: []string{"presign_get: {access_key_id: " + harness.StorageKey + ", secret_access_key: " + harness.StorageSecret + "}"}})
	n := s.NewTenant(t)
	path, content := file(t, 20*mib)
	env, target, back := cp(n, t.TempDir()), "s3://"+harness.Bucket+"/"+n.Prefix+"one", filepath.Join(t.TempDir(), "back")
	for _, args := range [][]string{{path, target}, {target, back}} {
		if out, err := harness.Run(t.Context(), env, n.Bin, append([]string{"cp"}, args...)...); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	sameFile(t, back, content)
	aws, err := harness.Tool("venv/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again")
	runExec(t, n, nil, aws, "s3", "cp", "--only-show-errors", target, again)
	sameFile(t, again, content)
	if down := n.Tap.Down(); down*100 > int64(len(content)) {
		t.Errorf("%d bytes came through the gateway", down)
	}
}

// A long upload outlives its token if somebody renews the file.
func TestExecOutlivesItsToken(t *testing.T) {
	s := stacks[1]
	n := s.NewTenant(t)
	_, content := file(t, 24*mib)
	scope := harness.Scope{Bucket: harness.Bucket, Prefix: n.Prefix, Actions: []string{"s3:*"}}
	token := filepath.Join(t.TempDir(), "token")
	short, err := s.Gateway.Issue(t.Context(), n.Name, "bearer", time.Second, scope)
	if err == nil {
		err = os.WriteFile(token, []byte(n.Bearer), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	aws, err := harness.Tool("venv/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	get := func(bearer, path string) string { // past the tap
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.Gateway.Endpoint+path, nil)
		if err != nil {
			return ""
		}
		req.Header.Set("Authorization", "Bearer "+bearer)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		var page bytes.Buffer
		if _, err := page.ReadFrom(resp.Body); err != nil {
			return ""
		}
		return page.String()
	}
	refusals := func() string {
		return regexp.MustCompile(`(?m)^partway_requests_total\{code="ExpiredToken".*$`).FindString(get(s.Gateway.Operator, "/_partway/metrics"))
	}
	// One that somebody else was given later has ended as well.
	later, err := s.Gateway.Issue(t.Context(), n.Name+"-later", "bearer", time.Second, scope)
	if err == nil {
		err = harness.Await(withTimeout(t, 10*time.Second), "the token's end", s.Gateway.Process, func() bool {
			return strings.Contains(get(later.Bearer, "/_partway/uploads"), "ExpiredToken")
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	before := refusals()
	// The token has ended after the first part, and is renewed once the gateway has refused it.
	fifo := newFifo(t, func(w *os.File) error {
		if _, err := w.Write(content[:10*mib]); err != nil {
			return err
		}
		if err := harness.Await(withTimeout(t, 60*time.Second), "the first part", nil, func() bool { return strings.Contains(eventsText(t, n), "UploadPart") }); err != nil {
			return err
		}
		if err := os.WriteFile(token, []byte(short.Bearer), 0o600); err != nil {
			return err
		}
		if _, err := w.Write(content[10*mib : 20*mib]); err != nil {
			return err
		}
		if err := harness.Await(withTimeout(t, 60*time.Second), "a refusal", nil, func() bool { now := refusals(); return now != "" && now != before }); err != nil {
			return err
		}
		if err := os.WriteFile(token, []byte(n.Bearer), 0o600); err != nil {
			return err
		}
		_, err := w.Write(content[20*mib:])
		return err
	})
	p, err := harness.Start(filepath.Join(t.TempDir(), "log"), []string{"PARTWAY_ENDPOINT=" + n.Endpoint, "PARTWAY_TOKEN_FILE=" + token},
		n.Bin, "exec", "--", "sh", "-c", "cat "+fifo+" | "+aws+" s3 cp --only-show-errors - s3://"+harness.Bucket+"/"+n.Prefix+"one")
	if err != nil {
		t.Fatal(err)
	}
	if p.ExitCode() != 0 {
		t.Fatal(p.Tail())
	}
	(&session{Tenant: n}).stored(t, "one", content)
	// Each retry is an answer to a token that proved nobody, and so has no event.
	retries := regexp.MustCompile(`(\d+) retries`).FindStringSubmatch(p.Tail())
	if retries == nil {
		t.Fatalf("nothing was tried again: %s", p.Tail())
	}
	var refused []string
	err = harness.Await(withTimeout(t, 10*time.Second), "the events of all but the refusals", nil, func() bool {
		events := eventsText(t, n)
		refused = slices.DeleteFunc(n.Tap.RequestIDs(), func(id string) bool { return strings.Contains(events, id) })
		return strconv.Itoa(len(refused)) == retries[1]
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range refused {
		n.Unauthenticated(id)
	}
}

// What storage refuses the child is told, in storage's words.
func TestExecTellsWhatStorageRefuses(t *testing.T) {
	n := stacks[1].NewTenant(t)
	script := filepath.Join(t.TempDir(), "script.py")
	text := `import boto3, botocore, sys
s3 = boto3.client('s3')
try:
    s3.put_object(Bucket=sys.argv[1], Key=sys.argv[2] + 'x', Body=b'hello', ContentMD5='AAAAAAAAAAAAAAAAAAAAAA==')
except botocore.exceptions.ClientError as e:
    print(e.response['Error']['Code'])
`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	python, err := harness.Tool("venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := runExec(t, n, nil, python, script, harness.Bucket, n.Prefix); !strings.Contains(out, "BadDigest") && !strings.Contains(out, "InvalidDigest") {
		t.Errorf("it was told %s", out)
	}
	head, err := n.Storage.ListObjectsV2(t.Context(), listOf(n.Prefix))
	if err != nil || len(head.Contents) != 0 {
		t.Errorf("storage holds %v, %v", head.Contents, err)
	}
	// The grant that came to nothing is in the trail.
	if events, err := n.Gateway.Events(t.Context(), n.Name); err != nil || len(events) == 0 {
		t.Errorf("%v, %v", events, err)
	}
}

// A child or an agent that is killed takes nothing with it and leaves nothing: the other ends, and so does its directory.
func TestExecKilled(t *testing.T) {
	n := stacks[1].NewTenant(t)
	aws, err := harness.Tool("venv/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	env := []string{"PARTWAY_ENDPOINT=" + n.Endpoint, "PARTWAY_TOKEN=" + n.Bearer, "AWS_MAX_ATTEMPTS=1", "TMPDIR=" + tmp, "N=" + tmp}
	command := aws + " s3 cp --only-show-errors - s3://" + harness.Bucket + "/" + n.Prefix + "one"
	begun := func() bool { return strings.Contains(eventsText(t, n), "granted") }
	t.Run("the child", func(t *testing.T) {
		fifo := newFifo(t, func(w *os.File) error { return writeUntilBroken(t.Context(), w) })
		p, err := harness.Start(filepath.Join(t.TempDir(), "log"), env, n.Bin, "exec", "--", "sh", "-c", "echo $$ > $N/pid; cat "+fifo+" | "+command+" & kill_me=$!; wait $kill_me; exit 5")
		if err != nil {
			t.Fatal(err)
		}
		if err := harness.Await(withTimeout(t, 30*time.Second), "a part", p, begun); err != nil {
			t.Fatal(err)
		}
		killChild(t, filepath.Join(tmp, "pid"))
		if got := p.ExitCode(); got != 137 {
			t.Errorf("status %d: %s", got, p.Tail())
		}
		if left, _ := filepath.Glob(filepath.Join(tmp, "partway-exec-*")); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
	t.Run("the agent", func(t *testing.T) {
		done := filepath.Join(tmp, "done")
		path, _ := file(t, 20*mib)
		p, err := harness.Start(filepath.Join(t.TempDir(), "log"), env, n.Bin, "exec", "--", "sh", "-c",
			"touch $N/started; while [ ! -e $N/go ]; do sleep 0.05; done; "+aws+" s3 cp --only-show-errors "+path+" s3://"+harness.Bucket+"/"+n.Prefix+"two; echo $? > $N/status; mv $N/status "+done)
		if err != nil {
			t.Fatal(err)
		}
		err = harness.Await(withTimeout(t, time.Minute), "the child", p, func() bool { _, err := os.Stat(filepath.Join(tmp, "started")); return err == nil })
		if err != nil {
			t.Fatal(err)
		}
		p.Kill()
		if err := os.WriteFile(filepath.Join(tmp, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		err = harness.Await(withTimeout(t, time.Minute), "the child's end", nil, func() bool { _, err := os.Stat(done); return err == nil })
		status, _ := os.ReadFile(done)
		if err != nil || bytes.Equal(bytes.TrimSpace(status), []byte("0")) {
			t.Errorf("the child ended with %s, %v", status, err)
		}
	})
}

// partway agent announces where it is, serves whoever reads that, and ends with a signal.
func TestAgent(t *testing.T) {
	n := stacks[1].NewTenant(t)
	path, content := file(t, 20*mib)
	variables := filepath.Join(t.TempDir(), "env")
	p, err := harness.Start(filepath.Join(t.TempDir(), "log"), []string{"PARTWAY_ENDPOINT=" + n.Endpoint, "PARTWAY_TOKEN=" + n.Bearer}, n.Bin, "agent", "--env-file", variables)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	var env []string
	err = harness.Await(withTimeout(t, 30*time.Second), "the variables", p, func() bool {
		text, err := os.ReadFile(variables)
		env = strings.Split(strings.TrimSpace(string(text)), "\n")
		return err == nil
	})
	if err != nil {
		t.Fatal(err)
	}
	aws, err := harness.Tool("venv/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := harness.Run(t.Context(), env, aws, "s3", "cp", "--only-show-errors", path, "s3://"+harness.Bucket+"/"+n.Prefix+"one"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	(&session{Tenant: n}).stored(t, "one", content)
	if info, err := os.Stat(variables); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := p.Stop(30 * time.Second); err != nil {
		t.Error(err)
	}
	if _, err := harness.Run(t.Context(), nil, n.Bin, "agent", "--listen", "0.0.0.0:0", "--endpoint", n.Endpoint, "--token", n.Bearer); err == nil {
		t.Error("it listens to everybody")
	}
}

func writeUntilBroken(ctx context.Context, w *os.File) error {
	block := make([]byte, mib)
	for ctx.Err() == nil {
		if _, err := w.Write(block); err != nil {
			return nil //nolint:nilerr // what the test waits for: its reader was killed
		}
	}
	return nil
}
