package tracking

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// noteQueue bounds the events that Note has taken and nothing has written yet.
const noteQueue = 4096

// WriterConfig of a Writer.
type WriterConfig struct {
	Trail          Trail
	ChainKey       []byte                                              // of the batches' MACs
	KeyVersion     int                                                 // of the master key that it is derived from
	Erasures       func(context.Context) (map[string]time.Time, error) // Auditor.Erasures: honoured by batches that waited; nil: there are none
	Gateway        string                                              // host name, into every event
	SpoolDir       string                                              // where batches wait while Trail is away; "" : no spool, Record fails instead
	SpoolMax       int64                                               // bytes of JSON; full: Record fails with ErrUnavailable
	Window         time.Duration                                       // how long a batch waits for company at most [2ms]
	Timeout        time.Duration                                       // of one AppendBatch [2s]
	AnchorFile     string                                              // to which the ends of the chains are appended; "": nowhere
	AnchorInterval time.Duration                                       // [1m]
	Log            *slog.Logger
	Now            func() time.Time
}

// Writer is the one writer of this process's part of the audit trail. It groups events into batches, seals each and
// stores it; while Trail is away batches go to the spool and from there to Trail, in order, once it is back.
//
// A batch is sealed into the chain once, under the next Seq, and from then on it is stored as it is or not at all: when an
// append fails nobody knows whether it took effect, so neither its Seq nor its content may be used for anything else. The
// Trail's (Writer, Seq) makes storing it again harmless. Three places can hold it:
//
//   - Trail, if it answers and no batch waits in the spool;
//   - the spool otherwise, behind those that wait, so that Trail sees a writer's batches in order;
//   - memory, if neither takes it. One batch at most: until it is stored no other is sealed, Record fails at once and Note
//     waits. So the chain has no gap, and an event whose Record failed may still turn up in the trail.
//
// So refusals come in this order: with Trail away, whatever needs a record (not the Writer's to refuse); with the spool full as well,
// every write, by Record's error, while reads go on until noteQueue of their events wait, and then wait too; nothing else is lost
// before a Close in that state, which says how much. While a batch waits, the only thing that may change in it is that an
// erasure takes personal fields out, which its seal allows for.
//
// A batch that Trail refuses for good is not passed over either: a gap in the chain is what a deletion looks like. It and all
// behind it stay in the spool, the log says so every minute, and requests are refused once the spool is full. Batches are made
// such that no store has a reason to refuse one: valid UTF-8, strings of bounded length, about 1 MiB in all.
type Writer struct {
	c       WriterConfig
	id      string        // names one run of one process
	spool   *spool        // nil without SpoolDir
	writes  chan entry    // unbuffered: an event that was not received will not be written
	notes   chan entry    //
	queued  atomic.Int64  // events handed over and not stored
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed when run has ended

	ctx  context.Context // of every append and of the drainer; ended by Close
	stop context.CancelFunc

	wake     chan struct{} // the spool has a batch
	emptied  chan struct{} // the spool has none
	draining atomic.Bool   // the drainer's last append succeeded
	drained  chan struct{} // closed when the drainer has ended

	anchors  anchors
	anchored chan struct{} // closed when the last anchors are written; nil without AnchorFile

	closed atomic.Bool
	lost   error // set by run before it ends

	// Of the goroutine in run alone.
	seq     int64
	prev    []byte
	last    time.Time // of the batch before: a writer's time does not run backwards
	stuck   *Batch    // sealed, and stored nowhere for sure
	company int       // callers that waited together in the batch before
}

// entry is events on their way; done is nil for a note.
type entry struct {
	events []Event
	done   chan error
}

