package tracking

import (
	"context"
	"log/slog"
	"time"
)

// WriterConfig of a Writer.
type WriterConfig struct {
	Trail    Trail
	ChainKey []byte        // of the batches' MACs
	Gateway  string        // host name, into every event
	SpoolDir string        // where batches wait while Trail is away; "" : no spool, Record fails instead
	SpoolMax int64         // bytes; full: Record fails with ErrUnavailable
	Window   time.Duration // how long a batch waits for company [2ms]
	Timeout  time.Duration // of one AppendBatch [2s]
	Log      *slog.Logger
	Now      func() time.Time
}

// Writer is the one writer of this process's part of the audit trail. It groups events into batches, seals each and
// stores it; while Trail is away batches go to the spool, unchanged, and from there to Trail in order once it is back.
type Writer struct{ _ int }

// NewWriter opens the spool (whose leftovers of earlier runs are drained first) and starts the writer's goroutine, which Close ends.
func NewWriter(c WriterConfig) (*Writer, error) { panic("not yet") }

// Record returns once e is durable: in the trail, or in the spool. ErrUnavailable if it can be in neither.
// ctx bounds the waiting only; an event whose wait was cut short may still be written.
func (w *Writer) Record(ctx context.Context, e Event) error { panic("not yet") }

// Note hands e over without waiting. When more than a bounded number wait, it blocks for its turn rather than lose one.
func (w *Writer) Note(e Event) {}

// Spooled is the number of batches that wait in the spool now; Queued of events not yet written anywhere.
func (w *Writer) Spooled() int { panic("not yet") }

// Queued is the number of events that wait to be written.
func (w *Writer) Queued() int { panic("not yet") }

// Close writes what is queued and ends the goroutine.
func (w *Writer) Close(ctx context.Context) error { panic("not yet") }
