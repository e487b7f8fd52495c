package main

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// panel is one bar chart: a bar for each subject, to its median, with a line from the least value to the most.
type panel struct {
	title string
	bars  []*series
}

const (
	plotWidth  = 760
	labelWidth = 190
	barHeight  = 18
	barGap     = 8
)

func (r *result) panel(title, measure, metric string) panel {
	p := panel{title: title}
	for _, subject := range r.subjects(measure) {
		if s := r.find(measure, subject, metric); s != nil {
			p.bars = append(p.bars, s)
		}
	}
	return p
}

func (r *result) relayPlot() []byte {
	return r.plot(
		r.panel("Relay over http, CPU seconds per GiB (less is better)", "http", "CPU s/GiB"),
		r.panel("Relay over https, TLS on both legs, CPU seconds per GiB (less is better)", "https", "CPU s/GiB"),
		r.panel("Relay over http, GiB per second (more is better)", "http", "GiB/s"),
	)
}

func (r *result) requestPlot() []byte {
	return r.plot(
		r.panel("Calls of small uploads per second, 64 connections (more is better)", "control", "calls/s"),
		r.panel("A redirect, microseconds of CPU (less is better)", "redirect", "CPU us each"),
		r.panel("A signed request for one part, microseconds of CPU (less is better)", "sign", "CPU us each"),
		r.panel("A redirect while so many uploads are open, microseconds of CPU", "open", "redirect CPU us/call"),
		r.panel("1,000 parts in flight, peak resident memory, MiB (less is better)", "memory", "peak RSS MiB"),
	)
}

// plot draws the panels that have bars, one below the other. nil if there are none.
func (r *result) plot(panels ...panel) []byte {
	panels = slices.DeleteFunc(panels, func(p panel) bool { return len(p.bars) == 0 })
	if len(panels) == 0 {
		return nil
	}
	var b strings.Builder
	y := 8
	for _, p := range panels {
		y = p.draw(&b, y)
	}
	fmt.Fprintf(&b, `<text x="8" y="%d" class="note">%s</text>`+"\n", y+12, html.EscapeString(fmt.Sprintf(
		"%s, %d CPUs, %s, medians of %d rounds with least and most; make bench", day(r.Date), r.CPUs, r.CPU, r.Rounds)))
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img">
<style>text{font:13px sans-serif;fill:#24292f}.title{font-weight:bold}.note{font-size:11px;fill:#57606a}</style>
<rect width="100%%" height="100%%" fill="#ffffff"/>
%s</svg>
`, plotWidth, y+24, b.String())
}

// draw returns where the next panel begins.
func (p *panel) draw(b *strings.Builder, y int) int {
	most := 0.0
	for _, s := range p.bars {
		most = max(most, slices.Max(s.Values))
	}
	scale := (plotWidth - labelWidth - 90) / most
	fmt.Fprintf(b, `<text x="8" y="%d" class="title">%s</text>`+"\n", y+14, html.EscapeString(p.title))
	y += 24
	for _, s := range p.bars {
		color := "#8c959f"
		if strings.HasPrefix(s.Subject, "partway") || s.Measure == "open" {
			color = "#0969da"
		}
		middle, length := y+barHeight/2, s.median()*scale
		from, to := labelWidth+slices.Min(s.Values)*scale, labelWidth+slices.Max(s.Values)*scale
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labelWidth-8, middle+5, html.EscapeString(s.Subject))
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, labelWidth, y, length, barHeight, color)
		fmt.Fprintf(b, `<path d="M%.1f %dH%.1f" stroke="#24292f"/>`, from, middle, to)
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", max(to, labelWidth+length)+8, middle+5, number(s.median()))
		y += barHeight + barGap
	}
	return y + barGap
}
