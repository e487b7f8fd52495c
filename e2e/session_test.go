package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"partway/e2e/harness"
)

// The demo promises that what it prints can be pasted. It is, as printed, into a shell that knows nothing of the demo but that
// text, and that stops at the first command that fails.
func TestTheDemosSessionRunsAsPrinted(t *testing.T) {
	for _, c := range []struct {
		name, calls string
		demo        []string
		exit        string
	}{
		{"the binary", binary, []string{binary, "demo"}, ""},
		{"go run", "go run ./cmd/partway", []string{"go", "run", "./cmd/partway", "demo"}, "exit status 1"}, // go's own, when interrupted
	} {
		t.Run(c.name, func(t *testing.T) {
			tmp := t.TempDir()
			printed, stop := startDemo(t, tmp, c.demo)
			_, session, ok := strings.Cut(printed, "Paste what follows into another shell")
			_, session, _ = strings.Cut(session, "\n")
			if !ok || !strings.Contains(session, "\n"+c.calls+" audit --upload-id") {
				t.Fatalf("no session that calls %s:\n%s", c.calls, printed)
			}
			said := paste(t, session)
			for _, line := range []string{
				`.*upload: .*/big\.bin to s3://uploads/acme/big\.bin`,
				`\S+ \S+ +104857600 big\.bin`,
				`.*download: s3://uploads/acme/big\.bin to .*`,
				`same`,
				`HTTP/1\.1 307 .*`,
				`x-partway-transfer: redirect;reason=client-asked`,
				`HTTP/1\.1 200 OK`,
				`\S+ +acme +CreateMultipartUpload +uploads +acme/curl\.bin +- +- +none +- +ok +200 +.*`,
				`\S+ +acme +UploadPart +uploads +acme/curl\.bin +1 +6291456 +redirect +client-asked +granted +307 +.*`,
				`\S+ +acme +CompleteMultipartUpload +uploads +acme/curl\.bin .* ok +200 +.*`,
				`\S+ +completed +acme +uploads +acme/big\.bin .*`,
				`\{"items":\[\{.*"operation":"UploadPart".*`,
				`\S+ +acme +UploadPart +uploads +acme/big\.bin +13 +4194304 +relay +default +ok +200 +.*`,
				`\S+ +\S+ +- +bearer +operator .*`,
			} {
				if !regexp.MustCompile(`(?mi)^` + line + `\r?$`).MatchString(said) {
					t.Errorf("the session does not say %s", line)
				}
			}
			if t.Failed() {
				t.Logf("said:\n%s", said)
			}
			if exit := stop(); exit != c.exit {
				t.Errorf("after Ctrl-C: %q, want %q", exit, c.exit)
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("the demo leaves %v behind (%v)", left, err)
			}
		})
	}
}

// startDemo runs the demo with its temporary files in tmp and returns what it prints. stop is Ctrl-C in its terminal: a signal to
// everything that it started. exit is "" for exit status 0.
func startDemo(t *testing.T, tmp string, command []string) (printed string, stop func() (exit string)) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "demo.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir, cmd.Env = harness.Root(), append(os.Environ(), "TMPDIR="+tmp, "GOTMPDIR="+t.TempDir())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	t.Cleanup(cancel)
	read := func() string {
		b, err := os.ReadFile(log.Name())
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	err = harness.Await(withTimeout(t, 3*time.Minute), "the demo's session", nil, func() bool {
		return strings.Contains(read(), " token list\n") || len(done) > 0
	})
	if err != nil || len(done) > 0 {
		t.Fatalf("%v\n%s", err, read())
	}
	return read(), func() string {
		t.Helper()
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if err != nil {
				return err.Error()
			}
			return ""
		case <-time.After(30 * time.Second):
			return "still there\n" + read()
		}
	}
}

// paste feeds text to a shell as a terminal would, in the root of the repository and with an environment in which only the tools
// can be found.
func paste(t *testing.T, text string) string {
	t.Helper()
	aws, err := harness.Tool("venv/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(withTimeout(t, 2*time.Minute), "bash", "-eu", "-o", "pipefail")
	cmd.Dir, cmd.Stdin = harness.Root(), strings.NewReader(text)
	// Go's caches stay where they are, for the session may say `go run`.
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOFLAGS"} {
		value, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(value)))
	}
	tmp := t.TempDir()
	cmd.Env = append(cmd.Env, "HOME="+t.TempDir(), "GORACE=atexit_sleep_ms=0 exitcode=66", "TMPDIR="+tmp, "PATH="+filepath.Dir(aws)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the session fails: %v\n%s", err, out)
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("the session leaves %v behind (%v)", left, err)
	}
	return string(out)
}
