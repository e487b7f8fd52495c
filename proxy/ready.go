package proxy

import (
	"context"
	"net/http"
	"time"
)

// Probe asks one server that the gateway stands on.
type Probe struct {
	Name string // in answers and metrics
	// Part is what the server is one of: while one of a part answers, the gateway is ready, because every bucket has its own storage and the others'
	// go on. Taking all gateways out of their balancer would make one storage's trouble everybody's.
	Part  string
	Spare bool // without it the gateway is slower and no less right
	Ask   func(context.Context) error
}

// probeTime bounds one.
const probeTime = 2 * time.Second

type readiness struct {
	Status string            `json:"status"` // ok, degraded (200 all the same), unavailable, draining
	Parts  map[string]string `json:"parts"`  // ok, down
}

// readyLife is how long an answer about readiness is given again: the path is open, and every probe costs the parts a request.
const readyLife = time.Second

// readiness answers from the last probe if that was just now. Those who ask meanwhile wait for the one that is under way.
func (g *Gateway) readiness(ctx context.Context) (int, readiness) {
	if g.retiring.Load() {
		return http.StatusServiceUnavailable, readiness{Status: "draining", Parts: map[string]string{}}
	}
	g.ready.Lock()
	defer g.ready.Unlock()
	if now := g.Now(); now.Sub(g.ready.at) >= readyLife {
		// Others get this answer too, so it is not who asked first that ends the asking, by hanging up.
		g.ready.status, g.ready.body = g.probe(context.WithoutCancel(ctx))
		g.ready.at = now
	}
	return g.ready.status, g.ready.body
}

// Ready reports whether the gateway can do its work.
func (g *Gateway) Ready(ctx context.Context) bool {
	status, _ := g.readiness(ctx)
	return status == http.StatusOK
}

// watchParts keeps the metrics about the parts fresh where nobody asks for readiness, until ctx ends.
func (g *Gateway) watchParts(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		g.readiness(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// probe asks every server at once.
func (g *Gateway) probe(ctx context.Context) (int, readiness) {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	type result struct {
		Probe
		err  error
		took time.Duration
	}
	results := make(chan result, len(g.Probes))
	for _, p := range g.Probes {
		go func() {
			begun := time.Now()
			err := p.Ask(ctx)
			results <- result{p, err, time.Since(begun)}
		}()
	}
	out := readiness{Status: "ok", Parts: map[string]string{}}
	answers := map[string]bool{} // by part
	for range g.Probes {
		r := <-results
		g.metrics.dependency(r.Name, r.err == nil, r.took)
		answers[r.Part] = answers[r.Part] || r.err == nil || r.Spare
		out.Parts[r.Name] = "ok"
		if r.err != nil {
			g.Log.Warn("a server does not answer", "name", r.Name, "error", r.err)
			out.Parts[r.Name], out.Status = "down", "degraded"
		}
	}
	for _, answered := range answers {
		if !answered {
			out.Status = "unavailable"
			return http.StatusServiceUnavailable, out
		}
	}
	return http.StatusOK, out
}
