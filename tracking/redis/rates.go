package redis

import (
	"context"
	_ "embed"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"partway/tracking"
)

var (
	//go:embed rate.lua
	rateLua string

	rate = goredis.NewScript(rateLua)
)

// Rates is a tracking.Rates that all gateways on one Redis share. It uses the connections of its Sessions.
type Rates struct {
	sessions *Sessions
	interval int64 // between two requests at the rate, in microseconds
}

var _ tracking.Rates = (*Rates)(nil)

// Rates allows perSecond requests, 1 to 1,000,000.
func (s *Sessions) Rates(perSecond int) *Rates {
	return &Rates{sessions: s, interval: time.Second.Microseconds() / int64(perSecond)}
}

// Take implements tracking.Rates.
func (r *Rates) Take(ctx context.Context, tenant string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, r.sessions.timeout)
	defer cancel()
	within, err := rate.Run(ctx, r.sessions.client, []string{"partway:{" + tenant + "}:rate"}, r.interval).Bool()
	return within, failed("take from the rate", err)
}
