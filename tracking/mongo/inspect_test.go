//go:build servers

package mongo_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"partway/tracking"
	"partway/tracking/mongo"
	"partway/tracking/trackingtest/servers"
)

func TestInspectSeesWhatIsThereAndLeavesNothing(t *testing.T) {
	for _, server := range servers.Mongo(t) {
		t.Run(server.Name, func(t *testing.T) {
			c := mongo.Config{URI: server.URI, Database: "partway_test_" + rand.Text()}
			client, err := driver.Connect(options.Client().ApplyURI(server.URI))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Disconnect(t.Context())
			db := client.Database(c.Database)
			inspect := func() *mongo.Inspection {
				t.Helper()
				found, err := mongo.Inspect(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if found.Version == "" || time.Since(found.Time).Abs() > time.Minute || found.Write != nil || found.Newest != 1 {
					t.Errorf("found %+v", found)
				}
				return found
			}
			if found := inspect(); found.Schema != 0 || !slices.Contains(found.Missing, "uploads.id") || !slices.Contains(found.Missing, "revocations.expiry") {
				t.Errorf("of an empty database: %+v", found)
			}
			if n, err := db.Collection("meta").CountDocuments(t.Context(), bson.D{}); err != nil || n != 0 {
				t.Errorf("left %d documents, %v", n, err)
			}
			store, err := mongo.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			if found := inspect(); found.Schema != 1 || len(found.Missing) != 0 {
				t.Errorf("of a database in use: %+v", found)
			}
			if err := db.Collection("batches").Indexes().DropOne(t.Context(), "tenant_oldest"); err != nil {
				t.Fatal(err)
			}
			if found := inspect(); !slices.Equal(found.Missing, []string{"batches.tenant_oldest"}) {
				t.Errorf("with one index less: %+v", found)
			}
		})
	}
}

func TestInspectOfAServerThatIsAway(t *testing.T) {
	_, err := mongo.Inspect(t.Context(), mongo.Config{URI: "mongodb://127.0.0.1:1", Database: "partway"})
	if !errors.Is(err, tracking.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}
