package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

const resumeConfig = "resume: {enabled: true}"

func mayResume(s *harness.Scope) { s.Resume = true }

// resumer is a client that is killed in the middle of an upload and started again. docs/resume.md has a line for each.
type resumer struct {
	name     string
	settings string // lines of aws-cli's configuration, which boto3 reads too
	exec     bool   // under partway exec
	work     func(t *testing.T, n *harness.Tenant, path, key string) (env, command []string)
	saves    bool // what had landed does not travel again
	changes  bool // a byte of the first part between the two runs
}

const (
	whenRequired = "request_checksum_calculation = when_required\n"
	few          = "s3 =\n  max_concurrent_requests = 2\n" // parts that are under way when it is killed
)

func awsCopies(t *testing.T, _ *harness.Tenant, path, key string) (env, command []string) {
	return nil, []string{tool(t, "venv/bin/aws"), "s3", "cp", "--only-show-errors", path, "s3://" + harness.Bucket + "/" + key}
}

func cpCopies(t *testing.T, n *harness.Tenant, path, key string) (env, command []string) {
	return cp(n, t.TempDir()), []string{n.Bin, "cp", "--parallel", "2", path, "s3://" + harness.Bucket + "/" + key} // no note of the first run
}

func tool(t *testing.T, path string) string {
	t.Helper()
	bin, err := harness.Tool(path)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// A client that is killed and started again sends what is missing, and the object is whole. Over https aws-cli says beforehand what a part is
// only where it computes no checksum beside the signature; under exec nothing is asked of it. If the file became another meanwhile, the object is the new
// one, and only what changed travels besides.
func TestKilledClientsGoOn(t *testing.T) {
	plain := ownStack(t, harness.Setup{Config: []string{resumeConfig}})
	stores := ownStack(t, harness.Setup{Mongo: harness.SecantusDB, Config: []string{resumeConfig}})
	for _, test := range []struct {
		resumer
		stack  *harness.Stack
		killed int // at how many percent
	}{
		{resumer{name: "aws-cli", settings: few, work: awsCopies, saves: true}, stores, 60},
		{resumer{name: "aws-cli, another file", settings: few, work: awsCopies, saves: true, changes: true}, plain, 60},
		{resumer{name: "aws-cli over https, checksums when required", settings: whenRequired + few, work: awsCopies, saves: true}, secureStack(t, resumeConfig), 90},
		{resumer{name: "aws-cli under exec, another file", settings: few, exec: true, work: awsCopies, saves: true, changes: true}, stores, 60},
		{resumer{name: "partway cp", work: cpCopies, saves: true}, plain, 30},
	} {
		t.Run(test.name, func(t *testing.T) { test.goesOn(t, test.stack.UncheckedTenant(t, mayResume), 64*mib, test.killed) })
	}
}

// goesOn kills the client once so many percent are on their way to storage, and starts it again.
func (c *resumer) goesOn(t *testing.T, n *harness.Tenant, size, percent int) {
	key := n.Prefix + "big"
	path, content := file(t, size)
	if err := os.WriteFile(n.AwsConfig(), []byte("[default]\n"+c.settings), 0o600); err != nil {
		t.Fatal(err)
	}
	c.killed(t, n, path, key, int64(size)*int64(percent)/100)
	landed := landedBytes(t, n, key)
	if landed == 0 {
		t.Fatal("nothing had landed")
	}
	missing := int64(size) - landed
	if c.changes {
		missing += 8 * mib // the part that it is in
		content[100] ^= 1
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	travelled, begun := onTheWire(n), time.Now()
	out := c.run(t, n, path, key)
	again, took := travelled(), time.Since(begun)
	(&session{Tenant: n}).stored(t, "big", content)
	t.Logf("%s: killed at %d %% of %d bytes: %d had landed, %d travelled on the second run, in %.1f s %s", c.name, percent, size, landed, again, took.Seconds(), regexp.MustCompile(`partway: .*`).FindString(out))
	if most := missing + missing/20 + mib; c.saves && again > most {
		t.Errorf("%d bytes had landed, and %d travelled again", landed, again)
	} else if !c.saves && again < int64(size) {
		t.Errorf("%d bytes travelled: say in docs/resume.md that it saves something", again)
	}
}

// onTheWire counts what clients send from now on: to the gateway or, where they send bodies past it, to storage.
func onTheWire(n *harness.Tenant) (sent func() int64) {
	gateway, storage := n.Tap.Up(), n.ToStorage.Up()
	return func() int64 { return max(n.Tap.Up()-gateway, n.ToStorage.Up()-storage) }
}

// start starts the client. child has the pid of what partway exec started.
func (c *resumer) start(t *testing.T, n *harness.Tenant, path, key string) (p *harness.Process, child string) {
	t.Helper()
	env, command := c.work(t, n, path, key)
	env = append(n.Env(), env...)
	if c.exec {
		child = filepath.Join(t.TempDir(), "pid")
		env = append(env, "PARTWAY_ENDPOINT="+n.Endpoint, "PARTWAY_TOKEN="+n.Bearer, "PARTWAY_CA="+n.Gateway.CA)
		command = append([]string{n.Bin, "exec", "--", "sh", "-c", `echo $$ >"$0"; exec "$@"`, child}, command...)
	}
	p, err := harness.Start(filepath.Join(t.TempDir(), "log"), env, command[0], command[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return p, child
}

// run runs the client to its good end.
func (c *resumer) run(t *testing.T, n *harness.Tenant, path, key string) (said string) {
	t.Helper()
	p, _ := c.start(t, n, path, key)
	if p.ExitCode() != 0 {
		t.Fatalf("status %d\n%s\n%s", p.ExitCode(), p.Tail(), n.Gateway.Tail())
	}
	return p.Tail()
}

// killed runs the client until so many bytes went to storage, which then takes no more, and kills it.
func (c *resumer) killed(t *testing.T, n *harness.Tenant, path, key string, bytes int64) {
	t.Helper()
	n.ToStorage.HoldAfter(bytes)
	defer n.ToStorage.Release()
	enough := n.ToStorage.Up() + bytes
	p, child := c.start(t, n, path, key)
	err := harness.Await(withTimeout(t, 5*time.Minute), fmt.Sprint(bytes, " bytes at storage"), p, func() bool { return n.ToStorage.Up() >= enough })
	p.Kill()
	if c.exec {
		killChild(t, child)
	}
	if err != nil {
		t.Fatal(err)
	}
	n.ToStorage.Release()
	atRest(t, n.Stack)
}

// atRest waits until the gateway relays nothing any more.
func atRest(t *testing.T, s *harness.Stack) {
	t.Helper()
	err := harness.Await(withTimeout(t, time.Minute), "the end of what was relayed", s.Gateway.Process, func() bool {
		relayed, err := s.Gateway.Metric(t.Context(), "partway_inflight_parts")
		return err == nil && relayed == 0
	})
	if err != nil {
		t.Fatal(err)
	}
}

// landedBytes is how much storage holds of the one upload of a key.
func landedBytes(t *testing.T, n *harness.Tenant, key string) int64 {
	t.Helper()
	uploads, err := n.Storage.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(harness.Bucket), Prefix: &key})
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, u := range uploads.Uploads {
		parts, err := n.Storage.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(harness.Bucket), Key: &key, UploadId: u.UploadId})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts.Parts {
			sum += aws.ToInt64(p.Size)
		}
	}
	return sum
}
