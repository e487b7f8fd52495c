//go:build servers

package proxy

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"partway/proxy/storage"
	"partway/tracking"
)

// startStorage starts an S3 server of .deps/bin and returns its backend, with a bucket "uploads".
func startStorage(t *testing.T, program string, args func(address, dir string) []string, env ...string) *storage.Backend {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command(filepath.Join(filepath.Dir(wd), ".deps", "bin", program), args(address, t.TempDir())...)
	cmd.Env = append(append(os.Environ(), "AWS_CA_BUNDLE="), env...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() { cmd.Process.Kill(); <-exited })
	b, err := storage.New(storage.Config{Name: "main", Endpoint: "http://" + address, Region: "us-east-1", PathStyle: true, Exclusive: true,
		Credentials: storage.Credentials{AccessKeyID: "storage-id", SecretAccessKey: benchStorageSecret}})
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(30 * time.Second)
	for b.CreateBucket(t.Context(), "uploads") != nil { // MinIO listens before it knows its users
		select {
		case <-exited:
			t.Fatalf("%s ended: %s", program, &log)
		case <-deadline:
			t.Fatalf("%s does not answer: %s", program, &log)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return b
}

// What a Create made whose answer was lost is found at real storage, by its exact key, and nothing else is; then an upload past its life ends there too.
func TestTheSweepAtRealStorage(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) *storage.Backend{
		"versitygw": func(t *testing.T) *storage.Backend {
			return startStorage(t, "versitygw", func(address, dir string) []string { return []string{"--port", address, "-q", "posix", dir} },
				"ROOT_ACCESS_KEY=storage-id", "ROOT_SECRET_KEY="+benchStorageSecret)
		},
		"minio": func(t *testing.T) *storage.Backend {
			return startStorage(t, "minio", func(address, dir string) []string { return []string{"server", "--quiet", "--address", address, dir} },
				"MINIO_ROOT_USER=storage-id", "MINIO_ROOT_PASSWORD="+benchStorageSecret, "MINIO_BROWSER=off")
		},
	} {
		t.Run(name, func(t *testing.T) {
			backend := start(t)
			b := newBench(t)
			real := b.besideWith(func(c *Config) { c.Backends = []*storage.Backend{backend} })
			live := real.started(key)
			neighbours := []string{real.started(key + "/x"), real.started(key + "x"), real.started("acme/big")}

			// A Create whose gateway ended when storage had made the upload.
			lost := &tracking.Upload{Record: "lost", Tenant: "acme", Bucket: "uploads", Key: key, Backend: "main", State: tracking.StateOpen,
				CreatedAt: b.now().UTC(), UpdatedAt: b.now().UTC(), ExpiresAt: b.now().Add(time.Hour).UTC()}
			if err := b.store.InsertUpload(t.Context(), lost); err != nil {
				t.Fatal(err)
			}
			before := held(t, backend, key)
			orphan, err := backend.Do(t.Context(), &storage.Call{Method: "POST", Bucket: "uploads", Key: key, Query: []storage.Param{{Name: "uploads"}}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			orphan.Body.Close()
			if before != 1 || held(t, backend, key) != 2 {
				t.Fatalf("storage lists %d uploads of the key, then %d", before, held(t, backend, key))
			}

			b.wait(intentAge + time.Second)
			real.tenant = b.tenant
			real.gateway.sweep(t.Context())
			b.wantEnds("AbortMultipartUpload intent ok")
			if n := held(t, backend, key); n != 1 || b.countIntents() != 0 {
				t.Errorf("storage lists %d uploads of the key, the store %d intents", n, b.countIntents())
			}
			real.want(real.complete(key, live, "hello"), 200, "")
			b.wait(b.gateway.MaxAge)
			real.gateway.sweep(t.Context())
			for i, id := range neighbours {
				b.wantState(id, tracking.StateAborted)
				if n := held(t, backend, []string{key + "/x", key + "x", "acme/big"}[i]); n != 0 {
					t.Errorf("storage lists %d uploads of neighbour %d", n, i)
				}
			}
			b.wantState(live, tracking.StateCompleted)
		})
	}
}

func held(t *testing.T, b *storage.Backend, key string) int {
	t.Helper()
	list, err := b.ListUploads(t.Context(), "uploads", key)
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}
