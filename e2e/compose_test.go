package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"partway/e2e/harness"
)

// composition is deploy/compose.yaml as Compose reads it.
func composition(t *testing.T) *types.Project {
	t.Helper()
	deploy := filepath.Join(harness.Root(), "deploy")
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  deploy,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(deploy, "compose.yaml")}},
		Environment: map[string]string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestComposeShowsNothingToTheNetworkAndGivesTheGatewayNoRights(t *testing.T) {
	project := composition(t)
	for name, s := range project.Services {
		for _, port := range s.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s: port %s can be reached from elsewhere", name, port.Published)
			}
		}
		if s.Build == nil && !regexp.MustCompile(`:v?\d`).MatchString(s.Image) {
			t.Errorf("%s: image %s has no version", name, s.Image)
		}
		if s.Privileged {
			t.Errorf("%s is privileged", name)
		}
	}
	for _, name := range []string{"gateway", "keys"} {
		s := project.Services[name]
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges") || s.User != "" {
			t.Errorf("%s: read_only %v, cap_drop %v, security_opt %v, user %q", name, s.ReadOnly, s.CapDrop, s.SecurityOpt, s.User)
		}
	}
	gateway := project.Services["gateway"]
	if grace := time.Duration(*gateway.StopGracePeriod); grace < drain(t, gatewayConfig(t, project))+10*time.Second {
		t.Errorf("stop_grace_period %v cuts the drain", grace)
	}
	for name, condition := range map[string]string{
		"mongodb": types.ServiceConditionHealthy, "redis": types.ServiceConditionHealthy,
		"keys": types.ServiceConditionCompletedSuccessfully, "bucket": types.ServiceConditionCompletedSuccessfully,
	} {
		if gateway.DependsOn[name].Condition != condition {
			t.Errorf("the gateway starts when %s is %q, want %q", name, gateway.DependsOn[name].Condition, condition)
		}
	}
}

