package proxy

import (
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Admin serves /metrics, /health, /ready and /debug/pprof/ for an operator's own listener. None of it asks for a token. Profiles show what runs
// inside and cost what they measure, so they are for callers on this machine alone, wherever the listener can be reached from.
func (g *Gateway) Admin() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, r *http.Request) {
		status, body := g.readiness(r.Context())
		writeJSON(w, status, body)
	})
	for path, profile := range map[string]http.HandlerFunc{
		"":        pprof.Index, // and those by name: heap, goroutine, block, mutex
		"cmdline": pprof.Cmdline,
		"profile": pprof.Profile,
		"symbol":  pprof.Symbol,
		"trace":   pprof.Trace,
	} {
		mux.HandleFunc("/debug/pprof/"+path, fromHere(profile))
	}
	return mux
}

// fromHere lets callers on this machine through. A Host header that is no address of it is a web page's that made a browser here call.
func fromHere(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !peer.Addr().Unmap().IsLoopback() || !isLocalName(r.Host) {
			http.Error(w, "profiles are for callers on this machine", http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

func isLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
