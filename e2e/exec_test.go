package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

var execNames = []string{"aws-cli", "boto3", "rclone", "s3cmd", "mc", "Go SDK v2", "JavaScript SDK v3"}

// execs are stock tools, none of them configured, under `partway exec`. ROOT is the bucket and the tenant's prefix, FILE what they upload as "one".
func execs(t *testing.T, n *harness.Tenant, file string) []struct {
	command []string
	env     []string
} {
	tool := func(path string) string {
		bin, err := harness.Tool(path)
		if err != nil {
			t.Fatal(err)
		}
		return bin
	}
	root := harness.Bucket + "/" + n.Prefix
	python := filepath.Join(t.TempDir(), "upload.py")
	if err := os.WriteFile(python, []byte("import boto3, sys\nboto3.client('s3').upload_file(sys.argv[3], sys.argv[1], sys.argv[2] + 'one')\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	return []struct {
		command []string
		env     []string
	}{
		{[]string{tool("venv/bin/aws"), "s3", "cp", "--only-show-errors", file, "s3://" + root + "one"}, nil},
		{[]string{tool("venv/bin/python"), python, harness.Bucket, n.Prefix, file}, nil},
		{[]string{installed(t, "rclone"), "copyto", "--s3-chunk-size", "8Mi", "--s3-upload-cutoff", "8Mi", file, "partway:" + root + "one"}, []string{"RCLONE_CONFIG=" + none}},
		{[]string{installed(t, "s3cmd"), "put", "--no-progress", file, "s3://" + root + "one"}, nil},
		{[]string{tool("bin/mc"), "--config-dir", t.TempDir(), "--quiet", "cp", file, "partway/" + root + "one"}, nil},
		{[]string{filepath.Join(goPrograms(t), "sdkv2"), harness.Bucket, n.Prefix, file}, nil},
		{[]string{installed(t, "node"), script("js/v3.js"), harness.Bucket, n.Prefix, file}, []string{"NODE_PATH=" + tool("clients-js/node_modules")}},
	}
}

// Every stock tool uploads straight to storage with one word in front: less than one part in a hundred of what is stored crosses the gateway, and the
// object is the file.
func TestExec(t *testing.T) {
	s := stacks[1]
	path, content := file(t, 32*mib)
	shorter, less := file(t, 12*mib) // for programs that send it several times
	for i := range execNames {
		t.Run(execNames[i], func(t *testing.T) {
			n, content, key := s.NewTenant(t), content, "one"
			c := execs(t, n, path)[i]
			if strings.Contains(execNames[i], "SDK") {
				content, key = less, "managed"
				c = execs(t, n, shorter)[i]
			}
			before := s.ToStorage.Up()
			_, summary := runExec(t, n, c.env, c.command...)
			session := &session{Tenant: n}
			session.stored(t, key, content)
			carried, stored := n.Tap.Up(), s.ToStorage.Up()-before
			if carried*100 > stored || stored < int64(len(content)) {
				t.Errorf("%d bytes crossed the gateway, %d went to storage", carried, stored)
			}
			t.Logf("%d bytes to the gateway (%.2f %%), %d to storage; %s", carried, 100*float64(carried)/float64(stored), stored, summary)
		})
	}
	t.Run("restic", func(t *testing.T) {
		n := s.NewTenant(t)
		env := []string{"RESTIC_PASSWORD=open sesame", "RESTIC_REPOSITORY=s3:" + n.Endpoint + "/" + harness.Bucket + "/" + n.Prefix + "restic", "RESTIC_CACHE_DIR=" + t.TempDir()}
		before := s.ToStorage.Up()
		restic := installed(t, "restic")
		runExec(t, n, env, "sh", "-c", restic+" init && "+restic+" backup "+path+" && "+restic+" check")
		carried, stored := n.Tap.Up(), s.ToStorage.Up()-before
		if carried*100 > stored || stored < int64(len(content)) {
			t.Errorf("%d bytes crossed the gateway, %d went to storage", carried, stored)
		}
		restored := t.TempDir()
		runExec(t, n, env, restic, "restore", "latest", "--target", restored)
		sameFile(t, filepath.Join(restored, path), content)
	})
}

// runExec runs a command under `partway exec` as the tenant. It must end well.
func runExec(t *testing.T, n *harness.Tenant, env []string, command ...string) (stdout, summary string) {
	t.Helper()
	env = append([]string{"PARTWAY_ENDPOINT=" + n.Endpoint, "PARTWAY_TOKEN=" + n.Bearer, "PARTWAY_CA=" + n.Gateway.CA,
		"AWS_CONFIG_FILE=" + n.AwsConfig(), "AWS_SHARED_CREDENTIALS_FILE=" + n.AwsConfig() + ".credentials"}, env...)
	log := filepath.Join(t.TempDir(), "log")
	p, err := harness.Start(log, env, n.Bin, append([]string{"exec", "--"}, command...)...)
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	out, err := os.ReadFile(log)
	if err != nil || p.ExitCode() != 0 {
		t.Fatalf("status %d, %v\n%s", p.ExitCode(), err, out)
	}
	summary = regexp.MustCompile(`partway: .*`).FindString(string(out))
	if summary == "" {
		t.Errorf("no summary: %s", out)
	}
	return string(out), summary
}

// The child's status is ours; its signals are passed on; what it must not know it does not.
func TestExecIsTransparent(t *testing.T) {
	n := stacks[1].NewTenant(t)
	env := []string{"PARTWAY_ENDPOINT=" + n.Endpoint, "PARTWAY_TOKEN=" + n.Bearer, "AWS_PROFILE=other", "AWS_SESSION_TOKEN=other"}
	for _, tt := range []struct {
		name, script string
		status       int
	}{
		{"a status", "exit 7", 7},
		{"a signal", "kill -TERM $$", 143},
		{"a signal that is passed on", "trap 'exit 9' TERM; kill -TERM $PPID; while :; do sleep 0.1; done", 9},
		{"the token is not told", `test -z "$PARTWAY_TOKEN$AWS_PROFILE$AWS_SESSION_TOKEN" && test -n "$AWS_ACCESS_KEY_ID"`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := harness.Start(filepath.Join(t.TempDir(), "log"), env, n.Bin, "exec", "--", "sh", "-c", tt.script)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.ExitCode(); got != tt.status {
				t.Errorf("status %d, want %d: %s", got, tt.status, p.Tail())
			}
		})
	}
	if _, err := harness.Run(t.Context(), env, n.Bin, "exec", "--", "/no/such/program"); err == nil {
		t.Error("a program that is not there ended well")
	}
}

// The gateway restarts in the middle of an upload; the tool notices nothing.
func TestExecOutlivesTheGateway(t *testing.T) {
	s := ownStack(t, harness.Setup{})
	n := s.NewTenant(t)
	_, content := file(t, 40*mib)
	// Half of it, then a new gateway, then the rest.
	fifo := newFifo(t, func(w *os.File) error {
		if _, err := w.Write(content[:20*mib]); err != nil {
			return err
		}
		if err := s.Gateway.Stop(40 * time.Second); err != nil {
			return err
		}
		if err := s.StartGateway(t.Context()); err != nil {
			return err
		}
		n.Tap.Retarget(s.Gateway.Addr())
		_, err := w.Write(content[20*mib:])
		return err
	})
	aws, err := harness.Tool("venv/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	runExec(t, n, nil, "sh", "-c", fmt.Sprintf("cat %s | %s s3 cp --only-show-errors - s3://%s/%sone", fifo, aws, harness.Bucket, n.Prefix))
	(&session{Tenant: n}).stored(t, "one", content)
}
