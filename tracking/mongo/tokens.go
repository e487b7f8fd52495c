package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"partway/tracking"
)

// InsertToken implements tracking.Tokens.
func (s *Store) InsertToken(ctx context.Context, t *tracking.Token) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err := s.tokens.InsertOne(ctx, t)
	return failed("insert token "+t.ID, err)
}

// ListTokens implements tracking.Tokens.
func (s *Store) ListTokens(ctx context.Context, tenant string) ([]tracking.Token, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	filter := bson.D{}
	if tenant != "" {
		filter = bson.D{{Key: "tenant", Value: tenant}}
	}
	newest := bson.D{{Key: "created_at", Value: -1}, {Key: "_id", Value: -1}}
	found, err := s.tokens.Find(ctx, filter, options.Find().SetSort(newest))
	if err != nil {
		return nil, failed("list tokens", err)
	}
	var all []tracking.Token
	if err := found.All(ctx, &all); err != nil {
		return nil, failed("list tokens", err)
	}
	return all, nil
}

// revocationDocument is a revocation under its target: a later one of the same replaces its times.
type revocationDocument struct {
	ID                  string `bson:"_id"` // Target
	tracking.Revocation `bson:",inline"`
}

// Revoke implements tracking.Tokens. The revocation comes first: it is what the gateways read. If marking the token
// records fails then, the caller hears of it and revokes again.
func (s *Store) Revoke(ctx context.Context, r tracking.Revocation) error {
	target, err := r.Target()
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	ended := endedBy(r)
	if r.TokenID != "" {
		if err := s.tokens.FindOne(ctx, ended).Err(); err != nil {
			return failed("revoke "+target, err)
		}
	}
	if err := s.putRevocation(ctx, &revocationDocument{ID: target, Revocation: r}); err != nil || r.Freeze {
		return err
	}
	standing := bson.E{Key: "revoked_at", Value: bson.D{{Key: "$exists", Value: false}}}
	mark := bson.D{{Key: "$set", Value: bson.D{{Key: "revoked_at", Value: r.At}}}}
	_, err = s.tokens.UpdateMany(ctx, append(ended, standing), mark)
	return failed("mark the records of "+target+" as revoked", err)
}

// endedBy selects the records of the tokens that r ends for good.
func endedBy(r tracking.Revocation) bson.D {
	switch {
	case r.TokenID != "":
		return bson.D{{Key: "_id", Value: r.TokenID}}
	case r.KID != "":
		return bson.D{{Key: "kid", Value: r.KID}}
	}
	return bson.D{{Key: "tenant", Value: r.Tenant}, {Key: "created_at", Value: bson.D{{Key: "$lt", Value: r.At}}}}
}

// Thaw implements tracking.Tokens.
func (s *Store) Thaw(ctx context.Context, tenant string) error {
	target, err := tracking.Revocation{Tenant: tenant, Freeze: true}.Target()
	if err != nil {
		return fmt.Errorf("thaw: %w", err)
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	_, err = s.revocations.DeleteOne(ctx, bson.D{{Key: "_id", Value: target}})
	return failed("thaw tenant "+tenant, err)
}

// putRevocation inserts d or moves the times of the one that is there forward, never back.
func (s *Store) putRevocation(ctx context.Context, d *revocationDocument) error {
	forward := bson.D{{Key: "$max", Value: bson.D{{Key: "at", Value: d.At}, {Key: "expires_at", Value: d.ExpiresAt}}}}
	for {
		_, err := s.revocations.InsertOne(ctx, d)
		if err = failed("revoke "+d.ID, err); !errors.Is(err, tracking.ErrExists) {
			return err
		}
		r, err := s.revocations.UpdateOne(ctx, bson.D{{Key: "_id", Value: d.ID}}, forward)
		if err != nil || r.MatchedCount == 1 {
			return failed("revoke "+d.ID+" again", err)
		}
		// It was there and is gone: expired, and removed by the TTL index this moment.
	}
}

// Revocations implements tracking.Tokens. The TTL index removes the expired ones about once a minute, the query at once.
func (s *Store) Revocations(ctx context.Context) ([]tracking.Revocation, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	found, err := s.revocations.Find(ctx, bson.D{{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: s.now()}}}})
	if err != nil {
		return nil, failed("read revocations", err)
	}
	var all []tracking.Revocation
	if err := found.All(ctx, &all); err != nil {
		return nil, failed("read revocations", err)
	}
	return all, nil
}
