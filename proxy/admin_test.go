package proxy

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestProfilesAreForThisMachine(t *testing.T) {
	admin := (&Gateway{Config: Config{Registry: prometheus.NewRegistry()}}).Admin()
	for _, c := range []struct {
		name, remote, host string
		status             int
	}{
		{"loopback", "127.0.0.1:5000", "127.0.0.1:9001", 200},
		{"loopback by name", "127.0.0.1:5000", "localhost:9001", 200},
		{"loopback of IPv6", "[::1]:5000", "[::1]:9001", 200},
		{"loopback of IPv4 in IPv6", "[::ffff:127.0.0.1]:5000", "127.0.0.1", 200},
		{"another machine", "10.1.2.3:5000", "127.0.0.1:9001", 403},
		{"another machine of IPv6", "[2001:db8::1]:5000", "localhost", 403},
		{"a web page that was led here by DNS", "127.0.0.1:5000", "evil.example.com:9001", 403},
		{"no address", "@", "localhost", 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/cmdline"} {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.RemoteAddr, r.Host = c.remote, c.host
				w := httptest.NewRecorder()
				admin.ServeHTTP(w, r)
				if w.Code != c.status || c.status == 403 && strings.Contains(w.Body.String(), "goroutine") {
					t.Errorf("%s: %d", path, w.Code)
				}
			}
		})
	}
}
