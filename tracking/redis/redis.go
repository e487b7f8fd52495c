// Package redis keeps the hot sessions and the tenants' rates in Redis, where all gateways share them.
//
// Each call is one script (rate.lua; else ledger.lua and the step's own), so it is one atomic step and one round trip, whose
// cost does not grow with the parts of the upload; Session alone reads them all. An upload has two keys, hash-tagged by its
// id so that a cluster keeps them together, and a tenant has one:
//
//	partway:{ID}:session    its state, its sum and a line per part
//	partway:{ID}:grants     the parts that lapse if they do not land
//	partway:{TENANT}:rate   when its next request is due
//
// Everything here may vanish: callers go on without it. So a call is bounded tightly and tried twice at most. Repeating one
// changes nothing in a session; in a rate it may count a request twice, when a connection broke. All this holds on one
// server and on a cluster (cluster.go).
package redis

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"partway/tracking"
)

// Config of Sessions.
type Config struct {
	URL     string        // redis://, rediss:// or unix://
	Cluster bool          // the URL names a server of a Redis Cluster; ?addr=HOST:PORT names more
	Timeout time.Duration // of one call, connecting included [250ms]
}

// Sessions is a tracking.Sessions on one Redis, a server or a cluster.
type Sessions struct {
	client  goredis.UniversalClient
	cluster *goredis.ClusterClient // client, if that is one
	timeout time.Duration
}

var _ tracking.Sessions = (*Sessions)(nil)

var (
	//go:embed ledger.lua
	ledgerLua string
	//go:embed put_state.lua
	putStateLua string
	//go:embed reserve.lua
	reserveLua string
	//go:embed land.lua
	landLua string
	//go:embed release.lua
	releaseLua string
	//go:embed part.lua
	partLua string
	//go:embed session.lua
	sessionLua string

	putState = goredis.NewScript(ledgerLua + putStateLua)
	reserve  = goredis.NewScript(ledgerLua + reserveLua)
	land     = goredis.NewScript(ledgerLua + landLua)
	release  = goredis.NewScript(ledgerLua + releaseLua)
	part     = goredis.NewScript(ledgerLua + partLua)
	session  = goredis.NewScript(ledgerLua + sessionLua)
)

// The client would print a line of its own to stderr for every failed connection; the caller gets each error anyway. The
// switch is the library's global, so it is thrown before anything runs.
func init() { logging.Disable() }

// Open checks the URL. It does not connect: the first call does, and later ones again whenever Redis was away.
func Open(c Config) (*Sessions, error) {
	if c.Timeout == 0 {
		c.Timeout = 250 * time.Millisecond
	}
	s := &Sessions{timeout: c.Timeout}
	var err error
	if c.Cluster {
		s.cluster, err = newCluster(c)
		s.client = s.cluster
	} else {
		s.client, err = newClient(c)
	}
	if err != nil {
		return nil, fmt.Errorf("redis: url: %w", err)
	}
	s.client.AddHook(spans{})
	return s, nil
}

// errNoURL stands for what is wrong with a URL, which would show all of it, or a piece of its password that seems to be a port, a database or an option.
var errNoURL = errors.New("no URL: of a user and a password, all but letters and digits is written as %2F is for a slash")

// parseURL refuses a URL in which the host ends before the password does, at a slash, a question mark or a hash of it.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errNoURL
	}
	if u.Opaque != "" || strings.Contains(u.EscapedPath()+u.RawQuery+u.EscapedFragment(), "@") {
		return nil, errNoURL
	}
	return u, nil
}

func newClient(c Config) (*goredis.Client, error) {
	if _, err := parseURL(c.URL); err != nil {
		return nil, err
	}
	o, err := goredis.ParseURL(c.URL)
	if err != nil {
		return nil, err
	}
	o.ContextTimeoutEnabled = true // the call's timeout bounds everything below
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = c.Timeout, c.Timeout, c.Timeout, c.Timeout
	o.DialerRetries = 1
	o.MaxRetries = 1 // for a pooled connection that broke meanwhile
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return goredis.NewClient(o), nil
}

