package proxy

import (
	"testing"
	"time"

	"partway/tracking/memory"
)

func TestATenantIsHeldToItsRate(t *testing.T) {
	b := newBench(t)
	now := time.Now()
	b.gateway.Rates = memory.NewRates(2, func() time.Time { return now })
	ask := func(bearer string) answer {
		return b.ask("PUT", "/uploads/acme/a", "x", "Authorization", "Bearer "+bearer)
	}
	b.want(ask(b.tenant), 200, "")
	b.want(ask(b.tenant), 200, "")
	for range 2 {
		a := ask(b.tenant)
		b.want(a, 503, "SlowDown")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	if a := b.ask("POST", "/_partway/tokens", "{}"); a.status != 503 {
		t.Errorf("the API: %d %s", a.status, a.body)
	}
	b.want(ask(b.bearer("other", scopeOf("acme", func(*scope) {}))), 200, "")
	for range 3 {
		b.want(ask(b.operator()), 200, "")
	}
	now = now.Add(time.Second)
	b.want(ask(b.tenant), 200, "")

	b.gateway.refusals.flush(b.writer)
	var refused []int64
	for _, e := range b.events() {
		if e.Outcome == "SlowDown" {
			refused = append(refused, e.Count)
			if e.Operation != "partway:RefusedOverRate" || e.Tenant != "acme" || e.ClientAddress != "127.0.0.1" {
				t.Errorf("%+v", e)
			}
		}
	}
	if len(refused) != 1 || refused[0] != 3 {
		t.Errorf("events of refusals count %v, want one of 3", refused)
	}
}

func TestWhoComesFromElsewhereCostsTheTenantNothing(t *testing.T) {
	b := newBench(t)
	b.gateway.Rates = memory.NewRates(1, time.Now)
	elsewhere := b.issueFrom("203.0.113.0/24")
	for range 3 {
		b.want(b.ask("GET", "/uploads/acme/a", "", "Authorization", "Bearer "+elsewhere), 403, "AccessDenied")
	}
	b.want(b.ask("PUT", "/uploads/acme/a", "x"), 200, "")
}
