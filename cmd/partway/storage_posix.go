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

// serveObjects is an S3 server on a directory, until ctx ends. It changes the process's working directory (posix.New does),
// which is one reason why it runs in a process of its own; the other is that the demo's traffic to storage is then real.
func serveObjects(ctx context.Context, c *childConfig) error {
	for _, dir := range []string{c.Objects, c.SideCar} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	opts := posix.PosixOpts{CopyObjectThreshold: 5 << 30} // S3's own limit; zero refuses every copy
	var metadata meta.MetadataStorer = meta.XattrMeta{}
	if !hasXattrs(c.Objects) {
		sidecar, err := meta.NewSideCar(c.SideCar)
		if err != nil {
			return fmt.Errorf("metadata beside the objects: %w", err)
		}
		metadata, opts.SideCarDir = sidecar, c.SideCar
	}
	backend, err := posix.New(c.Objects, metadata, opts)
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

// hasXattrs finds out by writing one: some filesystems answer reads and refuse writes.
func hasXattrs(dir string) bool {
	const probe = "partway-probe"
	x := meta.XattrMeta{}
	if x.StoreAttribute(nil, dir, "", probe, []byte("1")) != nil {
		return false
	}
	return x.DeleteAttribute(dir, "", probe) == nil
}
