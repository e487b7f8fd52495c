//go:build nightly

package e2e

import (
	"path/filepath"
	"testing"

	"partway/e2e/harness"
)

func boto3Copies(t *testing.T, _ *harness.Tenant, path, key string) (env, command []string) {
	return nil, []string{tool(t, "venv/bin/python"), script("upload.py"), harness.Bucket, key, path}
}

func goCopies(t *testing.T, n *harness.Tenant, path, key string) (env, command []string) {
	return []string{"AWS_CA_BUNDLE=", "SSL_CERT_FILE=" + n.Gateway.CA}, []string{filepath.Join(goPrograms(t), "upload"), harness.Bucket, key, path}
}

func javaScriptCopies(t *testing.T, n *harness.Tenant, path, key string) (env, command []string) {
	return []string{"NODE_PATH=" + tool(t, "clients-js/node_modules"), "NODE_EXTRA_CA_CERTS=" + n.Gateway.CA},
		[]string{installed(t, "node"), script("js/upload.js"), harness.Bucket, key, path}
}

// rcloneCopies to the remote that exec sets up, or to one like it.
func rcloneCopies(t *testing.T, n *harness.Tenant, path, key string) (env, command []string) {
	env = []string{"RCLONE_CONFIG_GW_TYPE=s3", "RCLONE_CONFIG_GW_PROVIDER=Other", "RCLONE_CONFIG_GW_ENV_AUTH=true", "RCLONE_CONFIG_GW_REGION=us-east-1",
		"RCLONE_CONFIG_GW_FORCE_PATH_STYLE=true", "RCLONE_CONFIG_GW_ENDPOINT=" + n.Endpoint, "RCLONE_CA_CERT=" + n.Gateway.CA, "AWS_CA_BUNDLE=",
		"RCLONE_CONFIG=" + filepath.Join(t.TempDir(), "none")}
	return env, []string{installed(t, "rclone"), "copyto", "--s3-no-check-bucket", "--s3-chunk-size", "5Mi", "--s3-upload-cutoff", "5Mi", path, "gw:" + harness.Bucket + "/" + key}
}

func rcloneCopiesBehindExec(t *testing.T, n *harness.Tenant, path, key string) (env, command []string) {
	env, command = rcloneCopies(t, n, path, key)
	command[len(command)-1] = "partway:" + harness.Bucket + "/" + key
	return env, command
}

// Who is resumed by default, by a setting, or not: the table of docs/resume.md.
func TestResumeByEveryClient(t *testing.T) {
	plain, secure := ownStack(t, harness.Setup{Mongo: harness.SecantusDB, Config: []string{resumeConfig}}), secureStack(t, resumeConfig)
	for _, test := range []struct {
		stack *harness.Stack
		resumer
	}{
		{plain, resumer{name: "aws-cli, http", settings: few, work: awsCopies, saves: true}},
		{plain, resumer{name: "boto3, http", work: boto3Copies, saves: true}},
		{plain, resumer{name: "Go SDK v2, http", work: goCopies}},
		{plain, resumer{name: "JavaScript SDK v3, http", work: javaScriptCopies, saves: true}},
		{plain, resumer{name: "rclone, http", work: rcloneCopies, saves: true}},
		{secure, resumer{name: "aws-cli, https", settings: few, work: awsCopies}},
		{secure, resumer{name: "aws-cli, https, when required", settings: whenRequired + few, work: awsCopies, saves: true}},
		{secure, resumer{name: "boto3, https", work: boto3Copies}},
		{secure, resumer{name: "boto3, https, when required", settings: whenRequired, work: boto3Copies, saves: true}},
		{secure, resumer{name: "Go SDK v2, https", work: goCopies}},
		{secure, resumer{name: "JavaScript SDK v3, https", work: javaScriptCopies, saves: true}},
		{secure, resumer{name: "rclone, https", work: rcloneCopies, saves: true}},
		{plain, resumer{name: "aws-cli, exec", settings: few, exec: true, work: awsCopies, saves: true}},
		{secure, resumer{name: "aws-cli, exec, https", settings: few, exec: true, work: awsCopies, saves: true}},
		{plain, resumer{name: "boto3, exec", exec: true, work: boto3Copies, saves: true}},
		{plain, resumer{name: "Go SDK v2, exec", exec: true, work: goCopies, saves: true}},
		{plain, resumer{name: "JavaScript SDK v3, exec", exec: true, work: javaScriptCopies, saves: true}},
		{plain, resumer{name: "rclone, exec", exec: true, work: rcloneCopiesBehindExec, saves: true}},
		{plain, resumer{name: "aws-cli, exec, another file", settings: few, exec: true, work: awsCopies, saves: true, changes: true}},
		{secure, resumer{name: "partway cp, https", work: cpCopies, saves: true}},
		{plain, resumer{name: "partway cp, another file", work: cpCopies, saves: true, changes: true}},
	} {
		t.Run(test.name, func(t *testing.T) { test.goesOn(t, test.stack.UncheckedTenant(t, mayResume), 64*mib, 60) })
	}
}

// A GiB, with every client's own settings.
func TestResumeOfAGiB(t *testing.T) {
	plain, secure := ownStack(t, harness.Setup{Config: []string{resumeConfig}}), secureStack(t, resumeConfig)
	for _, test := range []struct {
		stack *harness.Stack
		resumer
	}{
		{plain, resumer{name: "aws-cli, http", work: awsCopies, saves: true}},
		{secure, resumer{name: "aws-cli, https, when required", settings: whenRequired, work: awsCopies, saves: true}},
		{plain, resumer{name: "aws-cli, exec", exec: true, work: awsCopies, saves: true}},
	} {
		for _, percent := range []int{30, 60, 90} {
			t.Run(test.name, func(t *testing.T) { test.goesOn(t, test.stack.UncheckedTenant(t, mayResume), 1024*mib, percent) })
		}
	}
	t.Run("partway cp", func(t *testing.T) {
		c := resumer{name: "partway cp", work: cpCopies, saves: true}
		c.goesOn(t, plain.UncheckedTenant(t, mayResume), 1024*mib, 60)
	})
}

func TestTwoWritersAHundredTimes(t *testing.T) {
	trials(t, ownStack(t, harness.Setup{Mongo: harness.SecantusDB, Config: []string{resumeConfig}}), 100, 100)
}
