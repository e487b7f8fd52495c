package harness

import (
	"context"
	"fmt"
	"strings"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Line leads from the gateway to a server and fails as networks do.
type Line struct{ proxy *toxiproxy.Proxy }

// The faults of a Line.
const (
	Down     = "down"      // nothing listens, and every connection ends
	Slow     = "slow"      // each answer comes 300 ms late
	Reset    = "reset"     // connections are taken, and reset with the first bytes
	HalfOpen = "half-open" // connections are taken and stay open, also those that were there, and no byte arrives any more
)

func newLine(name, target string) (*Line, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	l := &Line{toxiproxy.NewProxy(server, name, "127.0.0.1:0", target)}
	if err := l.proxy.Start(); err != nil {
		return nil, fmt.Errorf("line to %s: %w", name, err)
	}
	return l, nil
}

// Addr is host:port of the near end.
func (l *Line) Addr() string { return l.proxy.Listen }

// Break puts a fault on the line.
func (l *Line) Break(fault string) error {
	toxics := map[string][]string{
		Slow:     {`{"type": "latency", "stream": "downstream", "attributes": {"latency": 300}}`},
		Reset:    {`{"type": "reset_peer", "stream": "upstream"}`, `{"type": "reset_peer", "stream": "downstream"}`},
		HalfOpen: {`{"type": "timeout", "stream": "upstream"}`, `{"type": "timeout", "stream": "downstream"}`},
	}[fault]
	if fault == Down {
		l.proxy.Stop()
		return nil
	}
	for _, toxic := range toxics {
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			return fmt.Errorf("%s: %w", fault, err)
		}
	}
	return nil
}

// Mend takes every fault away. Connections that were half open end.
func (l *Line) Mend() error {
	if !l.proxy.Enabled {
		return l.proxy.Start()
	}
	l.proxy.Toxics.ResetToxics(context.Background())
	return nil
}
