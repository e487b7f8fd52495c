package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// ready is what `partway demo` says of itself.
type ready struct {
	Endpoint        string `json:"endpoint"`
	StorageEndpoint string `json:"storage_endpoint"`
	Region          string `json:"region"`
	Bucket          string `json:"bucket"`
	Storage         pair   `json:"storage"`
	Tenant          struct {
		pair
		Prefix string `json:"prefix"`
		Bearer string `json:"bearer"`
	} `json:"tenant"`
}

type pair struct {
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
}

func (p pair) env(endpoint, region string) []string {
	return []string{"AWS_ACCESS_KEY_ID=" + p.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + p.SecretAccessKey, "AWS_REGION=" + region, "AWS_ENDPOINT_URL_S3=" + endpoint}
}

// road is one way of `aws s3 cp` to the demo's storage.
type road struct {
	name    string
	command []string
	env     []string
}

// direct compares `aws s3 cp` straight to storage, under `partway exec` and through the relay. The storage is a real one, the demo's, and
// each round takes every road once.
func direct(o *options, res *result) error {
	if _, err := os.Stat(o.aws); err != nil {
		return fmt.Errorf("%w: `make deps` installs it", err)
	}
	demo, r, err := startDemo(o)
	if err != nil {
		return err
	}
	defer demo.stop()
	file := o.path("file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(file, int64(o.directMiB)<<20); err != nil {
		return err
	}
	cp := []string{o.aws, "s3", "cp", "--only-show-errors", file, "s3://" + r.Bucket + "/" + r.Tenant.Prefix + "bench"}
	roads := []road{
		{name: "straight to storage", command: cp, env: r.Storage.env(r.StorageEndpoint, r.Region)},
		{name: "partway exec", command: append([]string{o.demo, "exec", "--"}, cp...), env: []string{"PARTWAY_ENDPOINT=" + r.Endpoint, "PARTWAY_TOKEN=" + r.Tenant.Bearer}},
		{name: "relay", command: cp, env: r.Tenant.env(r.Endpoint, r.Region)},
	}
	for round := range o.rounds + 1 {
		for _, way := range roads {
			into := res
			if round == 0 { // warms what is warmed
				into = new(result)
			}
			if err := way.once(demo, o.dir, into); err != nil {
				return err
			}
		}
	}
	return nil
}

// once runs the command. The usage of a process includes that of the children it waited for; the demo's storage is not the gateway's process.
func (w *road) once(demo *process, dir string, res *result) error {
	cmd := exec.Command(w.command[0], w.command[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AWS_EC2_METADATA_DISABLED=true"}, w.env...)
	before, began := demo.own(), time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", w.name, err, out)
	}
	res.add("direct", w.name, "seconds", time.Since(began).Seconds())
	res.add("direct", w.name, "client CPU s", (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
	res.add("direct", w.name, "gateway CPU s", (demo.own() - before).Seconds())
	return nil
}

func startDemo(o *options) (*process, *ready, error) {
	file := o.path("demo.json")
	p, err := start(o.path("demo.log"), exec.Command(o.demo, "demo", "--dir", o.path("demo"), "--listen", "127.0.0.1:0", "--ready-file", file))
	if err != nil {
		return nil, nil, err
	}
	r := new(ready)
	err = p.await(func() bool {
		b, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(b, r) == nil
	})
	return p, r, err
}