func gatewayConfig(t *testing.T, project *types.Project) string {
	t.Helper()
	text, err := os.ReadFile(project.Configs["partway"].File)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// drain is what a configuration says, or the default.
func drain(t *testing.T, config string) time.Duration {
	t.Helper()
	m := regexp.MustCompile(`\bdrain: (\w+)`).FindStringSubmatch(config)
	if m == nil {
		return 25 * time.Second
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// composed is what compose.yaml describes, as processes: the same commands, environment and configuration, with this machine's
// addresses and directories in place of the containers'.
type composed struct {
	gateway *harness.Gateway
	local   *strings.Replacer // from the containers' names to this machine's
	env     []string          // of the gateway
}

func compose(t *testing.T) *composed {
	t.Helper()
	ctx := withTimeout(t, 2*time.Minute)
	project := composition(t)
	dir := t.TempDir()
	environment := func(name string) (env []string) {
		for key, value := range project.Services[name].Environment {
			env = append(env, key+"="+*value)
		}
		return env
	}
	storage := started(t)(harness.StartVersitygw(ctx, dir, nil, environment("storage")...)).Addr
	redis := started(t)(harness.StartRedis(ctx, dir)).Addr
	mongodb := started(t)(harness.StartMongo(ctx, dir, harness.SecantusDB)).Addr
	config := filepath.Join(dir, "config.yaml")
	c := &composed{local: strings.NewReplacer(
		"127.0.0.1:7070", storage, "redis:6379", redis, "mongodb:27017/?replicaSet=rs0", mongodb+"/?directConnection=true",
		"/etc/partway/config.yaml", config, "/data/", filepath.Join(dir, "data")+"/",
	)}
	locally := func(words ...string) (here []string) {
		for _, word := range words {
			here = append(here, c.local.Replace(word))
		}
		return here
	}
	if err := os.WriteFile(config, []byte(c.local.Replace(gatewayConfig(t, project))), 0o600); err != nil {
		t.Fatal(err)
	}

	for range 2 { // as after a restart: what was made stays
		if _, err := harness.Run(ctx, nil, binary, locally(project.Services["keys"].Command...)...); err != nil {
			t.Fatal(err)
		}
		aws, err := harness.Tool("venv/bin/aws")
		if err != nil {
			t.Fatal(err)
		}
		bucket := project.Services["bucket"]
		words := locally(append(slices.Clone(bucket.Entrypoint), bucket.Command...)...)
		cmd := exec.CommandContext(ctx, words[0], words[1:]...)
		cmd.Env = append(harness.CleanEnv(), append(locally(environment("bucket")...), "PATH="+filepath.Dir(aws)+":"+os.Getenv("PATH"))...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("making the bucket: %v\n%s", err, out)
		}
	}
	if command := project.Services["gateway"].Command; !slices.Equal(command, []string{"serve", "--config", "/etc/partway/config.yaml"}) {
		t.Fatalf("the gateway is %v", command)
	}
	c.env = append(locally(environment("gateway")...), "PARTWAY_CFG_DATA_DIR="+filepath.Join(dir, "data")) // the image's
	var err error
	if c.gateway, err = harness.Serve(ctx, binary, dir, config, c.env); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.gateway.Stop(40 * time.Second); err != nil {
			t.Error(err)
		}
	})
	return c
}

// docs/quickstart.md, as somebody types it who has never seen Partway, on what compose.yaml describes. There is no Docker here: "make
// compose" was done by the test, and "exec gateway" is the program with the gateway's environment.
func TestTheQuickstartIsFollowedToTheLetter(t *testing.T) {
	c := compose(t)
	text, err := os.ReadFile(filepath.Join(harness.Root(), "docs", "quickstart.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := `
make() { case "$*" in compose|build) ;; *) echo "no make $*"; return 1;; esac; }
docker() {
  [ "$1 $2 $3 $4 $5 $6 $7" = "compose -f deploy/compose.yaml exec -T gateway /partway" ] || { echo "no docker $*"; return 1; }
  shift 7
  env ` + shellWords(c.env) + ` partway "$@"
}
`
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 8 {
		t.Fatalf("only %d blocks", len(blocks))
	}
	port := c.gateway.Addr()[strings.LastIndexByte(c.gateway.Addr(), ':'):]
	for i, b := range blocks {
		local := strings.NewReplacer("/etc/partway/config.yaml", c.local.Replace("/etc/partway/config.yaml"), ":9000", port).Replace(b[1])
		script += fmt.Sprintf("echo '== block %d'\n%s", i+1, local)
	}
	said := inShell(t, script)
	for _, line := range []string{
		`\{"status":"ok".*`,
		`.*upload: \./big\.bin to s3://uploads/acme/big\.bin *`,
		`\S+ \S+ +104857600 big\.bin *`,
		`.*upload: \./big\.bin to s3://uploads/acme/direct\.bin *`,
		`upload failed: .*AccessDenied.*`,
		`\S+ +completed +acme +uploads +acme/big\.bin .*`,
		`\S+ +acme +UploadPart +uploads +acme/big\.bin .* relay +default +ok .*`,
		`\S+ +acme +UploadPart +uploads +acme/direct\.bin .* sign .*`,
	} {
		if !regexp.MustCompile(`(?m)^` + line + `\r?$`).MatchString(said) {
			t.Errorf("it does not say %s", line)
		}
	}
	if t.Failed() {
		t.Logf("said:\n%s\n%s", said, c.gateway.Tail())
	}
}

func shellWords(words []string) string {
	var quoted []string
	for _, word := range words {
		quoted = append(quoted, "'"+strings.ReplaceAll(word, "'", `'\''`)+"'")
	}
	return strings.Join(quoted, " ")
}

// inShell runs a script in an empty directory with an environment in which only the tools can be found, partway among them. It stops at
// the first command that fails.
func inShell(t *testing.T, script string) string {
	t.Helper()
	aws, err := harness.Tool("venv/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(withTimeout(t, 3*time.Minute), "bash", "-eu", "-o", "pipefail")
	cmd.Dir, cmd.Stdin = t.TempDir(), strings.NewReader(script)
	cmd.Env = []string{"HOME=" + t.TempDir(), "GORACE=atexit_sleep_ms=0 exitcode=66", "PATH=" + filepath.Dir(binary) + ":" + filepath.Dir(aws) + ":" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("it fails: %v\n%s", err, out)
	}
	return string(out)
}
