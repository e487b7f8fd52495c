// Command bench measures what the gateway costs next to nginx and to no proxy at all, on loopback, in one run:
//
//   - relay: parts of 64 MiB, 4 at a time; throughput, and CPU seconds per GiB of the process between client and storage
//   - memory: 8 parts of 1 GiB at once; the peak of the gateway's resident set
//   - redirect: 307 answers per second on 64 keep-alive connections, CPU per answer, time to first byte
//   - direct: `aws s3 cp` straight to storage, under `partway exec` and through the relay, against the demo's storage
//
// Storage is a sink that takes everything and keeps nothing (sink.go), the same for all, in a process of its own. Absolute
// figures say more about the machine than about the gateway: compare within one table. Nothing here passes or fails.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

type options struct {
	partway, results string
	gib, rounds      int
	redirects        int
	memoryGiB        int
	directMiB        int
	aws, only        string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "sink" {
		check(serveSink())
		return
	}
	var o options
	flag.StringVar(&o.partway, "partway", "bin/partway", "the `binary` to measure")
	flag.StringVar(&o.results, "results", "bench/results", "`directory` for the table")
	flag.IntVar(&o.gib, "gib", 1, "GiB per relay measurement")
	flag.IntVar(&o.rounds, "rounds", 3, "relay measurements of each kind; the table has their medians")
	flag.IntVar(&o.redirects, "redirects", 30_000, "redirects to ask for")
	flag.IntVar(&o.memoryGiB, "memory-gib", 8, "parts of 1 GiB sent at once for the memory measurement")
	flag.IntVar(&o.directMiB, "direct-mib", 256, "MiB that aws s3 cp copies")
	flag.StringVar(&o.aws, "aws", ".deps/venv/bin/aws", "aws-cli `binary`")
	flag.StringVar(&o.only, "only", "", "measure relay, memory, redirect or direct alone [all]")
	flag.Parse()
	check(run(o))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	dir, err := os.MkdirTemp("", "partway-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	zeros, err := zeroFile(dir, 1<<30)
	if err != nil {
		return err
	}
	sink, err := startSink(dir)
	if err != nil {
		return err
	}
	defer sink.stop()

	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s, %s, %d CPUs, Linux %s, loopback, storage a discarding sink.\n",
		time.Now().UTC().Format("2006-01-02 15:04 UTC"), runtime.Version(), cpuModel(), runtime.NumCPU(), kernel())
	for _, m := range []struct {
		name    string
		measure func() error
	}{
		{"relay", func() error { return relay(&b, o, dir, sink.addr, zeros) }},
		{"memory", func() error { return memory(&b, o, dir, sink.addr, zeros) }},
		{"redirect", func() error { return redirect(&b, o, dir, sink.addr) }},
		{"direct", func() error { return direct(&b, o, dir, zeros) }},
	} {
		if o.only != "" && o.only != m.name {
			continue
		}
		if err := m.measure(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(o.results, 0o755); err != nil {
		return err
	}
	name := filepath.Join(o.results, time.Now().UTC().Format("2006-01-02T1504")+".md")
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		return err
	}
	fmt.Printf("%s\nwritten to %s\n", b.String(), name)
	return nil
}

// zeroFile is a sparse file that clients send from by sendfile, so that they cost little beside what is measured.
func zeroFile(dir string, size int64) (string, error) {
	path := filepath.Join(dir, "zeros")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return path, f.Truncate(size)
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return err.Error()
	}
	_, after, _ := strings.Cut(string(b), "model name\t: ")
	model, _, _ := strings.Cut(after, "\n")
	return model
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err.Error()
	}
	version, _, _ := strings.Cut(strings.TrimSpace(string(b)), "-")
	return version
}
