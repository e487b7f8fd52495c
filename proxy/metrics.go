package proxy

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partway/proxy/relay"
)

// metrics are the gateway's counters. Never a tenant, a key or an id as a label: their number has no bound.
type metrics struct {
	requests      *prometheus.CounterVec
	decisions     *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	transferBytes *prometheus.CounterVec
	clientIn      prometheus.Counter
	clientOut     prometheus.Counter
	refused       *prometheus.CounterVec
	inflight      prometheus.Gauge
	resumed       prometheus.Counter
	up            *prometheus.GaugeVec
	probe         *prometheus.HistogramVec
	granted       *prometheus.CounterVec
	uploads       *prometheus.GaugeVec
	uploadBytes   *prometheus.GaugeVec
	sweptUploads  *prometheus.CounterVec
}

func newMetrics(reg *prometheus.Registry, g *Gateway) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "partway_requests_total",
			Help: "Requests answered, by S3 operation, road of the body, and outcome."}, []string{"operation", "road", "code"}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "partway_decisions_total",
			Help: "Roads chosen for a body, and why."}, []string{"road", "reason"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "partway_request_duration_seconds",
			Help: "From the request's head to its answer.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}},
			[]string{"operation", "road"}),
		transferBytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "partway_transfer_bytes_total",
			Help: "Bytes of bodies that the gateway carried."}, []string{"road", "direction"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "partway_connections_refused_total",
			Help: "Connections that were closed unanswered: too many from one address (address), not from a trusted proxy (sender), without a PROXY header (proxy-header)."},
			[]string{"reason"}),
		inflight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "partway_inflight_parts", Help: "Bodies that are being relayed to storage now."}),
		uploads: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "partway_uploads",
			Help: "Upload records of each state that is not an end, as of this gateway's last sweep. Every gateway counts all of them."}, []string{"state"}),
		uploadBytes: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "partway_uploads_bytes",
			Help: "Bytes of parts that wait at storage in open and paused uploads, as of this gateway's last sweep. Every gateway counts all of them."}, []string{"state"}),
		sweptUploads: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "partway_swept_uploads_total",
			Help: "Uploads that this gateway's sweep aborted, found out the end of, aborted for want of a record (orphan), reported only (left), or failed at."}, []string{"result"}),
		resumed: prometheus.NewCounter(prometheus.CounterOpts{Name: "partway_uploads_resumed_total", Help: "Interrupted uploads that a client took up again."}),
		up:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "partway_dependency_up", Help: "1 if the last probe of a server succeeded."}, []string{"name"}),
		probe: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "partway_dependency_probe_duration_seconds",
			Help: "How long probes of a server took, those that failed too.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2}}, []string{"name"}),
		granted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "partway_granted_bytes_total",
			Help: "Bytes of bodies that were sent straight to storage, as declared when they were granted."}, []string{"road"}),
	}
	for _, reason := range []string{relay.RefusedAddress, relay.RefusedSender, relay.RefusedHeader} {
		m.refused.WithLabelValues(reason) // there from the start, so that the first is an increase
	}
	for _, result := range []string{"aborted", "orphan", "left", "failed"} {
		m.sweptUploads.WithLabelValues(result)
	}
	client := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "partway_client_bytes_total",
		Help: "Bytes on the sockets of clients, heads and framing included."}, []string{"direction"})
	m.clientIn, m.clientOut = client.WithLabelValues("in"), client.WithLabelValues("out")
	reg.MustRegister(m.requests, m.decisions, m.duration, m.transferBytes, m.refused, m.inflight, m.resumed, m.up, m.probe, m.granted, m.uploads, m.uploadBytes, m.sweptUploads, client,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "partway_audit_queue", Help: "Events that wait to be written."},
			func() float64 { return float64(g.Writer.Queued()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "partway_audit_spooled_batches", Help: "Batches of events that wait in the local spool."},
			func() float64 { return float64(g.Writer.Spooled()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "partway_audit_spool_bytes", Help: "Bytes of the batches that wait in the local spool."},
			func() float64 { used, _ := g.Writer.Spool(); return float64(used) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "partway_audit_spool_max_bytes", Help: "Size of the spool; when it is full, writes are refused. 0: there is none."},
			func() float64 { _, most := g.Writer.Spool(); return float64(most) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "partway_audit_lag_seconds", Help: "Age of the oldest batch of events that is not in the trail yet."},
			func() float64 { return g.Writer.Lag().Seconds() }))
	return m
}

func (m *metrics) request(r *Request, status int, now time.Time) {
	operation, code := r.operationName(), r.Event.Outcome
	if code == "" {
		code = strconv.Itoa(status)
	}
	m.requests.WithLabelValues(operation, r.Event.Road, code).Inc()
	m.duration.WithLabelValues(operation, r.Event.Road).Observe(now.Sub(r.Received).Seconds())
}

// operationName is "none" before the operation is known.
func (r *Request) operationName() string {
	if r.Event.Operation == "" {
		return "none"
	}
	return r.Event.Operation
}

func (m *metrics) decision(road Road, reason string) {
	m.decisions.WithLabelValues(string(road), reason).Inc()
}

// grants counts what a client was let send past the gateway; nothing where it did not say how much.
func (m *metrics) grants(road Road, bytes int64) {
	m.granted.WithLabelValues(string(road)).Add(float64(max(bytes, 0)))
}

func (m *metrics) carried(road, direction string, n int64) {
	m.transferBytes.WithLabelValues(road, direction).Add(float64(n))
}

func (m *metrics) socketBytes(in, out int64) {
	m.clientIn.Add(float64(in))
	m.clientOut.Add(float64(out))
}

func (m *metrics) connectionRefused(reason string) {
	m.refused.WithLabelValues(reason).Inc()
}

func (m *metrics) swept(result string) {
	m.sweptUploads.WithLabelValues(result).Inc()
}

func (m *metrics) dependency(name string, up bool, took time.Duration) {
	v := 0.0
	if up {
		v = 1
	}
	m.up.WithLabelValues(name).Set(v)
	m.probe.WithLabelValues(name).Observe(took.Seconds())
}
