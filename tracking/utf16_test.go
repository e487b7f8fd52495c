//go:build servers

package tracking_test

import (
	"context"
	"time"

	"partway/tracking"
)

// spelled is a store on mongo-java-server, which compares strings by their UTF-16 units where MongoDB and S3 compare UTF-8
// bytes: U+FFFF sorts behind U+10000 there. It is given each byte of a key as one character of U+0000 to U+00FF, of which
// every order is the same. So the server passes the suite by all its other rules.
type spelled struct{ tracking.Store }

func spell(key string) string {
	var s []rune
	for _, b := range []byte(key) {
		s = append(s, rune(b))
	}
	return string(s)
}

func unspell(s string) string {
	var key []byte
	for _, r := range s {
		key = append(key, byte(r))
	}
	return string(key)
}

// with calls write for u in its spelling.
func with(u *tracking.Upload, write func(*tracking.Upload) error) error {
	key := u.Key
	u.Key = spell(key)
	defer func() { u.Key = key }()
	return write(u)
}

func (s spelled) InsertUpload(ctx context.Context, u *tracking.Upload) error {
	return with(u, func(u *tracking.Upload) error { return s.Store.InsertUpload(ctx, u) })
}

func (s spelled) SwapUpload(ctx context.Context, u *tracking.Upload) error {
	return with(u, func(u *tracking.Upload) error { return s.Store.SwapUpload(ctx, u) })
}

func (s spelled) Upload(ctx context.Context, id string) (*tracking.Upload, error) {
	u, err := s.Store.Upload(ctx, id)
	if err == nil {
		u.Key = unspell(u.Key)
	}
	return u, err
}

func (s spelled) ListUploads(ctx context.Context, q tracking.UploadQuery) ([]tracking.Upload, string, error) {
	q.Prefix = spell(q.Prefix)
	page, next, err := s.Store.ListUploads(ctx, q)
	return unspellAll(page), next, err
}

func (s spelled) OpenUploads(ctx context.Context, q tracking.OpenQuery) ([]tracking.Upload, error) {
	q.Prefix, q.AfterKey = spell(q.Prefix), spell(q.AfterKey)
	page, err := s.Store.OpenUploads(ctx, q)
	return unspellAll(page), err
}

func (s spelled) DueUploads(ctx context.Context, q tracking.DueQuery) ([]tracking.Upload, error) {
	page, err := s.Store.DueUploads(ctx, q)
	return unspellAll(page), err
}

func (s spelled) Intents(ctx context.Context, q tracking.IntentQuery) ([]tracking.Upload, error) {
	page, err := s.Store.Intents(ctx, q)
	return unspellAll(page), err
}

func (s spelled) DueNotices(ctx context.Context, before time.Time, limit int) ([]tracking.Upload, error) {
	page, err := s.Store.DueNotices(ctx, before, limit)
	return unspellAll(page), err
}

func (s spelled) NewestIntent(ctx context.Context, bucket, key string) (*tracking.Upload, error) {
	u, err := s.Store.NewestIntent(ctx, bucket, spell(key))
	if err == nil {
		u.Key = unspell(u.Key)
	}
	return u, err
}

func unspellAll(page []tracking.Upload) []tracking.Upload {
	for i := range page {
		page[i].Key = unspell(page[i].Key)
	}
	return page
}
