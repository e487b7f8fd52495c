//go:build servers

package doctor

import (
	"bytes"
	"context"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"partway/proxy/storage"
)

// start runs a server of .deps/bin on a free port until the test ends, and returns its endpoint, with a bucket "uploads".
func start(t *testing.T, name string, arguments func(address string) []string, environment ...string) (endpoint string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	program, err := filepath.Abs(filepath.Join("..", "..", "..", ".deps", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, arguments(address)...)
	cmd.Env = append(os.Environ(), append(environment, "AWS_CA_BUNDLE=")...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: `make deps` installs it", err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-exited })

	b, err := storage.New(storage.Config{Name: "main", Endpoint: "http://" + address, Region: "us-east-1", PathStyle: true,
		Credentials: storage.Credentials{AccessKeyID: "ROOT-ID", SecretAccessKey: "root-secret"}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for again := time.NewTicker(20 * time.Millisecond); b.CreateBucket(ctx, "uploads") != nil; {
		select {
		case <-exited:
			t.Fatalf("%s ended: %s", name, &log)
		case <-ctx.Done():
			t.Fatalf("%s does not answer: %s", name, &log)
		case <-again.C:
		}
	}
	return "http://" + address
}

func startMinIO(t *testing.T) string {
	t.Helper()
	return startMinIOWith(t)
}

func startMinIOWith(t *testing.T, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	return start(t, "minio", func(address string) []string { return []string{"server", "--quiet", "--address", address, dir} },
		append(env, "MINIO_ROOT_USER=ROOT-ID", "MINIO_ROOT_PASSWORD=root-secret", "MINIO_BROWSER=off")...)
}

func startVersitygw(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	return start(t, "versitygw", func(address string) []string { return []string{"--port", address, "-q", "posix", dir} },
		"ROOT_ACCESS_KEY=ROOT-ID", "ROOT_SECRET_KEY=root-secret")
}

// What real servers do, and that a role closes what it must.
func TestServers(t *testing.T) {
	alone := func(s *Storage, c *storage.Config) { s.OwnPutIdentity, c.PresignPut = false, nil }
	role := func(s *Storage, c *storage.Config) {
		s.Role = true
		c.PresignPut, c.PutRole = &c.Credentials, &storage.Role{ARN: "arn:aws:iam::1:role/put"}
	}
	const outside = "upload outside the tenant's prefix"
	for _, c := range []struct {
		name   string
		start  func(*testing.T) string
		change func(*Storage, *storage.Config)
		want   map[string]Status // beside OK
	}{
		{"MinIO, one identity", startMinIO, alone, map[string]Status{"put identity only puts": Warn, copyPart: Fail, copyObject: Fail, "unsigned x-amz-tagging": Warn}},
		{"MinIO, a role", startMinIO, role, map[string]Status{outside: OK, "unsigned x-amz-tagging": Warn}},
		{"versitygw, one identity", startVersitygw, alone, map[string]Status{"put identity only puts": Warn}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := examine(t, c.start(t), c.change)
			want := map[string]Status{}
			for _, name := range all {
				want[name] = OK
			}
			maps.Copy(want, c.want)
			if !maps.Equal(got.status, want) {
				t.Errorf("said\n%s\nwant %v", table(got.checks), want)
			}
		})
	}
}

// MinIO lets every page send until it is told otherwise, and then all buckets at once: a rule of the bucket would be no way out.
func TestPagesAtMinIONeedItsOwnList(t *testing.T) {
	const listed, other = "https://app.example.com", "https://other.example.com"
	got := examine(t, startMinIOWith(t, "MINIO_API_CORS_ALLOW_ORIGIN="+listed), func(s *Storage, c *storage.Config) {
		s.OwnPutIdentity, c.PresignPut = false, nil
		s.Origins, s.Fix = []string{listed, other}, true
	})
	for _, c := range got.checks {
		switch c.Name {
		case "pages of " + listed:
			if c.Status != OK {
				t.Errorf("%+v", c)
			}
		case "pages of " + other:
			if c.Status != Fail || !strings.Contains(c.Do, "MINIO_API_CORS_ALLOW_ORIGIN") || strings.Contains(c.Do, "AllowedOrigins") {
				t.Errorf("%+v", c)
			}
		}
	}
}

func TestPagesNeedARuleOfTheBucket(t *testing.T) {
	endpoint := startVersitygw(t)
	const origin, other = "https://app.example.com", "https://other.example.com"
	run := func(fix bool, origins ...string) map[string]Status {
		t.Helper()
		got := examine(t, endpoint, func(s *Storage, c *storage.Config) {
			s.OwnPutIdentity, c.PresignPut = false, nil
			s.Origins, s.Fix = origins, fix
		})
		pages := map[string]Status{}
		for _, c := range got.checks {
			if after, ok := strings.CutPrefix(c.Name, "pages of "); ok {
				pages[after] = c.Status
				if c.Status == Fail && !strings.Contains(c.Do, `"AllowedOrigins":["`+origins[0]+`"`) {
					t.Errorf("no rule is shown: %+v", c)
				}
			}
		}
		return pages
	}
	for _, step := range []struct {
		what string
		got  map[string]Status
		want map[string]Status
	}{
		{"no page", run(false), map[string]Status{}},
		{"no rule", run(false, origin), map[string]Status{origin: Fail}},
		{"--fix", run(true, origin), map[string]Status{origin: OK}},
		{"the rule stays", run(false, origin), map[string]Status{origin: OK}},
		{"a rule that is somebody's is not replaced", run(true, other), map[string]Status{other: Fail}},
		{"and still holds", run(false, origin), map[string]Status{origin: OK}},
	} {
		if !maps.Equal(step.got, step.want) {
			t.Errorf("%s: %v, want %v", step.what, step.got, step.want)
		}
	}
}
