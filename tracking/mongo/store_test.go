//go:build servers

package mongo_test

import (
	"crypto/rand"
	"testing"

	"partway/tracking/mongo"
)

// open opens a database that nothing else uses. options are of the URI: while the server is away a test need not wait as
// long as the store does by itself.
func open(t *testing.T, uri, options string) *mongo.Store {
	t.Helper()
	s, err := mongo.Open(t.Context(), mongo.Config{URI: uri + "/?serverSelectionTimeoutMS=200" + options, Database: "partway_test_" + rand.Text()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
