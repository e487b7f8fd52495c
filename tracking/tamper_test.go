//go:build servers

package tracking_test

import (
	"crypto/rand"
	"fmt"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"partway/tracking"
	"partway/tracking/mongo"
	"partway/tracking/trackingtest"
	"partway/tracking/trackingtest/servers"
)

// rawMongo is a database in the hands of somebody who may write to it and has no key.
type rawMongo struct {
	t       *testing.T
	batches *driver.Collection
}

func id(writer string, seq int64) bson.D {
	return bson.D{{Key: "_id", Value: fmt.Sprintf("%s-%020d", writer, seq)}}
}

func (r rawMongo) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r rawMongo) read(writer string, seq int64) (b tracking.Batch) {
	r.t.Helper()
	r.must(r.batches.FindOne(r.t.Context(), id(writer, seq)).Decode(&b))
	return b
}

func (r rawMongo) write(writer string, seq int64, b tracking.Batch) {
	r.t.Helper()
	_, err := r.batches.ReplaceOne(r.t.Context(), id(writer, seq), b)
	r.must(err)
}

func (r rawMongo) Edit(writer string, seq int64, change func(*tracking.Batch)) {
	r.t.Helper()
	b := r.read(writer, seq)
	change(&b)
	r.write(writer, seq, b)
}

func (r rawMongo) Drop(writer string, seq int64) {
	r.t.Helper()
	_, err := r.batches.DeleteOne(r.t.Context(), id(writer, seq))
	r.must(err)
}

func (r rawMongo) Swap(writer string, seq, other int64) {
	r.t.Helper()
	a, b := r.read(writer, seq), r.read(writer, other)
	r.write(writer, seq, b)
	r.write(writer, other, a)
}

func TestTamperingInMongo(t *testing.T) {
	for _, server := range servers.Mongo(t) {
		t.Run(server.Name, func(t *testing.T) {
			client, err := driver.Connect(options.Client().ApplyURI(server.URI))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = client.Disconnect(t.Context()) })
			open := func(t *testing.T) (tracking.Store, trackingtest.Raw) {
				name := "partway_test_" + rand.Text()
				s, err := mongo.Open(t.Context(), mongo.Config{URI: server.URI, Database: name})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				return s, rawMongo{t, client.Database(name).Collection("batches")}
			}
			trackingtest.Tampering(t, open)
			trackingtest.Auditing(t, open)
		})
	}
}
