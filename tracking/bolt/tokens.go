package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"partway/tracking"
)

// InsertToken is tracking.Tokens'.
func (s *Store) InsertToken(ctx context.Context, t *tracking.Token) error {
	return s.update(ctx, "insert token record", func(tx *bbolt.Tx) error {
		if tx.Bucket(tokens).Get([]byte(t.ID)) != nil {
			return tracking.ErrExists
		}
		key := closed(t.Tenant) + instant(t.CreatedAt) + t.ID
		if err := tx.Bucket(tokensByTenant).Put([]byte(key), []byte(t.ID)); err != nil {
			return err
		}
		return putToken(tx, t)
	})
}

func putToken(tx *bbolt.Tx, t *tracking.Token) error {
	value, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("encode token: %w", err)
	}
	return tx.Bucket(tokens).Put([]byte(t.ID), value)
}

// tokenOf reads a token's record. ErrNotFound.
func tokenOf(tx *bbolt.Tx, id []byte) (t tracking.Token, err error) {
	value := tx.Bucket(tokens).Get(id)
	if value == nil {
		return t, tracking.ErrNotFound
	}
	if err := json.Unmarshal(value, &t); err != nil {
		return t, fmt.Errorf("decode token: %w", err)
	}
	return t, nil
}

// tokensOf reads the records of a tenant ("": of all), oldest first within each tenant.
func tokensOf(tx *bbolt.Tx, tenant string) (list []tracking.Token, err error) {
	prefix := ""
	if tenant != "" {
		prefix = closed(tenant)
	}
	c := tx.Bucket(tokensByTenant).Cursor()
	for key, id := c.Seek([]byte(prefix)); key != nil && bytes.HasPrefix(key, []byte(prefix)); key, id = c.Next() {
		t, err := tokenOf(tx, id)
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// ListTokens is tracking.Tokens'.
func (s *Store) ListTokens(ctx context.Context, tenant string) (list []tracking.Token, err error) {
	err = s.view(ctx, "list token records", func(tx *bbolt.Tx) error {
		list, err = tokensOf(tx, tenant)
		return err
	})
	slices.SortStableFunc(list, func(a, b tracking.Token) int { return b.CreatedAt.Compare(a.CreatedAt) })
	return list, err
}

// Revoke is tracking.Tokens'. It also drops revocations that have expired, so that they do not pile up.
func (s *Store) Revoke(ctx context.Context, r tracking.Revocation) error {
	target, err := r.Target()
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return s.update(ctx, "revoke", func(tx *bbolt.Tx) error {
		ends, err := endedBy(tx, r)
		if err != nil {
			return err
		}
		for _, t := range ends {
			t.RevokedAt = r.At
			if err := putToken(tx, &t); err != nil {
				return err
			}
		}
		if err := dropExpired(tx, s.now()); err != nil {
			return err
		}
		return putRevocation(tx, target, r)
	})
}

// Thaw is tracking.Tokens'.
func (s *Store) Thaw(ctx context.Context, tenant string) error {
	target, err := tracking.Revocation{Tenant: tenant, Freeze: true}.Target()
	if err != nil {
		return fmt.Errorf("thaw: %w", err)
	}
	return s.update(ctx, "thaw", func(tx *bbolt.Tx) error { return tx.Bucket(revocations).Delete([]byte(target)) })
}

// endedBy are the tokens that r ends and that nothing has ended before.
func endedBy(tx *bbolt.Tx, r tracking.Revocation) ([]tracking.Token, error) {
	if r.TokenID != "" {
		t, err := tokenOf(tx, []byte(r.TokenID))
		if err != nil || !t.RevokedAt.IsZero() {
			return nil, err
		}
		return []tracking.Token{t}, nil
	}
	if r.Freeze {
		return nil, nil
	}
	list, err := tokensOf(tx, r.Tenant) // of a key: of all tenants
	return slices.DeleteFunc(list, func(t tracking.Token) bool {
		ended := t.CreatedAt.Before(r.At)
		if r.KID != "" {
			ended = t.KID == r.KID
		}
		return !ended || !t.RevokedAt.IsZero()
	}), err
}

// putRevocation writes r, or moves the one that has the same target forward, never back.
func putRevocation(tx *bbolt.Tx, target string, r tracking.Revocation) error {
	key := []byte(target)
	if value := tx.Bucket(revocations).Get(key); value != nil {
		var old tracking.Revocation
		if err := json.Unmarshal(value, &old); err != nil {
			return fmt.Errorf("decode revocation: %w", err)
		}
		r.At, r.ExpiresAt = later(r.At, old.At), later(r.ExpiresAt, old.ExpiresAt)
	}
	value, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode revocation: %w", err)
	}
	return tx.Bucket(revocations).Put(key, value)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// revocationsAt are those that have expired at now, or those that have not.
func revocationsAt(tx *bbolt.Tx, now time.Time, expired bool) (list []tracking.Revocation, err error) {
	err = tx.Bucket(revocations).ForEach(func(_, value []byte) error {
		var r tracking.Revocation
		if err := json.Unmarshal(value, &r); err != nil {
			return fmt.Errorf("decode revocation: %w", err)
		}
		if r.ExpiresAt.After(now) != expired {
			list = append(list, r)
		}
		return nil
	})
	return list, err
}

func dropExpired(tx *bbolt.Tx, now time.Time) error {
	list, err := revocationsAt(tx, now, true)
	for _, r := range list {
		target, _ := r.Target() // it has one, or it would not have been stored
		err = errors.Join(err, tx.Bucket(revocations).Delete([]byte(target)))
	}
	return err
}

// Revocations is tracking.Tokens'.
func (s *Store) Revocations(ctx context.Context) (list []tracking.Revocation, err error) {
	err = s.view(ctx, "list revocations", func(tx *bbolt.Tx) error {
		list, err = revocationsAt(tx, s.now(), false)
		return err
	})
	return list, err
}
