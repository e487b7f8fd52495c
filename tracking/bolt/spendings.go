package bolt

import (
	"context"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"partway/tracking"
)

func spendingKey(tenant, period string) []byte { return []byte(closed(tenant) + closed(period)) }

// spendingOf reads what a tenant spent. ErrNotFound.
func spendingOf(tx *bbolt.Tx, tenant, period string) (*tracking.Spending, error) {
	value := tx.Bucket(spendings).Get(spendingKey(tenant, period))
	if value == nil {
		return nil, tracking.ErrNotFound
	}
	var s tracking.Spending
	if err := json.Unmarshal(value, &s); err != nil {
		return nil, fmt.Errorf("decode spending: %w", err)
	}
	return &s, nil
}

func putSpending(tx *bbolt.Tx, s *tracking.Spending) error {
	value, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode spending: %w", err)
	}
	return tx.Bucket(spendings).Put(spendingKey(s.Tenant, s.Period), value)
}

// Charge is tracking.Spendings'.
func (s *Store) Charge(ctx context.Context, c tracking.Charge, p tracking.Pending, limit int64) (now *tracking.Spending, err error) {
	err = s.update(ctx, "charge a tenant", func(tx *bbolt.Tx) error {
		var err error
		now, err = spendingOf(tx, c.Tenant, c.Period)
		if refused(err) {
			now, err = &tracking.Spending{Tenant: c.Tenant, Period: c.Period, Pending: map[string]tracking.Pending{}}, nil
		}
		if err != nil {
			return err
		}
		if _, known := now.Pending[c.ID]; known {
			return nil
		}
		if p.Bytes > limit-now.Bytes {
			return tracking.ErrOverLimit
		}
		now.Pending[c.ID] = p
		now.Bytes += p.Bytes
		return putSpending(tx, now)
	})
	return now, err
}

// Settle is tracking.Spendings'.
func (s *Store) Settle(ctx context.Context, c tracking.Charge) error {
	return s.endCharge(ctx, "settle a charge", c, false)
}

// Refund is tracking.Spendings'.
func (s *Store) Refund(ctx context.Context, c tracking.Charge) error {
	return s.endCharge(ctx, "refund a charge", c, true)
}

func (s *Store) endCharge(ctx context.Context, doing string, c tracking.Charge, back bool) error {
	return s.update(ctx, doing, func(tx *bbolt.Tx) error {
		now, err := spendingOf(tx, c.Tenant, c.Period)
		if refused(err) {
			return nil
		}
		if err != nil {
			return err
		}
		p, known := now.Pending[c.ID]
		if !known {
			return nil
		}
		delete(now.Pending, c.ID)
		if back {
			now.Bytes -= p.Bytes
		}
		return putSpending(tx, now)
	})
}

// Spending is tracking.Spendings'.
func (s *Store) Spending(ctx context.Context, tenant, period string) (now *tracking.Spending, err error) {
	err = s.view(ctx, "read what a tenant spent", func(tx *bbolt.Tx) error {
		now, err = spendingOf(tx, tenant, period)
		return err
	})
	return now, err
}
