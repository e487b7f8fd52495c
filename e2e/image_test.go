package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"partway/e2e/harness"
)

// image is what is in an OCI archive, unpacked by buildah as a runtime would.
type image struct {
	Root   string // the container's own filesystem
	Config struct {
		User                 string
		Env, Entrypoint, Cmd []string
		ExposedPorts         map[string]struct{}
		Volumes              map[string]struct{}
	}
}

// theImage builds the image as `make image` does and unpacks it.
func theImage(t *testing.T) *image {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("building an image and giving it a filesystem of its own takes root")
	}
	work := t.TempDir()
	archive := filepath.Join(work, "image.tar")
	if out, err := exec.CommandContext(t.Context(), filepath.Join(harness.Root(), "deploy", "image.sh"), archive).CombinedOutput(); err != nil {
		t.Fatalf("deploy/image.sh: %v\n%s", err, out)
	}
	buildah := func(args ...string) string {
		t.Helper()
		store := []string{"--storage-driver", "vfs", "--root", filepath.Join(work, "root"), "--runroot", filepath.Join(work, "run")}
		out, err := exec.Command("buildah", append(store, args...)...).Output()
		if err != nil {
			t.Fatalf("buildah %s: %v %s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	container := buildah("from", "--quiet", "oci-archive:"+archive)
	i := &image{Root: buildah("mount", container)}
	t.Cleanup(func() { buildah("umount", container) })
	var inspected struct {
		OCIv1 struct{ Config json.RawMessage }
	}
	if err := json.Unmarshal([]byte(buildah("inspect", container)), &inspected); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(inspected.OCIv1.Config, &i.Config); err != nil {
		t.Fatal(err)
	}
	return i
}

// program is a command that runs the image's entrypoint with the arguments that it is given, as a runtime does that was told
// --read-only: the image's filesystem, user and environment, nothing that can be written but its volume, and dir, which is of this
// machine and has its name.
func (i *image) program(t *testing.T, dir string) string {
	t.Helper()
	volume := filepath.Join(dir, "volume")
	for _, d := range []string{volume, filepath.Join(i.Root, dir)} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := filepath.Join(t.TempDir(), "run")
	text := fmt.Sprintf(`#!/bin/sh
set -e
chown -R %[1]s %[3]s
exec unshare --mount --propagation private sh -ec '
  mount --bind %[2]s %[2]s
  mount --bind %[3]s %[2]s%[3]s
  mount --bind %[4]s %[2]s/data
  mount -o remount,bind,ro %[2]s
  cd / && exec env -i %[5]s chroot --userspec=%[1]s %[2]s %[6]s "$@"' sh "$@"
`, i.Config.User, i.Root, dir, volume, strings.Join(i.Config.Env, " "), strings.Join(i.Config.Entrypoint, " "))
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return script
}

// The image holds the program and nothing to help who breaks into it; and the program asks for no more than that, as a user who is
// nobody and cannot write but to its volume.
func TestTheImageServesReadOnlyAndAsNobody(t *testing.T) {
	i := theImage(t)
	if c := i.Config; c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/partway"}) || !slices.Equal(c.Cmd, []string{"serve", "--config", "/etc/partway/config.yaml"}) ||
		len(c.ExposedPorts) != 1 || len(c.Volumes) != 1 {
		t.Errorf("the image's configuration: %+v", c)
	}
	var files []string
	var size int64
	err := filepath.Walk(i.Root, func(path string, f os.FileInfo, err error) error {
		if err == nil && !f.IsDir() {
			files = append(files, strings.TrimPrefix(path, i.Root))
			size += f.Size()
		}
		if err == nil && f.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 {
			t.Errorf("%s is setuid", path)
		}
		return err
	})
	want := []string{"/etc/ssl/certs/ca-certificates.crt", "/licences/LICENSE", "/licences/THIRD-PARTY-LICENCES.txt", "/licences/partway.cdx.json", "/partway"}
	if err != nil || !slices.Equal(files, want) {
		t.Errorf("the image holds %v, want %v (%v)", files, want, err)
	}
	if size > 64*mib {
		t.Errorf("the image has %d MiB", size/mib)
	}

	dir := t.TempDir()
	s, err := harness.NewServe(t.Context(), i.program(t, dir), dir, harness.Setup{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	status := procFile(t, s.Gateway.PID(), "status")
	for _, line := range []string{`Uid:\s+65532\s+65532\s+65532\s+65532`, `Gid:\s+65532\s+65532\s+65532\s+65532`, `Groups:\s*(65532)?\s*`, `CapEff:\s+0+`, `CapPrm:\s+0+`} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(status) {
			t.Errorf("the process is not %s:\n%s", line, status)
		}
	}
	if mounts := procFile(t, s.Gateway.PID(), "mounts"); !regexp.MustCompile(`(?m)^\S+ / \S+ ro\b`).MatchString(mounts) {
		t.Errorf("its root can be written:\n%s", mounts)
	}
	n := s.NewTenant(t)
	name, content := file(t, 20*mib)
	n.Aws(t, "s3", "cp", "--no-progress", name, "s3://"+harness.Bucket+"/"+n.Prefix+"file.bin")
	back := filepath.Join(t.TempDir(), "back.bin")
	n.Aws(t, "s3", "cp", "--no-progress", "s3://"+harness.Bucket+"/"+n.Prefix+"file.bin", back)
	sameFile(t, back, content)
	if _, err := os.Stat(filepath.Join(dir, "volume", "keys")); err != nil {
		t.Errorf("its keys are not in the volume: %v", err)
	}
}

func procFile(t *testing.T, pid int, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
