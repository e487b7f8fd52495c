package main

import (
	"fmt"
	"io"
)

// goal is what the gateway should reach: ratios within one run, of medians; CPU rather than throughput, which depends on who else runs.
type goal struct {
	what    string
	measure string
	metric  string
	subject string
	over    string // subject to compare with; "": the figure itself counts
	bound   float64
	atLeast bool // bound is a floor
}

var goals = []goal{
	{"relay over http: CPU per GiB, of nginx's", "http", "CPU s/GiB", "partway", "nginx", 0.65, false},
	{"relay over http: CPU per GiB, of HAProxy's with splice", "http", "CPU s/GiB", "partway", "HAProxy, splice", 0.75, false},
	{"relay over https: CPU per GiB, of nginx's", "https", "CPU s/GiB", "partway", "nginx", 1.3, false},
	{"redirect without trail: CPU us", "redirect", "CPU us each", "partway, no trail", "", 60, false},
	{"redirect with embedded trail: CPU us", "redirect", "CPU us each", "partway", "", 120, false},
	{"sign without trail: CPU us", "sign", "CPU us each", "partway, no trail", "", 60, false},
	{"sign with embedded trail: CPU us", "sign", "CPU us each", "partway", "", 120, false},
	{"calls of small uploads per second, of versitygw s3's", "control", "calls/s", "partway", "versitygw s3", 1, true},
	{"memory with 1,000 parts in flight, spliced: MiB", "memory", "peak RSS MiB", "partway, spliced", "", 64, false},
	{"memory with 1,000 parts in flight, aws-chunked: MiB", "memory", "peak RSS MiB", "partway, aws-chunked", "", 128, false},
	{"memory with 1,000 parts in flight, TLS on both legs: MiB", "memory", "peak RSS MiB", "partway, TLS", "", 128, false},
	{"an idle connection: KiB", "idle", "KiB each", "partway", "", 16, false},
	{"an idle connection with TLS: KiB", "idle", "KiB each", "partway, TLS", "", 16, false},
	{"a redirect with 100,000 uploads open: CPU, of that with one", "open", "redirect CPU us/call", "100000", "1", 1.2, false},
	{"Create and Abort with 100,000 uploads open: CPU, of that with one", "open", "Create + Abort CPU us/call", "100000", "1", 1.2, false},
}

// reached returns the figure, and whether it meets the bound; ok is false for what was not measured.
func (g *goal) reached(r *result) (value float64, met, ok bool) {
	if g.over != "" {
		value, ok = r.ratio(g.measure, g.metric, g.subject, g.over)
	} else if s := r.find(g.measure, g.subject, g.metric); s != nil {
		value, ok = s.median(), true
	}
	return value, value <= g.bound != g.atLeast || value == g.bound, ok
}

func (r *result) goalTable(w io.Writer) {
	fmt.Fprint(w, "\n## Targets\n\n| | bound | measured | |\n|---|---|---|---|\n")
	for _, g := range goals {
		value, met, ok := g.reached(r)
		if !ok {
			continue
		}
		relation, verdict := "<=", "**not met**"
		if g.atLeast {
			relation = ">="
		}
		if met {
			verdict = "met"
		}
		fmt.Fprintf(w, "| %s | %s %s | %s | %s |\n", g.what, relation, number(g.bound), number(value), verdict)
	}
}
