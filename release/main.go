// Command release makes what is published of a commit: for each target an archive with the binary, what belongs to it, its bill of
// materials (CycloneDX) and the licences of all that is linked or embedded in it, and SHA256SUMS over them.
//
// The same commit, built with the same version of Go, gives the same bytes on any machine and in any directory: paths are trimmed, version
// and commit are what the Go command reads from git, times are SOURCE_DATE_EPOCH or the commit's, and the environment's GOFLAGS do not
// count. It refuses to release what has a licence that is not on its list.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// targets of a release. All hold the same: gateway and clients without the demo's storage. Gateways are tested on Linux alone.
var targets = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"}

func main() {
	root := flag.String("root", "..", "the clone to release")
	out := flag.String("out", "", "directory for the archives; what it holds of an earlier release is replaced")
	stage := flag.String("stage", "", "in place of archives, what an image of one target holds, into this directory")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: release -out DIR [TARGET...] | -stage DIR TARGET\ntargets: %s [all of them]\n", strings.Join(targets, " "))
		flag.PrintDefaults()
	}
	flag.Parse()
	wanted := flag.Args()
	if len(wanted) == 0 {
		wanted = targets
	}
	if err := run(*root, *out, *stage, wanted); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(root, out, stage string, wanted []string) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	var all []target
	for _, name := range wanted {
		t, err := parseTarget(name)
		if err != nil {
			return err
		}
		all = append(all, t)
	}
	switch {
	case stage != "" && out == "" && len(all) == 1:
		return stageImage(root, stage, all[0])
	case out != "" && stage == "":
		return publish(root, out, all)
	}
	return errors.New("give -out DIR, or -stage DIR and one target")
}
