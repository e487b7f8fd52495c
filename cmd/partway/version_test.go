package main

import (
	"runtime/debug"
	"testing"
)

func TestVersionSaysWhatWasBuilt(t *testing.T) {
	clone := []debug.BuildSetting{{Key: "vcs.revision", Value: "c9de0d3"}, {Key: "vcs.time", Value: "2026-11-25T22:42:41Z"}, {Key: "vcs.modified", Value: "false"}}
	changed := append(clone[:2:2], debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	for _, tt := range []struct {
		name           string
		info           debug.BuildInfo
		pages, storage bool
		want           [3]string // version, commit, what it holds
	}{
		{"a release", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: clone}, true, false,
			[3]string{"v1.2.3", "c9de0d3 of 2026-11-25T22:42:41Z", "gateway, clients, pages"}},
		{"a changed clone", debug.BuildInfo{Main: debug.Module{Version: "v1.2.3+dirty"}, Settings: changed}, false, true,
			[3]string{"v1.2.3+dirty", "c9de0d3, with changes of 2026-11-25T22:42:41Z", "gateway, clients, the demo's storage"}},
		{"no clone", debug.BuildInfo{}, false, false,
			[3]string{"(devel)", "unknown: built outside of a clone", "gateway, clients"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lines := versionOf(&tt.info, tt.pages, tt.storage)
			if got := [3]string{lines[0][1], lines[1][1], lines[3][1]}; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
