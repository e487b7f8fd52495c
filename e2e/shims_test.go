package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

// shim is a client with the shim of clients/ that lets it follow redirects.
type shim struct {
	name    string
	command []string // WORK BUCKET KEYS FILE follow
	env     func(*shimRun) []string
	skips   int             // bytes of the file that its PutObject leaves out at the front
	works   map[string]bool // of clients/shims/shim.py
	same    bool            // as the one before it in what it stands on: not everything is tried again
}

// shimRun is what a client is told beside its work.
type shimRun struct {
	dir     string   // its own
	env     []string // for AWS tools
	storage string   // origins that bodies may be sent to; "" for the shim's default
	ca      string   // that it trusts; ""
}

// outcome of one key.
type outcome struct{ Key, ETag, Error string }

func shims(t *testing.T) []shim {
	t.Helper()
	python, aws, modules := dep(t, "venv/bin/python"), dep(t, "venv/bin/aws"), dep(t, "clients-js/node_modules")
	source := filepath.Join(harness.Root(), "clients", "python")
	bundle := func(r *shimRun) []string {
		env := []string{"PYTHONPATH=" + source, "PYTHONDONTWRITEBYTECODE=1"}
		if r.storage != "" {
			env = append(env, "SHIM_STORAGE="+r.storage, "PARTWAY_STORAGE="+r.storage)
		}
		if r.ca != "" {
			env = append(env, "AWS_CA_BUNDLE="+r.ca, "SSL_CERT_FILE="+r.ca, "NODE_EXTRA_CA_CERTS="+r.ca)
		}
		return env
	}
	// The Go SDK refuses a configured bundle over http.
	without := func(env []string, name string) (kept []string) {
		for _, kv := range env {
			if !strings.HasPrefix(kv, name+"=") {
				kept = append(kept, kv)
			}
		}
		return kept
	}
	plugin := func(lines string) func(*shimRun) []string {
		return func(r *shimRun) []string {
			config := filepath.Join(r.dir, "config")
			text := "[plugins]\n" + lines + "partway = partway\n[default]\ns3 =\n  addressing_style = path\n"
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return append(without(bundle(r), "PYTHONPATH"), "AWS_CONFIG_FILE="+config)
		}
	}
	every := map[string]bool{"managed": true, "put": true, "parts": true, "pipe": true}
	cp := map[string]bool{"managed": true} // it is boto3 below
	all := []shim{
		{"boto3", []string{python, script("shims/shim.py")}, bundle, 1000, every, false},
		{"aws-cli v1", []string{"bash", script("shims/aws.sh"), aws}, func(r *shimRun) []string {
			return append(plugin("")(r), "PYTHONPATH="+source)
		}, 0, cp, true},
		{"Go SDK v2", []string{filepath.Join(goPrograms(t), "shim")}, func(r *shimRun) []string { return without(bundle(r), "AWS_CA_BUNDLE") }, 1000, every, false},
		{"JavaScript SDK v3", []string{installed(t, "node"), script("shims/shim.mjs")}, func(r *shimRun) []string {
			return append(bundle(r), "NODE_PATH="+modules)
		}, 1000, every, false},
	}
	// Programs behind a proxy or with a CA of their own bring agents, for which the SDK does not wait for an answer to Expect.
	all = append(all, shim{"JavaScript SDK v3 with agents", all[3].command, func(r *shimRun) []string {
		return append(bundle(r), "NODE_PATH="+modules, "SHIM_AGENT=1")
	}, 1000, map[string]bool{"managed": true, "parts": true}, true})
	// Debian's; its Python has no part in the venv.
	all = append(all, shim{"aws-cli v2", []string{"bash", script("shims/aws.sh"), awsCLI2(t)}, plugin("cli_legacy_plugin_path = " + source + "\n"), 0, cp, false})
	return all
}

// awsCLI2 is the path of aws-cli v2.
func awsCLI2(t *testing.T) string {
	t.Helper()
	const path = "/usr/bin/aws"
	out, err := exec.CommandContext(t.Context(), path, "--version").Output()
	if err != nil || !strings.HasPrefix(string(out), "aws-cli/2.") {
		t.Fatalf("%s: %v %s: run `make deps`", path, err, out)
	}
	return path
}

// dep is the path of a tool in .deps.
func dep(t *testing.T, path string) string {
	t.Helper()
	p, err := harness.Tool(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run does the work with keys, one after another, by one client.
func (s shim) run(t *testing.T, r shimRun, work, path string, keys ...string) []outcome {
	t.Helper()
	r.dir = t.TempDir()
	args := append(s.command[1:len(s.command):len(s.command)], work, harness.Bucket, strings.Join(keys, ","), path)
	cmd := exec.CommandContext(t.Context(), s.command[0], args...)
	cmd.Env = slices.Concat(harness.CleanEnv(), r.env, s.env(&r))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", s.name, err, stdout.String(), stderr.String())
	}
	out := stdout.String()
	if said := out + stderr.String(); strings.Contains(said, "X-Amz-Signature") {
		t.Errorf("%s shows a signature: %s", s.name, said)
	}
	var all []outcome
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var o outcome
		if err := d.Decode(&o); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		all = append(all, o)
	}
	if len(all) != len(keys) {
		t.Fatalf("%d keys, said:\n%s", len(keys), out)
	}
	return all
}

