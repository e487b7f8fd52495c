package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"partway/web"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print what this binary is",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), versionText())
			return err
		},
	}
}

// versionText says what the Go command noted when it built this binary in a clone of the repository: the tag, or what comes before it,
// and the commit. Nothing is passed in by the linker, so that a build of the same commit is the same binary.
func versionText() string {
	_, pages := web.Pages()
	var text strings.Builder
	for _, line := range versionOf(readBuildInfo(), pages, hasStorage) {
		fmt.Fprintf(&text, "%-8s %s\n", line[0], line[1])
	}
	return text.String()
}

func readBuildInfo() *debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info
	}
	return new(debug.BuildInfo)
}

func settingsOf(info *debug.BuildInfo) map[string]string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	return settings
}

const noVersion = "(devel)"

func versionOf(info *debug.BuildInfo, pages, storage bool) [][2]string {
	settings := settingsOf(info)
	commit := cmp.Or(settings["vcs.revision"], "unknown: built outside of a clone")
	if settings["vcs.modified"] == "true" {
		commit += ", with changes"
	}
	if at := settings["vcs.time"]; at != "" {
		commit += " of " + at
	}
	holds := []string{"gateway", "clients"}
	if pages {
		holds = append(holds, "pages")
	}
	if storage {
		holds = append(holds, "the demo's storage")
	}
	return [][2]string{
		{"partway", cmp.Or(info.Main.Version, noVersion)},
		{"commit", commit},
		{"go", fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)},
		{"holds", strings.Join(holds, ", ")},
	}
}

// buildMetric says which binary runs, so that graphs can show when another came.
func buildMetric() prometheus.Collector {
	info := readBuildInfo()
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "partway_build_info", Help: "1; the labels say what this binary is.", ConstLabels: prometheus.Labels{
		"version": cmp.Or(info.Main.Version, noVersion),
		"commit":  cmp.Or(settingsOf(info)["vcs.revision"], "unknown"),
		"go":      runtime.Version(),
	}})
	g.Set(1)
	return g
}
