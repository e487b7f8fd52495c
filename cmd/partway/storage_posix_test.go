//go:build !nodemo

package main

import (
	"os"
	"testing"

	"github.com/versity/versitygw/backend/meta"
)

func TestMetadataGoesBesideWhereThereAreNoXattrs(t *testing.T) {
	// procfs takes no attributes, whoever asks.
	c := &childConfig{Objects: "/proc/self", SideCar: t.TempDir()}
	metadata, dir, err := metadataOf(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, beside := metadata.(meta.SideCar); !beside || dir != c.SideCar {
		t.Errorf("got %T in %q", metadata, dir)
	}
}

func TestProbeForXattrsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if !hasXattrs(dir) {
		t.Logf("%s has no user xattrs: the demo keeps metadata beside the objects here", dir)
	}
	if left, err := (meta.XattrMeta{}).ListAttributes(dir, ""); err == nil && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}
