package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
)

// storageChild is the name of the hidden command that the demo starts its storage with.
const storageChild = "storage-child"

// childConfig is what the demo tells its storage on standard input: there, because the credentials would show in arguments
// and environment. The pipe then stays open, and the child ends when it closes, that is, with its parent however that ends.
type childConfig struct {
	Listen          string `json:"listen"` // HOST:PORT
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
	Region          string `json:"region"`
	Objects         string `json:"objects"` // directory of the objects
	SideCar         string `json:"sidecar"` // directory of their metadata, where the filesystem has no user xattrs
}

func newStorageChild() *cobra.Command {
	return &cobra.Command{
		Use:    storageChild,
		Hidden: true,
		Args:   noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Ctrl-C reaches the whole process group; storage must outlive the gateway's drain.
			signal.Ignore(os.Interrupt)
			stdin := json.NewDecoder(os.Stdin)
			var c childConfig
			if err := stdin.Decode(&c); err != nil {
				return fmt.Errorf("reading the parent's instructions: %w", err)
			}
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			go func() {
				// Ends with the process at the latest. Whatever the read says, the parent is gone or wants us gone.
				_, _ = io.Copy(io.Discard, os.Stdin)
				cancel()
			}()
			if err := serveObjects(ctx, &c); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("storage: %w", err)
			}
			return nil
		},
	}
}
