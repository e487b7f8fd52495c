//go:build !failpoints

package main

import (
	"time"

	"partway/tracking"
)

// withFailpoints is nothing outside of the tests of crashes.
func withFailpoints(store tracking.Store, sessions tracking.Sessions) (tracking.Store, tracking.Sessions) {
	return store, sessions
}

// now is the gateway's clock.
func now() time.Time { return time.Now() }
