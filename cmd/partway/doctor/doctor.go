// Package doctor finds out whether the servers behind a gateway keep what Partway promises on top of them, by trying. Mongo and Redis examine the
// stores (stores.go); the rest is about storage.
//
// One Storage is examined in this order, and what a step needs of those before it is checked there:
//
//   - reach.go: where its credentials are from, if they are not configured; it answers; its clock agrees with ours.
//   - bucket.go: the bucket is there, and the gateway's credentials may do what the gateway does.
//   - payload.go: which forms of a body it takes, and whether it verifies them.
//   - identity.go: what the identities that sign URLs can do beside what they are for.
//   - pages.go: whether web pages of the given origins may send parts, and read what became of them.
//   - attack.go: what the holder of a signed URL gets by adding to the request: another object's bytes, an ACL, metadata, tags.
//
// It writes and reads objects of its own alone, under a random prefix, and takes them away again however it ends (own.go).
package doctor

import (
	"context"
	"time"

	"partway/proxy/storage"
)

// Status of a Check.
type Status string

// The statuses. Warn is for what works as configured and could be safer; it fails no run.
const (
	OK   Status = "ok"
	Warn Status = "warn"
	Fail Status = "FAIL"
)

// Check is one thing that was tried.
type Check struct {
	Status Status `json:"status"`
	About  string `json:"about"` // a backend, "BACKEND/BUCKET", "mongodb", "redis" or, of a cluster, "redis HOST:PORT"
	Name   string `json:"check"`
	Seen   string `json:"seen"`
	Do     string `json:"do,omitempty"` // "" where nothing is to be done
}

// Storage is what to examine.
type Storage struct {
	Backend  *storage.Backend
	Endpoint string   // to show
	Buckets  []string // each is examined; one at least
	Prefix   string   // of the test objects, before their random one; "" or ending in "/"
	URLTTL   time.Duration

	OwnPutIdentity bool // presign_put is configured
	Role           bool // and assumes a role for each prefix
	GetIdentity    bool // presign_get is configured

	Origins []string // of pages that send parts by signed URLs
	Fix     bool     // give a bucket without CORS rules the one that they need
}

// requestTimeout bounds each request.
const requestTimeout = 15 * time.Second

// Examine tries everything and hands each Check to all, in order. A canceled ctx ends it early, with what it made taken away; what
// failed only because of that is not reported.
func (s *Storage) Examine(ctx context.Context, all func(Check)) {
	report := func(c Check) {
		if ctx.Err() == nil || c.Name == cleanUp {
			all(c)
		}
	}
	if !s.credentials(ctx, report) || !s.reach(ctx, report) {
		return
	}
	for i, bucket := range s.Buckets {
		s.bucket(ctx, bucket, i == 0, report)
	}
}

// bucket examines one bucket. The forms of a body are the server's and are tried in the first alone.
func (s *Storage) bucket(ctx context.Context, bucket string, first bool, report func(Check)) {
	x := &examination{Storage: s, bucket: bucket, report: report}
	x.own = newOwn(x)
	if !x.isThere(ctx) {
		return
	}
	defer x.own.remove(context.WithoutCancel(ctx))
	if !x.controls(ctx) {
		return
	}
	if first {
		x.payloads(ctx)
	}
	if !x.puts(ctx) {
		return
	}
	x.pages(ctx)
	x.putsOnly(ctx)
	if x.GetIdentity {
		x.getsOnly(ctx)
	}
	x.attacks(ctx)
}

// examination is of one bucket.
type examination struct {
	*Storage
	bucket string
	own    *own
	report func(Check)
}

func (x *examination) say(s Status, name, seen, do string) {
	x.report(Check{s, x.Backend.Name() + "/" + x.bucket, name, seen, do})
}
