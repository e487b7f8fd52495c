package e2e

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

// What was answered before kill -9 is there after it: records and events, and an upload goes on where it stood.
func TestKilledAndStartedAgain(t *testing.T) {
	for _, mongo := range []string{"", harness.SecantusDB} {
		name := mongo
		if name == "" {
			name = "embedded"
		}
		t.Run(name, func(t *testing.T) {
			s := ownStack(t, harness.Setup{Mongo: mongo})
			n := s.NewTenant(t)
			finish(t, n, n.Prefix+"done", create(t, n, n.Prefix+"done"))
			key := n.Prefix + "half"
			id := create(t, n, key)
			put := n.Do(t, n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id, "part"))

			s.Gateway.Kill()
			if err := s.StartGateway(t.Context()); err != nil {
				t.Fatal(err)
			}
			n.Tap.Retarget(s.Gateway.Addr())

			uploads, err := s.Gateway.Uploads(t.Context(), n.Name)
			if err != nil {
				t.Fatal(err)
			}
			if len(uploads) != 2 || uploads[0].ID != id || uploads[0].State != "open" || uploads[1].State != "completed" {
				t.Errorf("upload records after the restart: %+v", uploads)
			}
			if parts := events(t, n, "UploadPart"); len(parts) != 2 {
				t.Errorf("UploadPart events after the restart: %v", parts)
			}
			if a := complete(t, n, key, id, put.Header.Get("ETag")); a.StatusCode != http.StatusOK {
				t.Errorf("Complete after the restart: %s %s", a.Status, a.Text)
			}
		})
	}
}

func TestDemoKeepsItsDirectoryAndEndsItsStorage(t *testing.T) {
	s, err := harness.NewDemo(t.Context(), binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	n := s.NewTenant(t)
	path, content := file(t, 9*mib)
	n.Aws(t, "s3", "cp", "--only-show-errors", path, "s3://"+harness.Bucket+"/"+n.Prefix+"kept")
	storage := strings.TrimPrefix(s.Gateway.StorageEndpoint, "http://")

	s.Gateway.Kill() // a parent that cannot say goodbye
	err = harness.Await(withTimeout(t, 10*time.Second), "the storage child's end", nil, func() bool {
		c, err := net.Dial("tcp", storage)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if err != nil {
		t.Fatal(err)
	}
	again, err := harness.NewDemo(t.Context(), binary, s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	*s = *again
	n.Tap.Retarget(s.Gateway.Addr())
	back := filepath.Join(t.TempDir(), "back")
	n.Aws(t, "s3", "cp", "--only-show-errors", "s3://"+harness.Bucket+"/"+n.Prefix+"kept", back)
	sameFile(t, back, content)
}

// The demo's own tenant is ready to use.
func TestDemoTenantCopies(t *testing.T) {
	g := stacks[0].Gateway
	if g.Bucket != harness.Bucket || g.Tenant.Name != "acme" || g.Tenant.Prefix != "acme/" {
		t.Errorf("ready file: bucket %q, tenant %q, prefix %q", g.Bucket, g.Tenant.Name, g.Tenant.Prefix)
	}
	path, content := file(t, 9*mib)
	n := &harness.Tenant{Stack: stacks[0], Keys: g.Tenant.Keys, Name: "acme", Endpoint: g.Endpoint}
	object := "s3://" + harness.Bucket + "/acme/demo"
	n.Aws(t, "s3", "cp", "--only-show-errors", path, object)
	back := filepath.Join(t.TempDir(), "back")
	n.Aws(t, "s3", "cp", "--only-show-errors", object, back)
	sameFile(t, back, content)
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	s := ownStack(t, harness.Setup{})
	other := t.TempDir()
	elsewhere, err := os.ReadFile(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(s.Dir, "data")
	write := func(name, text string) string {
		path := filepath.Join(other, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	moved := write("moved.yaml", strings.ReplaceAll(string(elsewhere), data, filepath.Join(other, "data")))
	unknown := write("unknown.yaml", strings.ReplaceAll(string(elsewhere), "default: main", "defaults: main"))
	half := write("half.yaml", string(elsewhere)+"redis: {url: \"redis://127.0.0.1:1/0\"}\n")

	for _, c := range []struct {
		name string
		args []string
		exit int
		says []string
	}{
		{"second serve on one data_dir", []string{"--config", s.Config, "--listen", "127.0.0.1:0"}, 1, []string{data}},
		{"busy port", []string{"--config", moved, "--listen", s.Gateway.Addr()}, 1, []string{s.Gateway.Addr(), "in use"}},
		{"unknown key", []string{"--config", unknown, "--listen", "127.0.0.1:0"}, 2, []string{unknown + ":3", "defaults"}},
		{"redis without mongodb", []string{"--config", half, "--listen", "127.0.0.1:0"}, 2, []string{"mongodb", "redis"}},
		{"no such file", []string{"--config", filepath.Join(other, "none.yaml")}, 2, []string{"none.yaml"}},
		{"unknown flag", []string{"--nonsense"}, 2, []string{"nonsense"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "log")
			p, err := harness.Start(log, nil, binary, append([]string{"serve"}, c.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			select {
			case <-p.Done():
			case <-time.After(30 * time.Second):
				p.Kill()
				t.Fatal("still running")
			}
			if p.ExitCode() != c.exit {
				t.Errorf("exit %d, want %d", p.ExitCode(), c.exit)
			}
			for _, want := range c.says {
				if !strings.Contains(p.Tail(), want) {
					t.Errorf("does not say %q:\n%s", want, p.Tail())
				}
			}
		})
	}
}
