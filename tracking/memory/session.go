package memory

import (
	"time"

	"partway/tracking"
)

// session is one upload's ledger. Its Sessions' lock guards it.
type session struct {
	id    string
	state tracking.State
	until time.Time
	place int // in the queue

	// Most uploads that are open have few parts or none, and a map of values takes room for eight with the first. A line is replaced, never changed.
	parts map[int]*tracking.Part
	bytes int64     // sum over parts
	lapse time.Time // no grant in parts lapses before; zero: none will
}

func newSession(id string) *session {
	return &session{id: id, state: tracking.StateOpen}
}

// dropLapsed drops the grants whose time has passed and returns how many those were.
func (h *session) dropLapsed(now time.Time) (dropped int) {
	if h.lapse.IsZero() || h.lapse.After(now) {
		return 0
	}
	h.lapse = time.Time{}
	for _, p := range h.parts {
		if p.Until.IsZero() || p.Until.After(now) {
			h.expect(p.Until)
			continue
		}
		h.remove(p)
		dropped++
	}
	return dropped
}

// expect notes that a grant lapses at until.
func (h *session) expect(until time.Time) {
	if !until.IsZero() && (h.lapse.IsZero() || until.Before(h.lapse)) {
		h.lapse = until
	}
}

// with is the line of p's number once p has entered, and what that adds to the sum.
func (h *session) with(p tracking.Part) (line tracking.Part, added int64) {
	line = p
	line.Landed = nil
	old := h.parts[p.Number]
	if old == nil {
		return line, counted(&line)
	}
	line.Bytes = max(p.Bytes, old.Bytes)
	if old.Until.IsZero() || !line.Until.IsZero() && old.Until.After(line.Until) {
		line.Until = old.Until
	}
	return line, counted(&line) - counted(old)
}

// landed is the line of p's number once storage has p.
func (h *session) landed(p tracking.Part) tracking.Part {
	line := p
	if old := h.parts[p.Number]; old != nil {
		line = *old
	}
	line.Until, line.Landed = time.Time{}, p.Landed
	line.Bytes = max(line.Bytes, p.Landed.Bytes)
	return line
}

func (h *session) put(line tracking.Part) {
	h.bytes += counted(&line) - counted(h.parts[line.Number])
	if h.parts == nil {
		h.parts = map[int]*tracking.Part{}
	}
	h.parts[line.Number] = &line
	h.expect(line.Until)
}

func (h *session) remove(line *tracking.Part) {
	h.bytes -= counted(line)
	delete(h.parts, line.Number)
}

// counted is what a line adds to the sum: an undeclared length is -1 there, and nil is no line.
func counted(p *tracking.Part) int64 {
	if p == nil {
		return 0
	}
	return max(p.Bytes, 0)
}

// queue is a heap of sessions, the one that expires first in front (container/heap).
type queue []*session

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].until.Before(q[j].until) }

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *queue) Push(x any) {
	h := x.(*session)
	h.place = len(*q)
	*q = append(*q, h)
}

func (q *queue) Pop() any {
	old := *q
	h := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return h
}

// second is the one that expires first but for the front; q holds two at least.
func (q queue) second() *session {
	if len(q) > 2 && q.Less(2, 1) {
		return q[2]
	}
	return q[1]
}
