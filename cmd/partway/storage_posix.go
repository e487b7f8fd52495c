//go:build !nodemo

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

const hasStorage = true

// serveObjects is an S3 server on a directory, until ctx ends. It changes the process's working directory (posix.New does),
// which is one reason why it runs in a process of its own; the other is that the demo's traffic to storage is then real.
func serveObjects(ctx context.Context, c *childConfig) error {
	for _, dir := range []string{c.Objects, c.SideCar} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	metadata, sideCarDir, err := metadataOf(c)
	if err != nil {
		return err
	}
	// The threshold is S3's own; zero refuses every copy.
	backend, err := posix.New(c.Objects, metadata, posix.PosixOpts{CopyObjectThreshold: 5 << 30, SideCarDir: sideCarDir})
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess:    c.AccessKeyID,
		RootUserSecret:    c.SecretAccessKey,
		Region:            c.Region,
		Ports:             []string{c.Listen},
		Quiet:             true,
		KeepAlive:         true,
		MaxConnections:    1024,
		MaxRequests:       512,
		MultipartMaxParts: 10000,
	})
}

// metadataOf keeps the objects' metadata in extended attributes where the filesystem has them, else in files beside.
func metadataOf(c *childConfig) (metadata meta.MetadataStorer, sideCarDir string, err error) {
	if hasXattrs(c.Objects) {
		return meta.XattrMeta{}, "", nil
	}
	beside, err := meta.NewSideCar(c.SideCar)
	if err != nil {
		return nil, "", fmt.Errorf("metadata beside the objects: %w", err)
	}
	return beside, c.SideCar, nil
}

// hasXattrs finds out by writing one: some filesystems answer reads and refuse writes.
func hasXattrs(dir string) bool {
	const probe = "partway-probe"
	x := meta.XattrMeta{}
	if x.StoreAttribute(nil, dir, "", probe, []byte("1")) != nil {
		return false
	}
	return x.DeleteAttribute(dir, "", probe) == nil
}
