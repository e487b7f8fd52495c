package harness

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

// Unauthenticated says that the answer was to a request that proved nobody, and so has no event.
func (n *Tenant) Unauthenticated(requestID string) { n.unauthenticated[requestID] = true }

// Unanswered says that the answer with this id never left the gateway.
func (n *Tenant) Unanswered(requestID string) { n.unanswered[requestID] = true }

// Check demands what holds after every test: each answer that its taps saw is exactly one event, nothing else is, and records,
// events and storage tell the same story. Over TLS they see no answers, and only the latter can be said.
func (n *Tenant) Check(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var answers []string
	for _, tap := range *n.taps {
		tap.Cut()
		answers = append(answers, tap.RequestIDs()...)
	}
	events, err := n.settled(ctx, answers)
	if err != nil {
		t.Error(err)
	}
	events = slices.DeleteFunc(events, func(e Event) bool { return e.Count > 0 }) // those stand for many refusals
	byID := map[string]int{}
	for _, e := range events {
		byID[e.RequestID]++
		if byID[e.RequestID] > 1 && e.Outcome != "granted" && e.Outcome != "reported" { // those are one for each part of a call
			t.Errorf("more than one event: %v", e)
		}
	}
	seen := map[string]bool{}
	for _, id := range answers {
		seen[id] = true
		if byID[id] == 0 && !n.unauthenticated[id] {
			t.Errorf("answer %s has no event", id)
		}
		if byID[id] > 0 && n.unauthenticated[id] {
			t.Errorf("answer %s has an event, though nobody was authenticated", id)
		}
	}
	for _, e := range events {
		if n.Gateway.CA == "" && !seen[e.RequestID] && !n.unanswered[e.RequestID] {
			t.Errorf("event without an answer on the wire: %v", e)
		}
	}
	differences, err := n.Reconcile(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, d := range differences {
		t.Error(d)
	}
	if t.Failed() {
		t.Logf("gateway's log:\n%s", n.Gateway.Tail())
	}
}

// settled reads the events until each answer has one: reads are recorded after they are answered. Whatever is missing after
// a few seconds is for the caller to name.
func (n *Tenant) settled(ctx context.Context, answers []string) (events []Event, err error) {
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	waited := Await(soon, "events", nil, func() bool {
		if events, err = n.Gateway.Events(ctx, n.Name); err != nil {
			return true
		}
		have := map[string]bool{}
		for _, e := range events {
			have[e.RequestID] = true
		}
		for _, id := range answers {
			if !have[id] && !n.unauthenticated[id] {
				return false
			}
		}
		return true
	})
	if err == nil && ctx.Err() != nil {
		err = waited
	}
	return events, err
}

// EventOf waits for the event of one answer.
func (n *Tenant) EventOf(ctx context.Context, requestID string) (Event, error) {
	events, err := n.settled(ctx, []string{requestID})
	for _, e := range events {
		if e.RequestID == requestID {
			return e, err
		}
	}
	if err == nil {
		err = fmt.Errorf("answer %s has no event", requestID)
	}
	return Event{}, err
}
