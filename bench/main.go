// Command bench measures, on loopback and in one run, what the gateway costs next to what else could stand between a client and storage: nothing,
// nginx, HAProxy with and without splice, net/http's ReverseProxy, and versitygw as a gateway in front of S3.
//
//   - http, https: parts of 64 MiB, 4 at a time; throughput, and CPU seconds per GiB of the process between. https is TLS on both legs.
//   - parts: parts of 8 MiB, as aws-cli cuts them; how long one takes
//   - control: the calls of small uploads on 64 connections; calls per second, CPU, and how long each kind takes
//   - redirect, sign: 307 answers and signed requests on keep-alive connections, with and without the audit trail
//   - memory: 1,000 parts in flight at once, spliced and copied
//   - idle: what a connection between two requests costs
//   - open: what requests cost while 1 to 100,000 uploads are open
//   - tenants: what requests cost when they come from 1 to 1,000 tenants
//   - direct: `aws s3 cp` straight to storage, under `partway exec` and through the relay, against the demo's storage
//
// Storage is a sink that takes everything and keeps nothing (sink.go), the same for all, in a process of its own. Every round takes every
// subject once, so that what else the machine does meets them all. Absolute figures say more about the machine than about the gateway: compare
// within one run. Results are series of one value a round (result.go), printed as tables (table.go) and held against the targets (targets.go).
//
// `bench compare FILE FILE` compares two runs by their ratios. Nothing here passes or fails.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

// options of one run, and the places that its measurements share.
type options struct {
	partway, demo, versitygw, aws string // binaries
	results, only                 string
	rounds                        int
	gib                           int // per relay measurement
	requests                      int // per measurement of small requests
	inFlight, idle, open          int
	tenants                       int
	directMiB                     int

	dir   string // temporary
	files files
	sink  *sink
}

func main() {
	if len(os.Args) > 1 {
		if child, ok := children[os.Args[1]]; ok {
			check(child(os.Args[2:]))
			return
		}
	}
	var o options
	flag.StringVar(&o.partway, "partway", "bin/partway-nodemo", "the `binary` to measure, built as releases are")
	flag.StringVar(&o.demo, "demo", "bin/partway", "the `binary` with the demo in it")
	flag.StringVar(&o.versitygw, "versitygw", ".deps/bin/versitygw", "the rival's `binary`")
	flag.StringVar(&o.aws, "aws", ".deps/venv/bin/aws", "aws-cli `binary`")
	flag.StringVar(&o.results, "results", "bench/results", "`directory` for what comes out")
	flag.StringVar(&o.only, "only", "", "measure these alone, of "+strings.Join(names(), ", ")+" [all]")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each measurement; tables have their medians")
	flag.IntVar(&o.gib, "gib", 1, "GiB per relay measurement")
	flag.IntVar(&o.requests, "requests", 20_000, "requests per measurement of small ones")
	flag.IntVar(&o.inFlight, "in-flight", 1000, "parts at once in the memory measurement")
	flag.IntVar(&o.idle, "idle", 4000, "connections that idle at once")
	flag.IntVar(&o.open, "open", 100_000, "uploads open at most")
	flag.IntVar(&o.tenants, "tenants", 1000, "tenants at most")
	flag.IntVar(&o.directMiB, "direct-mib", 256, "MiB that aws s3 cp copies")
	flag.Parse()
	check(run(&o))
}

// children are what this binary runs of itself as servers of their own, and compare.
var children = map[string]func(args []string) error{
	"sink":    serveSink,
	"reverse": serveReverse,
	"bare":    serveBare,
	"compare": compareFiles,
}

// measurements in the order in which they run.
var measurements = []struct {
	name string
	run  func(*options, *result) error
}{
	{"http", relayHTTP},
	{"https", relayHTTPS},
	{"control", control},
	{"redirect", redirects},
	{"sign", signs},
	{"memory", partsInFlight},
	{"idle", idle},
	{"open", openUploads},
	{"tenants", manyTenants},
	{"direct", direct},
}

func names() (out []string) {
	for _, m := range measurements {
		out = append(out, m.name)
	}
	return out
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o *options) (err error) {
	var only []string
	if o.only != "" {
		only = strings.Split(o.only, ",")
	}
	for _, name := range only {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("-only %s: not one of %s", name, strings.Join(names(), ", "))
		}
	}
	if o.dir, err = os.MkdirTemp("", "partway-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(o.dir)
	if o.files, err = makeFiles(o.dir); err != nil {
		return err
	}
	if o.sink, err = startSink(o); err != nil {
		return err
	}
	defer o.sink.stop()
	res := newResult(o)
	for _, m := range measurements {
		if only != nil && !slices.Contains(only, m.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "bench:", m.name)
		if err := m.run(o, res); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return res.write(o.results)
}
