// Package memory keeps hot sessions in the process: the cache of a single gateway that has no Redis.
package memory

import (
	"container/heap"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"partway/tracking"
)

// Config of Sessions.
type Config struct {
	// Lines bounds the memory: part lines plus sessions, some 400 bytes each [1 << 20]. Past it the sessions that would expire
	// first are dropped, which a cache may do.
	Lines int
	Now   func() time.Time // what sessions and grants expire by [time.Now]
}

// Sessions is a tracking.Sessions. Expired sessions are swept by the calls that follow, oldest first, so it needs no goroutine.
type Sessions struct {
	now func() time.Time
	max int

	mu     sync.Mutex
	closed bool
	byID   map[string]*session
	queue  queue // of the same sessions, by expiry
	lines  int
}

var _ tracking.Sessions = (*Sessions)(nil)

// New returns empty Sessions.
func New(c Config) *Sessions {
	if c.Lines <= 0 {
		c.Lines = 1 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Sessions{now: c.Now, max: c.Lines, byID: map[string]*session{}}
}

// begin locks s for one step on what has not expired. The caller unlocks if the error is nil.
func (s *Sessions) begin(ctx context.Context, doing string) (now time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return now, fmt.Errorf("%s: %w: %w", doing, tracking.ErrUnavailable, err)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return now, fmt.Errorf("%s: %w: closed", doing, tracking.ErrUnavailable)
	}
	now = s.now()
	for len(s.queue) > 0 && !s.queue[0].until.After(now) {
		s.drop(s.queue[0])
	}
	return now, nil
}

// PutState is tracking.Sessions'.
func (s *Sessions) PutState(ctx context.Context, id string, state tracking.State, until time.Time) error {
	if _, err := s.begin(ctx, "put session state"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	h := s.byID[id]
	if h == nil {
		h = newSession(id)
	}
	h.state = state
	s.keep(h, until)
	return nil
}

// Reserve is tracking.Sessions'.
func (s *Sessions) Reserve(ctx context.Context, id string, parts []tracking.Part, maxBytes int64, until time.Time) (int64, error) {
	const doing = "reserve parts"
	now, err := s.begin(ctx, doing)
	if err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	h := s.byID[id]
	if h == nil {
		h = newSession(id)
	}
	if h.state != tracking.StateOpen {
		return 0, fmt.Errorf("%s: %w: %s", doing, tracking.ErrNotOpen, h.state)
	}
	s.lines -= h.dropLapsed(now)
	if maxBytes <= 0 {
		maxBytes = math.MaxInt64
	}
	lines, sum := make([]tracking.Part, len(parts)), h.bytes
	for i, p := range parts {
		line, added := h.with(p)
		if added > maxBytes-sum { // the sum itself could overflow: a client may declare any length
			return 0, fmt.Errorf("%s: %w", doing, tracking.ErrOverLimit)
		}
		lines[i], sum = line, sum+added
	}
	s.enter(h, lines, until)
	return h.bytes, nil
}

// Land is tracking.Sessions'.
func (s *Sessions) Land(ctx context.Context, id string, parts []tracking.Part, until time.Time) error {
	now, err := s.begin(ctx, "land parts")
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	h := s.byID[id]
	if h == nil {
		h = newSession(id)
	}
	s.lines -= h.dropLapsed(now)
	lines := make([]tracking.Part, len(parts))
	for i, p := range parts {
		lines[i] = h.landed(p)
	}
	s.enter(h, lines, until)
	return nil
}

// Release is tracking.Sessions'.
func (s *Sessions) Release(ctx context.Context, id string, numbers ...int) error {
	now, err := s.begin(ctx, "release parts")
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	h := s.byID[id]
	if h == nil {
		return nil
	}
	s.lines -= h.dropLapsed(now)
	for _, number := range numbers {
		if p := h.parts[number]; p != nil && !p.Until.IsZero() {
			released := *p
			released.Road = tracking.RoadNone
			h.parts[number] = &released
		}
	}
	return nil
}

// Part is tracking.Sessions'.
func (s *Sessions) Part(ctx context.Context, id string, number int) (*tracking.Part, error) {
	const doing = "read part"
	now, err := s.begin(ctx, doing)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	h := s.byID[id]
	if h == nil {
		return nil, fmt.Errorf("%s: %w", doing, tracking.ErrNotFound)
	}
	s.lines -= h.dropLapsed(now)
	p := h.parts[number]
	if p == nil {
		return nil, fmt.Errorf("%s: %w", doing, tracking.ErrNotFound)
	}
	part := *p
	return &part, nil
}

// enter puts lines into h and keeps it.
func (s *Sessions) enter(h *session, lines []tracking.Part, until time.Time) {
	before := len(h.parts)
	for _, line := range lines {
		h.put(line)
	}
	s.lines += len(h.parts) - before
	s.keep(h, until)
}

// Session is tracking.Sessions'.
func (s *Sessions) Session(ctx context.Context, id string) (*tracking.Session, error) {
	const doing = "read session"
	now, err := s.begin(ctx, doing)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	h := s.byID[id]
	if h == nil {
		return nil, fmt.Errorf("%s: %w", doing, tracking.ErrNotFound)
	}
	s.lines -= h.dropLapsed(now)
	parts := make([]tracking.Part, 0, len(h.parts))
	for _, number := range slices.Sorted(maps.Keys(h.parts)) {
		parts = append(parts, *h.parts[number])
	}
	return &tracking.Session{State: h.state, Parts: parts, Bytes: h.bytes}, nil
}

// Forget is tracking.Sessions'.
func (s *Sessions) Forget(ctx context.Context, id string) error {
	if _, err := s.begin(ctx, "forget session"); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if h := s.byID[id]; h != nil {
		s.drop(h)
	}
	return nil
}

// Ping is tracking.Sessions'.
func (s *Sessions) Ping(ctx context.Context) error {
	_, err := s.begin(ctx, "ping")
	if err == nil {
		s.mu.Unlock()
	}
	return err
}

// Close forgets everything; calls that follow answer ErrUnavailable.
func (s *Sessions) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.byID, s.queue, s.lines = true, nil, nil, 0
	return nil
}

// keep enters h, or moves its expiry, and makes room if that took the last.
func (s *Sessions) keep(h *session, until time.Time) {
	h.until = until
	if s.byID[h.id] == nil {
		s.byID[h.id] = h
		heap.Push(&s.queue, h)
		s.lines++
	} else {
		heap.Fix(&s.queue, h.place)
	}
	for s.lines > s.max && len(s.queue) > 1 {
		first := s.queue[0]
		if first == h {
			first = s.queue.second()
		}
		s.drop(first)
	}
}

func (s *Sessions) drop(h *session) {
	delete(s.byID, h.id)
	heap.Remove(&s.queue, h.place)
	s.lines -= 1 + len(h.parts)
}