// Every shim takes the bytes past the gateway, over http and over https, where the SDKs would send trailers. The gateway is sent heads alone:
// no client sends a body before it has an answer to Expect.
func TestShimsSendBodiesStraightToStorage(t *testing.T) {
	secure := secureStack(t)
	for _, s := range shims(t) {
		if !s.same && s.works["parts"] {
			t.Run(s.name+"/http", func(t *testing.T) {
				n := stacks[1].NewTenant(t)
				s.direct(t, n, shimRun{env: n.Env(), storage: "http://" + n.ToStorage.Addr()}, "managed", 32*mib, 0)
			})
		}
		t.Run(s.name+"/https", func(t *testing.T) {
			n := secure.NewTenant(t)
			r := shimRun{env: n.Env(), ca: n.Gateway.CA}
			s.direct(t, n, r, "managed", 32*mib, 0)
			if s.works["parts"] {
				s.direct(t, n, r, "put", 3*mib, s.skips)
				s.direct(t, n, r, "parts", 11*mib, 0)
			}
		})
	}
}

// A body that can be read only once is the gateway's to carry, as are no bytes at all. The Go SDK sends the former over https alone.
func TestShimsRelayWhatCannotBeSentTwice(t *testing.T) {
	secure := secureStack(t)
	for _, s := range shims(t) {
		if !s.works["pipe"] {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			n := secure.NewTenant(t)
			r := shimRun{env: n.Env(), ca: n.Gateway.CA}
			for name, size := range map[string]int{"piped": mib, "empty": 0} {
				path, content := file(t, size)
				o := s.run(t, r, "pipe", path, n.Prefix+name)[0]
				if o.Error != "" {
					t.Fatal(o.Error)
				}
				holds(t, n.Stack, n.Prefix+name, string(content), o.ETag)
			}
			for _, e := range events(t, n, "PutObject") {
				if e.Road != "relay" || e.Reason != "client-asked" {
					t.Errorf("by another road: %v", e)
				}
			}
		})
	}
}

// direct does the work with one key and demands that the bytes went past the gateway.
func (s shim) direct(t *testing.T, n *harness.Tenant, r shimRun, work string, size, skips int) {
	t.Helper()
	path, content := file(t, size)
	gateway, storage := n.Tap.Up(), n.ToStorage.Up()
	o := s.run(t, r, work, path, n.Prefix+work)[0]
	gateway, storage = n.Tap.Up()-gateway, n.ToStorage.Up()-storage
	t.Logf("%s of %d bytes: %d bytes to the gateway, %d to storage", work, size, gateway, storage)
	if o.Error != "" {
		t.Fatalf("%s: %s\n%s", work, o.Error, n.Gateway.Tail())
	}
	if gateway > int64(size)/100 || storage > int64(size)+mib {
		t.Errorf("%s: %d bytes to the gateway, %d to storage, for an object of %d", work, gateway, storage, size)
	}
	holds(t, n.Stack, n.Prefix+work, string(content[skips:]), o.ETag)
	for _, operation := range []string{"UploadPart", "PutObject"} {
		for _, e := range events(t, n, operation) {
			if e.Road != "redirect" || e.Reason != "client-asked" {
				t.Errorf("a body by another road: %v", e)
			}
		}
	}
}

// holds demands that storage, asked with its own credentials, has this object, with all that was said about it.
func holds(t *testing.T, s *harness.Stack, key, want, etag string) {
	t.Helper()
	got, err := s.Storage.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(harness.Bucket), Key: &key})
	if err != nil {
		t.Errorf("storage: %s: %v", key, err)
		return
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err != nil || string(body) != want {
		t.Errorf("storage: %s has %d bytes (%v) that differ from the %d sent", key, len(body), err, len(want))
	}
	if aws.ToString(got.ETag) != etag {
		t.Errorf("%s: the client was told ETag %s, storage has %s", key, etag, aws.ToString(got.ETag))
	}
	if aws.ToString(got.ContentType) != "text/x-test" || aws.ToString(got.CacheControl) != "max-age=7" || got.Metadata["made-by"] != "shim" || aws.ToString(got.ContentEncoding) != "" {
		t.Errorf("%s: type %q, cache control %q, encoding %q, metadata %v", key,
			aws.ToString(got.ContentType), aws.ToString(got.CacheControl), aws.ToString(got.ContentEncoding), got.Metadata)
	}
}

// Each shim can be packed for its registry from what is in the repository, and its package has what it needs and no more.
func TestShimsCanBePacked(t *testing.T) {
	for _, p := range []struct {
		name    string
		command []string
		want    []string // files
	}{
		{"python", []string{dep(t, "venv/bin/python"), "-c", `import setuptools.build_meta as b, sys, zipfile
sys.stdout, out = sys.stderr, sys.stdout
print(*zipfile.ZipFile(b.build_wheel(".")).namelist(), sep="\n", file=out)`}, []string{"partway/__init__.py", "partway/direct.py", "partway/location.py"}},
		{"js", []string{"sh", "-c", "tar --list --file $(npm pack --silent)"},
			[]string{"package/README.md", "package/index.d.ts", "package/index.js", "package/location.js", "package/package.json"}},
	} {
		t.Run(p.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), p.name)
			if err := os.CopyFS(dir, os.DirFS(filepath.Join(harness.Root(), "clients", p.name))); err != nil {
				t.Fatal(err)
			}
			out := in(t, dir, p.command...)
			var got []string
			for file := range strings.SplitSeq(strings.TrimSpace(out), "\n") {
				if !strings.Contains(file, ".dist-info/") {
					got = append(got, file)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, p.want) {
				t.Errorf("packed %v, want %v", got, p.want)
			}
		})
	}
}

// in runs a command in a directory and returns stdout.
func in(t *testing.T, dir string, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir, cmd.Env = dir, harness.CleanEnv()
	out, err := cmd.Output()
	if err != nil {
		var stderr []byte
		if e := new(exec.ExitError); errors.As(err, &e) {
			stderr = e.Stderr
		}
		t.Fatalf("%v: %v\n%s", command, err, stderr)
	}
	return string(out)
}
