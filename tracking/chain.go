package tracking

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
)

// macOf is the MAC of b.Prev and b.Events. The events carry their times in whole milliseconds and strings of valid UTF-8, as the
// Writer makes them: then a store gives back what makes the same JSON, and so the same MAC.
//
// The MAC covers the batch's own Writer, Seq and Time through the events, each of which repeats them.
func macOf(b *Batch, key []byte) ([]byte, error) {
	events, err := json.Marshal(b.Events)
	if err != nil {
		return nil, fmt.Errorf("seal batch %d of writer %s: %w", b.Seq, b.Writer, err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(b.Prev)
	mac.Write(events)
	return mac.Sum(nil), nil
}

// Fault is what VerifyChain finds wrong with a batch.
type Fault string

// The faults of a chain.
const (
	FaultEdited    Fault = "edited"    // the batch is not what was sealed, or not behind its predecessor
	FaultMissing   Fault = "missing"   // the batch is not there, though a later one is
	FaultReordered Fault = "reordered" // the batch is there, but not in its place, or there twice
)

// ChainError names the first batch that is not as it was sealed.
type ChainError struct {
	Writer string
	Seq    int64
	Fault  Fault
}

func (e *ChainError) Error() string {
	return fmt.Sprintf("batch %d of writer %s is %s", e.Seq, e.Writer, e.Fault)
}

// VerifyChain checks batches in the order in which they are stored: each writer's from Seq 1, writers interleaved as they
// come. The error is a *ChainError for the first fault. What it cannot show: batches cut from a writer's end, and whatever
// the holder of the key rewrote.
func VerifyChain(batches []Batch, key []byte) error {
	type link struct {
		seq int64
		mac []byte
	}
	ends := map[string]link{}
	for i := range batches {
		b := &batches[i]
		end := ends[b.Writer]
		switch want := end.seq + 1; {
		case b.Seq < want:
			return &ChainError{b.Writer, b.Seq, FaultReordered}
		case b.Seq > want:
			for _, rest := range batches[i:] {
				if rest.Writer == b.Writer && rest.Seq == want {
					return &ChainError{b.Writer, b.Seq, FaultReordered}
				}
			}
			return &ChainError{b.Writer, want, FaultMissing}
		}
		if mac, err := macOf(b, key); err != nil || !hmac.Equal(mac, b.MAC) || !bytes.Equal(b.Prev, end.mac) || !consistent(b) {
			return &ChainError{b.Writer, b.Seq, FaultEdited}
		}
		ends[b.Writer] = link{b.Seq, b.MAC}
	}
	return nil
}

// consistent reports whether b's own fields, which the MAC does not cover, are those of its events.
func consistent(b *Batch) bool {
	for i, e := range b.Events {
		if e.Writer != b.Writer || e.Seq != b.Seq || !e.Time.Equal(b.Time) || e.ID != eventID(b.Writer, b.Seq, i) {
			return false
		}
	}
	return len(b.Events) > 0
}

func eventID(writer string, seq int64, index int) string {
	return fmt.Sprintf("%s-%d-%d", writer, seq, index)
}
