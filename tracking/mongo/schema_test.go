//go:build servers

package mongo_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"partway/tracking/mongo"
	"partway/tracking/trackingtest/servers"
)

func TestADatabaseOfANewerVersionIsRefusedAndLeftAlone(t *testing.T) {
	for _, server := range servers.Mongo(t) {
		t.Run(server.Name, func(t *testing.T) {
			name := "partway_test_" + rand.Text()
			client, err := driver.Connect(options.Client().ApplyURI(server.URI))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Disconnect(t.Context())
			db := client.Database(name)
			open := func() error {
				s, err := mongo.Open(t.Context(), mongo.Config{URI: server.URI, Database: name})
				if err == nil {
					err = s.Close()
				}
				return err
			}
			if _, err := db.Collection("meta").InsertOne(t.Context(), bson.D{{Key: "_id", Value: "schema"}, {Key: "version", Value: 99}}); err != nil {
				t.Fatal(err)
			}
			err = open()
			if !errors.Is(err, mongo.ErrNewer) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "its schema is 99, this version knows 1") {
				t.Errorf("opened: %v", err)
			}
			if names, err := db.ListCollectionNames(t.Context(), bson.D{}); err != nil || len(names) != 1 {
				t.Errorf("collections %v, %v", names, err)
			}
			if _, err := db.Collection("meta").DeleteOne(t.Context(), bson.D{{Key: "_id", Value: "schema"}}); err != nil {
				t.Fatal(err)
			}
			for range 2 { // one from before versions were kept, then one of this version
				if err := open(); err != nil {
					t.Error(err)
				}
			}
			var kept struct{ Version int }
			if err := db.Collection("meta").FindOne(t.Context(), bson.D{}).Decode(&kept); err != nil || kept.Version != 1 {
				t.Errorf("version %d, %v", kept.Version, err)
			}
		})
	}
}
