// compatibility writes docs/compatibility.md from what the tests of clients found: results.jsonl on stdin, the page on stdout.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// result is a line of the file that PARTWAY_E2E_RESULTS names.
type result struct {
	Client, Version, Scheme, Settings string
	Operations                        map[string]string
	Bodies                            map[string][]string
	Commands                          []string
}

func main() {
	results, err := read(os.Stdin)
	if err == nil {
		err = write(os.Stdout, results, time.Now())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compatibility:", err)
		os.Exit(1)
	}
}

func read(r io.Reader) ([]result, error) {
	var results []result
	for d := json.NewDecoder(r); ; {
		var one result
		switch err := d.Decode(&one); err {
		case nil:
			results = append(results, one)
		case io.EOF:
			if len(results) == 0 {
				return nil, fmt.Errorf("no results")
			}
			return results, nil
		default:
			return nil, fmt.Errorf("results: %w", err)
		}
	}
}

const head = `# Clients that work with Partway

Made by ` + "`make compatibility`" + ` on %s from tests that passed (e2e/client_*_test.go, programs in e2e/clients): the gateway between each stock
client and versitygw, over http with MongoDB's and Redis's place filled, over https with embedded tracking and storage on https. Each test compares
the bytes at both ends and in storage, and demands one audit event for each request. No client was changed or patched, and none asked for a road:
bodies of PutObject, UploadPart and GetObject are relayed, everything else is answered by the gateway or passed on.

| client | version | scheme | settings | how bodies travel |
|---|---|---|---|---|
`

// write is the page.
func write(out io.Writer, results []result, on time.Time) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, head, on.UTC().Format(time.DateOnly))
	for _, r := range results {
		var forms []string
		for _, operation := range slices.Sorted(maps.Keys(r.Bodies)) {
			for _, form := range r.Bodies[operation] {
				forms = append(forms, operation+": "+form)
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", r.Client, r.Version, r.Scheme, code(r.Settings), strings.Join(forms, "<br>"))
	}
	fmt.Fprint(w, `
sha256: the exact hash in x-amz-content-sha256. header, trailer: where a checksum travels. presigned: a PUT to a presigned URL. Bodies carry a
Content-Length unless it says Transfer-Encoding: chunked.

Common settings: the endpoint, the access key (a token) and the secret that `+"`partway token`"+` prints, region us-east-1, path style.

## Operations

| client | operations by relay | other operations |
|---|---|---|
`)
	for _, r := range merged(results) {
		roads := map[bool][]string{}
		for _, operation := range slices.Sorted(maps.Keys(r.Operations)) {
			relayed := r.Operations[operation] == "relay"
			roads[relayed] = append(roads[relayed], operation)
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", r.Client, strings.Join(roads[true], ", "), strings.Join(roads[false], ", "))
	}
	fmt.Fprint(w, "\n## Commands\n\nFILE, TREE and the like are local paths, PREFIX/ is what the token allows.\n")
	for _, r := range merged(results) {
		fmt.Fprintf(w, "\n%s:\n\n```\n%s\n```\n", r.Client, strings.Join(r.Commands, "\n"))
	}
	return w.Flush()
}

// merged is one result for each client, with the operations of all its runs and the commands of the first.
func merged(results []result) []result {
	var clients []result
	for _, r := range results {
		i := slices.IndexFunc(clients, func(c result) bool { return c.Client == r.Client })
		if i < 0 {
			r.Operations = maps.Clone(r.Operations)
			clients = append(clients, r)
			continue
		}
		maps.Copy(clients[i].Operations, r.Operations)
	}
	return clients
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}