// NewWriter opens the spool (whose leftovers of earlier runs are drained first) and starts the writer's goroutines, which
// Close ends.
func NewWriter(c WriterConfig) (*Writer, error) {
	switch {
	case c.Trail == nil:
		return nil, errors.New("audit writer: no trail given")
	case len(c.ChainKey) == 0:
		return nil, errors.New("audit writer: no chain key given")
	case c.SpoolDir != "" && c.SpoolMax <= 0:
		return nil, errors.New("audit writer: a spool needs a size")
	}
	if c.Window == 0 {
		c.Window = 2 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = 2 * time.Second
	}
	if c.AnchorInterval == 0 {
		c.AnchorInterval = time.Minute
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	w := &Writer{
		c: c, id: rand.Text(),
		writes: make(chan entry), notes: make(chan entry, noteQueue),
		closing: make(chan struct{}), ended: make(chan struct{}),
		anchors: anchors{path: c.AnchorFile},
		wake:    make(chan struct{}, 1), emptied: make(chan struct{}, 1), drained: make(chan struct{}),
	}
	if c.SpoolDir != "" {
		var err error
		if w.spool, err = openSpool(c.SpoolDir, c.SpoolMax); err != nil {
			return nil, fmt.Errorf("audit writer: %w", err)
		}
	}
	w.ctx, w.stop = context.WithCancel(context.Background())
	if c.AnchorFile != "" {
		if err := w.anchors.prepare(); err != nil {
			return nil, errors.Join(fmt.Errorf("audit writer: anchors: %w", err), w.spool.close())
		}
		w.anchored = make(chan struct{})
		go w.anchor()
	}
	go w.run()
	go w.drain()
	return w, nil
}

// Record returns once events, a thousand at most, are durable: in the trail, or in the spool. ErrUnavailable if they can be in neither.
// ctx bounds the waiting only; events whose wait was cut short may still be written. They are the Writer's from here on.
func (w *Writer) Record(ctx context.Context, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	n := int64(len(events))
	w.queued.Add(n)
	waiting := entry{events: events, done: make(chan error, 1)}
	select {
	case w.writes <- waiting:
	case <-ctx.Done():
		w.queued.Add(-n)
		return fmt.Errorf("record event: %w: %w", ErrUnavailable, context.Cause(ctx))
	case <-w.ended:
		w.queued.Add(-n)
		return fmt.Errorf("record event: %w: writer is closed", ErrUnavailable)
	}
	select {
	case err := <-waiting.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("record event: %w: %w", ErrUnavailable, context.Cause(ctx))
	}
}

// Note hands e over without waiting. When more than a bounded number wait, it blocks for its turn rather than lose one. Not
// to be called once Close has been.
func (w *Writer) Note(e Event) {
	w.queued.Add(1)
	select {
	case w.notes <- entry{events: []Event{e}}:
	case <-w.ended:
		w.queued.Add(-1)
		w.c.Log.Error("audit event lost: noted after the writer closed", "operation", e.Operation, "request_id", e.RequestID)
	}
}

// Spooled is the number of batches that wait in the spool now.
func (w *Writer) Spooled() int { return w.spool.len() }

// Spool is how many bytes wait in the spool, and how many it takes; zeros without one.
func (w *Writer) Spool() (used, most int64) {
	if w.spool == nil {
		return 0, 0
	}
	return w.spool.bytes.Load(), w.spool.max
}

// Lag is the age of the oldest batch in the spool; 0 when none waits there.
func (w *Writer) Lag() time.Duration {
	if w.spool == nil || w.spool.len() == 0 {
		return 0
	}
	oldest, err := w.spool.first(1, 0)
	if err != nil || len(oldest) == 0 { // drained meanwhile, or closed
		return 0
	}
	return max(0, w.c.Now().Sub(oldest[0].Time))
}

// Queued is the number of events that are stored nowhere yet.
func (w *Writer) Queued() int { return int(w.queued.Load()) }

// Close writes what was handed over before it and ends the goroutines; batches in the spool stay there for the next run.
// When ctx ends first, appends under way are cut short. The error says how many events are lost.
func (w *Writer) Close(ctx context.Context) error {
	if w.closed.Swap(true) {
		return errors.New("close audit writer: closed before")
	}
	close(w.closing)
	select {
	case <-w.ended:
	case <-ctx.Done():
		w.stop()
		<-w.ended
	}
	w.stop()
	<-w.drained
	if w.anchored != nil {
		<-w.anchored
	}
	return errors.Join(w.lost, w.spool.close())
}
