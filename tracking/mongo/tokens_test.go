//go:build servers

package mongo_test

import (
	"crypto/rand"
	"testing"
	"time"

	"partway/tracking"
	"partway/tracking/mongo"
	"partway/tracking/trackingtest/servers"
)

// The TTL index may remove an expired revocation between the insert that finds it and the update that was to move it forward.
// A thaw stands for it here.
func TestRevocationThatVanishesMeanwhileIsMadeAnew(t *testing.T) {
	for _, server := range servers.Mongo(t) {
		if !server.Ours() {
			continue
		}
		t.Run(server.Name, func(t *testing.T) {
			line, database := newLine(t, server.URI), "partway_test_"+rand.Text()
			at := func(uri string) *mongo.Store {
				s, err := mongo.Open(t.Context(), mongo.Config{URI: uri + "/?directConnection=true", Database: database})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				return s
			}
			other, s := at(server.URI), at(line.uri)
			freeze := tracking.Revocation{Tenant: "acme", Freeze: true, At: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
			if err := other.Revoke(t.Context(), freeze); err != nil {
				t.Fatal(err)
			}
			line.doBefore("update", func() {
				if err := other.Thaw(t.Context(), "acme"); err != nil {
					t.Error(err)
				}
			})
			if err := s.Revoke(t.Context(), freeze); err != nil {
				t.Fatal(err)
			}
			if all, err := other.Revocations(t.Context()); err != nil || len(all) != 1 {
				t.Errorf("revocations %v, %v, want the one that was made", all, err)
			}
		})
	}
}
