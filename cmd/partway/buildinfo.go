package main

import (
	"cmp"
	"runtime"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"
)

// buildInfo is a metric that says which binary runs, so that graphs can show when another came.
func buildInfo() prometheus.Collector {
	labels := prometheus.Labels{"version": "(devel)", "commit": "unknown", "go": runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		labels["version"] = cmp.Or(info.Main.Version, "(devel)")
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				labels["commit"] = s.Value
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "partway_build_info", Help: "1; the labels say what this binary is.", ConstLabels: labels})
	g.Set(1)
	return g
}
