package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"partway/cmd/partway/config"
)

// What a receiver that is away may cost: this many spans in memory, the older ones of which are sent first and the newer ones dropped. No request
// ever waits for it.
const (
	spanQueue  = 4096
	spanBatch  = 512
	spanDelay  = time.Second      // a span waits at most so long for others to go with
	spanExport = 10 * time.Second // of one batch, tries included
	spanFlush  = 5 * time.Second  // of what is left at the end
)

// tracing makes spans and sends them away. The nil *tracing makes none.
type tracing struct {
	provider *sdk.TracerProvider
	log      *slog.Logger
}

// newTracing asks nobody. It is nil where no endpoint is configured.
func newTracing(ctx context.Context, c config.Tracing, log *slog.Logger) (*tracing, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	if strings.Trim(endpoint.Path, "/") == "" {
		endpoint.Path = "/v1/traces" // of the OTLP specification, for HTTP
	}
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(endpoint.String()),
		otlptracehttp.WithHeaders(c.Headers),
		otlptracehttp.WithEncoding(otlptracehttp.EncodingProtobuf), // whatever OTEL_EXPORTER_OTLP_PROTOCOL says
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: time.Second, MaxInterval: 4 * time.Second, MaxElapsedTime: spanExport}),
		otlptracehttp.WithHTTPClient(&http.Client{
			Timeout: spanExport,
			// The headers hold a key; where else it may go is not the receiver's to say.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}))
	if err != nil {
		return nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("the gateway's name in traces: %w", err)
	}
	version := cmp.Or(readBuildInfo().Main.Version, noVersion)
	about := resource.NewSchemaless(attribute.String("service.name", "partway"), attribute.String("service.version", version),
		attribute.String("service.instance.id", host))
	return tracingTo(exporter, c.Sample, about, log), nil
}

// tracingTo sends the spans of the part sample of all requests, and of those that a parent which is believed says are sampled, to an exporter.
func tracingTo(exporter sdk.SpanExporter, sample float64, about *resource.Resource, log *slog.Logger) *tracing {
	return &tracing{log: log, provider: sdk.NewTracerProvider(
		sdk.WithResource(about),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(sample))),
		sdk.WithBatcher(&loggedExporter{SpanExporter: exporter, log: log}, sdk.WithMaxQueueSize(spanQueue), sdk.WithMaxExportBatchSize(spanBatch),
			sdk.WithBatchTimeout(spanDelay), sdk.WithExportTimeout(spanExport)))}
}

// tracer is of the requests; nil for none.
func (t *tracing) tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("partway/proxy")
}

// end sends what is left, as long as ctx and spanFlush allow; later spans go nowhere. Again, it does nothing. What is lost is said and is no failure.
func (t *tracing) end(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, spanFlush)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last spans were not sent", "error", err)
	}
}

// loggedExporter logs what fails, which the SDK would print to stderr in a form of its own.
type loggedExporter struct {
	sdk.SpanExporter
	log *slog.Logger
}

// ExportSpans implements sdk.SpanExporter. It is called for one batch after the other.
func (e *loggedExporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.log.Warn("spans were not sent", "spans", len(spans), "error", err)
	}
	return nil
}
