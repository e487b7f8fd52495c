package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// measures in the order of the report, each with the subject that others are compared with, by the first of their metrics that has a ratio.
var measures = []struct{ name, title, baseline, ratio string }{
	{"http", "Relay over http: parts of 64 MiB, 4 at a time", "nginx", "CPU s/GiB"},
	{"https", "Relay over https, TLS 1.3 on both legs: parts of 64 MiB, 4 at a time", "nginx", "CPU s/GiB"},
	{"parts, http", "Parts of 8 MiB over http, 4 at a time", "nginx", "CPU s/GiB"},
	{"parts, https", "Parts of 8 MiB over https, 4 at a time", "nginx", "CPU s/GiB"},
	{"control", "Small uploads (Create, UploadPart of 1 KiB, ListParts, Complete) on 64 connections; CPU of `nothing` is the sink's", "versitygw s3", "calls/s"},
	{"redirect", "Redirect: UploadParts signed with SigV4, on keep-alive connections; each audited durably before its answer, but for `no trail`", "", ""},
	{"sign", "Sign: a signed request for one part, on keep-alive connections", "", ""},
	{"memory", "1,000 parts in flight", "", ""},
	{"idle", "Idle keep-alive connections, resident memory", "", ""},
	{"open", "Requests while uploads are open, embedded tracking", "1", "redirect CPU us/call"},
	{"tenants", "Requests of so many tenants, each with a token and an upload of its own, embedded tracking", "1", "redirect CPU us/call"},
	{"direct", "aws s3 cp to the demo's storage", "straight to storage", "seconds"},
}

// text is the run as Markdown.
func (r *result) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s, %s, %d CPUs, Linux %s, load %s at the start, loopback.", r.Date.Format("2006-01-02 15:04 UTC"), r.Go, r.CPU, r.CPUs, r.Kernel, r.Load)
	if r.Revision != "" {
		fmt.Fprintf(&b, " Revision %s.", r.Revision)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, " %s %s.", name, r.Versions[name])
	}
	fmt.Fprintf(&b, "\n\nMedians of %d rounds (least to most); each round takes every subject once. Storage is a discarding sink. CPU is of the process between client and storage.\n", r.Rounds)
	r.goalTable(&b)
	for _, m := range measures {
		subjects := r.subjects(m.name)
		if len(subjects) == 0 {
			continue
		}
		columns := r.columns(m.name)
		fmt.Fprintf(&b, "\n## %s\n\n|", m.title)
		for _, c := range columns {
			fmt.Fprintf(&b, " | %s", strings.Replace(c, " p50", " p50 / p95 / p99", 1))
		}
		if m.ratio != "" {
			fmt.Fprintf(&b, " | %s x %s", m.ratio, m.baseline)
		}
		b.WriteString(" |\n|---" + strings.Repeat("|---", len(columns)+min(1, len(m.ratio))) + "|\n")
		for _, subject := range subjects {
			fmt.Fprintf(&b, "| %s", subject)
			for _, c := range columns {
				fmt.Fprintf(&b, " | %s", r.cell(m.name, subject, c))
			}
			if m.ratio != "" {
				fmt.Fprintf(&b, " | %s", r.ratioCell(m.name, subject, m.ratio, m.baseline))
			}
			b.WriteString(" |\n")
		}
	}
	return b.String()
}

// columns are the metrics of a measure; of percentiles the first stands for all.
func (r *result) columns(measure string) (out []string) {
	for _, s := range r.Series {
		if s.Measure == measure && !slices.Contains(out, s.Metric) && !strings.HasSuffix(s.Metric, " p95") && !strings.HasSuffix(s.Metric, " p99") {
			out = append(out, s.Metric)
		}
	}
	return out
}

func (r *result) cell(measure, subject, metric string) string {
	s := r.find(measure, subject, metric)
	if s == nil {
		return ""
	}
	if stem, ok := strings.CutSuffix(metric, " p50"); ok {
		p95, p99 := r.find(measure, subject, stem+" p95"), r.find(measure, subject, stem+" p99")
		return fmt.Sprintf("%s / %s / %s", number(s.median()), number(p95.median()), number(p99.median()))
	}
	if len(s.Values) == 1 {
		return number(s.median())
	}
	return fmt.Sprintf("%s (%s to %s)", number(s.median()), number(slices.Min(s.Values)), number(slices.Max(s.Values)))
}

func (r *result) ratioCell(measure, subject, metric, baseline string) string {
	ratio, ok := r.ratio(measure, metric, subject, baseline)
	if !ok {
		return ""
	}
	return number(ratio)
}

// ratio of two medians.
func (r *result) ratio(measure, metric, subject, baseline string) (float64, bool) {
	s, base := r.find(measure, subject, metric), r.find(measure, baseline, metric)
	if s == nil || base == nil || base.median() == 0 {
		return 0, false
	}
	return s.median() / base.median(), true
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 20:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func day(t time.Time) string { return t.Format("2 January 2006") }
