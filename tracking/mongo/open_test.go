package mongo_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"partway/tracking"
	"partway/tracking/mongo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOpenRefusesABadConfigWithoutShowingItsPassword(t *testing.T) {
	for _, c := range []struct {
		name   string
		config mongo.Config
	}{
		{"no database", mongo.Config{URI: "mongodb://alice:hunter2@127.0.0.1"}},
		{"no uri", mongo.Config{Database: "partway"}},
		{"scheme", mongo.Config{Database: "partway", URI: "http://alice:hunter2@127.0.0.1"}},
		{"port", mongo.Config{Database: "partway", URI: "mongodb://alice:hunter2@127.0.0.1:port"}},
		{"escape", mongo.Config{Database: "partway", URI: "mongodb://alice:hunter2%zz@127.0.0.1"}},
		{"option", mongo.Config{Database: "partway", URI: "mongodb://alice:hunter2@127.0.0.1/?maxPoolSize=many"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := mongo.Open(t.Context(), c.config)
			if err == nil || errors.Is(err, tracking.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestOpenWithoutAServer(t *testing.T) {
	mustBeUnavailable(t, "Open", func() error {
		_, err := mongo.Open(t.Context(), mongo.Config{URI: "mongodb://127.0.0.1:1", Database: "partway"})
		return err
	})
}

func mustBeUnavailable(t *testing.T, name string, call func() error) {
	t.Helper()
	const bound = 3 * time.Second // the timeout is 2 s; the rest is for a busy machine
	started := time.Now()
	err := call()
	if took := time.Since(started); took > bound {
		t.Errorf("%s took %v", name, took)
	}
	if !errors.Is(err, tracking.ErrUnavailable) {
		t.Errorf("%s: error %v, want ErrUnavailable", name, err)
	}
}
