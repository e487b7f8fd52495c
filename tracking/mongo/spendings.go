package mongo

import (
	"context"
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"partway/tracking"
)

// spendingDocument is a Spending under the id that makes a second one of the same tenant and period impossible. No tenant's name has
// a slash.
type spendingDocument struct {
	ID                string `bson:"_id"` // tenant/period
	tracking.Spending `bson:",inline"`
}

func spendingID(tenant, period string) string { return tenant + "/" + period }

// chargeTries bounds how often Charge looks why its step did not match: each time somebody else's charge came or went in between.
const chargeTries = 8

// Charge implements tracking.Spendings. The limit is part of the filter, so the document itself refuses; none is read first.
func (s *Store) Charge(ctx context.Context, c tracking.Charge, p tracking.Pending, limit int64) (*tracking.Spending, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	const doing = "charge a tenant"
	entry := "pending." + c.ID
	within := bson.D{
		{Key: "_id", Value: spendingID(c.Tenant, c.Period)},
		{Key: "bytes", Value: bson.D{{Key: "$lte", Value: limit - p.Bytes}}},
		{Key: entry, Value: bson.D{{Key: "$exists", Value: false}}},
	}
	enter := bson.D{
		{Key: "$inc", Value: bson.D{{Key: "bytes", Value: p.Bytes}}},
		{Key: "$set", Value: bson.D{{Key: entry, Value: p}}},
	}
	after := options.FindOneAndUpdate().SetReturnDocument(options.After)
	for range chargeTries {
		var now spendingDocument
		err := s.spendings.FindOneAndUpdate(ctx, within, enter, after).Decode(&now)
		if err == nil {
			return &now.Spending, nil
		}
		if !errors.Is(err, driver.ErrNoDocuments) {
			return nil, failed(doing, err)
		}
		found, err := s.spending(ctx, doing, c.Tenant, c.Period)
		switch {
		case errors.Is(err, tracking.ErrNotFound) && p.Bytes > limit:
			return &tracking.Spending{Tenant: c.Tenant, Period: c.Period}, fmt.Errorf("mongodb: %s: %w", doing, tracking.ErrOverLimit)
		case errors.Is(err, tracking.ErrNotFound):
			err = s.firstSpending(ctx, c)
			if err != nil {
				return nil, failed(doing, err)
			}
			continue
		case err != nil:
			return nil, err
		}
		if _, known := found.Pending[c.ID]; known {
			return found, nil
		}
		if found.Bytes > limit-p.Bytes {
			return found, fmt.Errorf("mongodb: %s: %w", doing, tracking.ErrOverLimit)
		}
	}
	return nil, failed(doing, errors.New("the total kept changing"))
}

// firstSpending makes the document of a period, unless another gateway is there first.
func (s *Store) firstSpending(ctx context.Context, c tracking.Charge) error {
	empty := tracking.Spending{Tenant: c.Tenant, Period: c.Period, Pending: map[string]tracking.Pending{}}
	_, err := s.spendings.InsertOne(ctx, &spendingDocument{ID: spendingID(c.Tenant, c.Period), Spending: empty})
	if err != nil && isDuplicate(err) {
		return nil
	}
	return err
}

// Settle implements tracking.Spendings.
func (s *Store) Settle(ctx context.Context, c tracking.Charge) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	drop := bson.D{{Key: "$unset", Value: bson.D{{Key: "pending." + c.ID, Value: ""}}}}
	_, err := s.spendings.UpdateOne(ctx, bson.D{{Key: "_id", Value: spendingID(c.Tenant, c.Period)}}, drop)
	return failed("settle a charge", err)
}

// Refund implements tracking.Spendings. A charge never changes while it is pending, so what was read of it still holds if it is there.
func (s *Store) Refund(ctx context.Context, c tracking.Charge) error {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	const doing = "refund a charge"
	found, err := s.spending(ctx, doing, c.Tenant, c.Period)
	if errors.Is(err, tracking.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	p, known := found.Pending[c.ID]
	if !known {
		return nil
	}
	entry := "pending." + c.ID
	pending := bson.D{{Key: "_id", Value: spendingID(c.Tenant, c.Period)}, {Key: entry, Value: bson.D{{Key: "$exists", Value: true}}}}
	back := bson.D{
		{Key: "$inc", Value: bson.D{{Key: "bytes", Value: -p.Bytes}}},
		{Key: "$unset", Value: bson.D{{Key: entry, Value: ""}}},
	}
	_, err = s.spendings.UpdateOne(ctx, pending, back)
	return failed(doing, err)
}

// Spending implements tracking.Spendings.
func (s *Store) Spending(ctx context.Context, tenant, period string) (*tracking.Spending, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	return s.spending(ctx, "read what a tenant spent", tenant, period)
}

func (s *Store) spending(ctx context.Context, doing, tenant, period string) (*tracking.Spending, error) {
	var found spendingDocument
	err := s.spendings.FindOne(ctx, bson.D{{Key: "_id", Value: spendingID(tenant, period)}}).Decode(&found)
	if err != nil {
		return nil, failed(doing, err)
	}
	return &found.Spending, nil
}
