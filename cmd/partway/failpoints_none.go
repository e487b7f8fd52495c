//go:build !failpoints

package main

import "partway/tracking"

// withFailpoints is nothing outside of the tests of crashes.
func withFailpoints(store tracking.Store, sessions tracking.Sessions) (tracking.Store, tracking.Sessions) {
	return store, sessions
}
