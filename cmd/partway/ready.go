package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// readiness is the ready file. serve writes its endpoint alone; the demo everything that a client or a test needs.
type readiness struct {
	Endpoint        string       `json:"endpoint"`
	StorageEndpoint string       `json:"storage_endpoint,omitempty"`
	Region          string       `json:"region,omitempty"`
	Bucket          string       `json:"bucket,omitempty"`
	Storage         *keyPair     `json:"storage,omitempty"`
	Operator        *demoAccount `json:"operator,omitempty"`
	Tenant          *demoAccount `json:"tenant,omitempty"`
}

type keyPair struct {
	AccessKeyID     string `json:"access_key_id"`
	SecretAccessKey string `json:"secret_access_key"`
}

// demoAccount is what the demo issued to one party.
type demoAccount struct {
	Name   string `json:"name,omitempty"`
	Prefix string `json:"prefix,omitempty"`
	keyPair
	Bearer string `json:"bearer"`
}

// removeReady takes away what an earlier run left, so that nobody who waits for the file finds that.
func removeReady(file string) error {
	if file == "" {
		return nil
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the old ready file: %w", err)
	}
	return nil
}

// writeReady writes the file whole: it is renamed into place, readable by this user alone, for it may hold secrets.
func writeReady(file string, r *readiness) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(file), ".ready-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing the ready file: %w", err)
	}
	_, err = part.Write(append(text, '\n'))
	err = errors.Join(err, part.Close())
	if err == nil {
		err = os.Rename(part.Name(), file)
	}
	if err != nil {
		os.Remove(part.Name())
		return fmt.Errorf("writing the ready file: %w", err)
	}
	return nil
}

// awaitReady returns true once the gateway and everything behind it answers, false when ctx ends first.
func (s *server) awaitReady(ctx context.Context) bool {
	// Storage may be away for long: ask less and less often.
	for pause := 20 * time.Millisecond; !s.gateway.Ready(ctx); pause = min(2*pause, 2*time.Second) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
	return true
}
