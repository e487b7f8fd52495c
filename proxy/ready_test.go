package proxy

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// One storage of several, and Redis, cost nobody else the gateway: a balancer that takes a gateway away for them would take all of them.
func TestReadinessGoesByWhatIsLost(t *testing.T) {
	for _, c := range []struct {
		name   string
		down   []string
		status int
		says   string
	}{
		{"all is well", nil, 200, "ok"},
		{"one storage", []string{"storage/a"}, 200, "degraded"},
		{"the other storage", []string{"storage/b"}, 200, "degraded"},
		{"both storages", []string{"storage/a", "storage/b"}, 503, "unavailable"},
		{"redis", []string{"redis"}, 200, "degraded"},
		{"mongodb", []string{"mongodb"}, 503, "unavailable"},
		{"mongodb and redis", []string{"mongodb", "redis"}, 503, "unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			down := map[string]bool{}
			for _, name := range c.down {
				down[name] = true
			}
			want := map[string]string{}
			g := &Gateway{Config: Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)}}
			for _, p := range []Probe{{Name: "storage/a", Part: "storage"}, {Name: "storage/b", Part: "storage"}, {Name: "mongodb", Part: "mongodb"}, {Name: "redis", Part: "redis", Spare: true}} {
				want[p.Name] = "ok"
				if down[p.Name] {
					want[p.Name] = "down"
				}
				p.Ask = func(context.Context) error {
					if down[p.Name] {
						return errors.New("away")
					}
					return nil
				}
				g.Probes = append(g.Probes, p)
			}
			g.metrics = newMetrics(prometheus.NewRegistry(), g)
			status, body := g.readiness(t.Context())
			if status != c.status || body.Status != c.says || !maps.Equal(body.Parts, want) {
				t.Errorf("%d %+v, want %d %s %v", status, body, c.status, c.says, want)
			}
		})
	}
}

// A probe that hangs up, as balancers' do after a second, says nothing about the servers behind; what was found goes to everybody.
func TestWhoHangsUpMakesNobodyUnready(t *testing.T) {
	g := &Gateway{Config: Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)}}
	g.Probes = []Probe{{Name: "store", Part: "store", Ask: func(ctx context.Context) error { return ctx.Err() }}}
	g.metrics = newMetrics(prometheus.NewRegistry(), g)
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	g.readiness(gone)
	if status, body := g.readiness(t.Context()); status != 200 {
		t.Errorf("the next is told %d %+v", status, body)
	}
}
