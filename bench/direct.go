package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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
	took    []time.Duration
	cpu     []time.Duration // of the client, and of what stands in front of it on its machine
	gateway []time.Duration // CPU of the gateway; the demo's storage is another process
}

// direct compares `aws s3 cp` straight to storage, under `partway exec` and through the relay. The storage is a real one, the demo's, and
// each round takes every road once.
func direct(b io.Writer, o options, dir, zeros string) error {
	if _, err := os.Stat(o.aws); err != nil {
		fmt.Fprintf(b, "\n## aws s3 cp: not measured, there is no %s (`make deps`)\n", o.aws)
		return nil
	}
	demo, r, err := startDemo(o.partway, dir)
	if err != nil {
		return err
	}
	defer demo.stop()
	file := filepath.Join(dir, "file")
	if err := copyHead(file, zeros, int64(o.directMiB)<<20); err != nil {
		return err
	}
	cp := []string{o.aws, "s3", "cp", "--only-show-errors", file, "s3://" + r.Bucket + "/" + r.Tenant.Prefix + "bench"}
	roads := []*road{
		{name: "straight to storage", command: cp, env: r.Storage.env(r.StorageEndpoint, r.Region)},
		{name: "partway exec", command: append([]string{o.partway, "exec", "--"}, cp...), env: []string{"PARTWAY_ENDPOINT=" + r.Endpoint, "PARTWAY_TOKEN=" + r.Tenant.Bearer}},
		{name: "relay", command: cp, env: r.Tenant.env(r.Endpoint, r.Region)},
	}
	for round := range o.rounds + 1 {
		for _, way := range roads {
			if err := way.once(demo, dir, round > 0); err != nil { // the first round warms what is warmed
				return err
			}
		}
	}
	fmt.Fprintf(b, "\n## aws s3 cp of %d MiB to the demo's storage, %d rounds of each, medians (least to most)\n\n", o.directMiB, o.rounds)
	fmt.Fprintln(b, "| road | seconds | x straight | client's machine, CPU s | gateway, CPU s |")
	fmt.Fprintln(b, "|---|---|---|---|---|")
	straight := middle(roads[0].took)
	for _, way := range roads {
		fmt.Fprintf(b, "| %s | %s | %.2f | %s | %s |\n", way.name, spread(way.took), middle(way.took).Seconds()/straight.Seconds(), spread(way.cpu), spread(way.gateway))
	}
	return nil
}

// once runs the command and, if it counts, notes what it took. The usage of a process includes that of the children it waited for.
func (w *road) once(demo *process, dir string, counts bool) error {
	cmd := exec.Command(w.command[0], w.command[1:]...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AWS_EC2_METADATA_DISABLED=true"}, w.env...)
	before, began := demo.own(), time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", w.name, err, out)
	}
	if counts {
		w.took = append(w.took, time.Since(began))
		w.cpu = append(w.cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		w.gateway = append(w.gateway, demo.own()-before)
	}
	return nil
}

func startDemo(partway, dir string) (*process, *ready, error) {
	file, log := filepath.Join(dir, "demo.json"), filepath.Join(dir, "demo.log")
	p, err := start(log, exec.Command(partway, "demo", "--dir", filepath.Join(dir, "demo"), "--listen", "127.0.0.1:0", "--ready-file", file))
	if err != nil {
		return nil, nil, err
	}
	r := new(ready)
	err = await("partway demo", func() bool {
		b, err := os.ReadFile(file)
		return err == nil && json.Unmarshal(b, r) == nil
	})
	if err != nil {
		p.stop()
		said, _ := os.ReadFile(log)
		return nil, nil, fmt.Errorf("%w\n%s", err, said)
	}
	return p, r, nil
}

// copyHead makes path of the first n bytes of a file.
func copyHead(path, from string, n int64) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.CopyN(out, in, n)
	return err
}

func middle(d []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(d))
	return sorted[len(sorted)/2]
}

func spread(d []time.Duration) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", middle(d).Seconds(), slices.Min(d).Seconds(), slices.Max(d).Seconds())
}