// PutState implements tracking.Sessions.
func (s *Sessions) PutState(ctx context.Context, id string, state tracking.State, until time.Time) error {
	_, err := s.run(ctx, putState, id, string(state), until.UnixMilli()).Result()
	return failed("put state", err)
}

// What reserve.lua returns instead of a sum.
const (
	notOpen   = -1
	overLimit = -2
)

// Reserve implements tracking.Sessions. A sum past 2^53 bytes, which a double cannot count, is over the limit.
func (s *Sessions) Reserve(ctx context.Context, id string, parts []tracking.Part, maxBytes int64, until time.Time) (int64, error) {
	args := make([]any, 0, 2+4*len(parts))
	args = append(args, maxBytes, until.UnixMilli())
	for _, p := range parts {
		args = append(args, p.Number, p.Bytes, millis(p.Until), p.Road+" "+p.Checksum)
	}
	sum, err := s.run(ctx, reserve, id, args...).Int64()
	switch {
	case err != nil:
		return 0, failed("reserve", err)
	case sum == notOpen:
		return 0, fmt.Errorf("redis: reserve parts: %w", tracking.ErrNotOpen)
	case sum == overLimit:
		return 0, fmt.Errorf("redis: reserve parts: %w", tracking.ErrOverLimit)
	}
	return sum, nil
}

// Land implements tracking.Sessions.
func (s *Sessions) Land(ctx context.Context, id string, parts []tracking.Part, until time.Time) error {
	args := make([]any, 0, 1+4*len(parts))
	args = append(args, until.UnixMilli())
	for _, p := range parts {
		landed, err := json.Marshal(p.Landed)
		if err != nil {
			return fmt.Errorf("redis: land part %d: %w", p.Number, err)
		}
		args = append(args, p.Number, max(p.Bytes, p.Landed.Bytes), p.Road+" "+p.Checksum, landed)
	}
	return failed("land", s.run(ctx, land, id, args...).Err())
}

// Release implements tracking.Sessions.
func (s *Sessions) Release(ctx context.Context, id string, numbers ...int) error {
	args := make([]any, len(numbers))
	for i, n := range numbers {
		args[i] = n
	}
	return failed("release", s.run(ctx, release, id, args...).Err())
}

// Part implements tracking.Sessions.
func (s *Sessions) Part(ctx context.Context, id string, number int) (*tracking.Part, error) {
	fields, err := s.run(ctx, part, id, number).StringSlice()
	if err != nil {
		return nil, failed("read part", err)
	}
	found, err := parseSession(fields)
	if err != nil {
		return nil, failed("read part", err)
	}
	if len(found.Parts) == 0 {
		return nil, fmt.Errorf("redis: read part: %w", tracking.ErrNotFound)
	}
	return &found.Parts[0], nil
}

// Session implements tracking.Sessions.
func (s *Sessions) Session(ctx context.Context, id string) (*tracking.Session, error) {
	fields, err := s.run(ctx, session, id).StringSlice()
	if err != nil {
		return nil, failed("read session", err)
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf("redis: read session: %w", tracking.ErrNotFound)
	}
	found, err := parseSession(fields)
	return found, failed("read session", err)
}

// Forget implements tracking.Sessions.
func (s *Sessions) Forget(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return failed("forget session", s.client.Del(ctx, keys(id)...).Err())
}

// Ping asks Redis, of a cluster every master.
func (s *Sessions) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if s.cluster != nil {
		return failed("ping", s.eachMaster(ctx, healthy))
	}
	return failed("ping", s.client.Ping(ctx).Err())
}

// Close ends the connections.
func (s *Sessions) Close() error { return failed("close", s.client.Close()) }

// run names the script by its hash and sends it whole only to a Redis that does not know it yet.
func (s *Sessions) run(ctx context.Context, script *goredis.Script, id string, args ...any) *goredis.Cmd {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return script.Run(ctx, s.client, keys(id), args...)
}

func keys(id string) []string {
	return []string{"partway:{" + id + "}:session", "partway:{" + id + "}:grants"}
}

// failed says what was being done. Whatever Redis answers but a result (gone, loading, out of memory, read only), the
// caller goes on without it.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redis: %s: %w: %w", doing, tracking.ErrUnavailable, err)
}
