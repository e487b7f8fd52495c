//go:build nodemo

package main

import (
	"context"
	"errors"
)

const hasStorage = false

// serveObjects is left out of binaries that will only ever serve.
func serveObjects(context.Context, *childConfig) error {
	return errors.New("this binary was built with -tags nodemo and has no storage in it")
}
