package tracking

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// anchors writes the ends of the chains that this process has stored to a file that only grows, for the operator to ship to where who can
// write to the trail cannot. Owned by the Writer.
type anchors struct {
	path string

	mu   sync.Mutex
	ends map[string]Anchor // of the writers whose batches were stored since the last line
}

// stored takes note of a batch that the trail has. A batch in the spool is not anchored: it may drain after somebody has looked.
func (a *anchors) stored(b *Batch) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ends == nil {
		a.ends = map[string]Anchor{}
	}
	a.ends[b.Writer] = Anchor{Writer: b.Writer, Seq: b.Seq, MAC: b.MAC, Time: b.Time}
}

// flush writes one line for each writer that went on, durably. What could not be written is tried again with the next.
func (a *anchors) flush() error {
	a.mu.Lock()
	ends := a.ends
	a.ends = nil
	a.mu.Unlock()
	if len(ends) == 0 {
		return nil
	}
	err := a.append(ends)
	if err == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for writer, end := range ends {
		if a.ends == nil {
			a.ends = map[string]Anchor{}
		}
		if _, later := a.ends[writer]; !later {
			a.ends[writer] = end
		}
	}
	return err
}

func (a *anchors) append(ends map[string]Anchor) (err error) {
	var lines []byte
	for _, end := range sortedAnchors(ends) {
		line, err := json.Marshal(end)
		if err != nil {
			return err
		}
		lines = append(append(lines, line...), '\n')
	}
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	if _, err := f.Write(lines); err != nil {
		return err
	}
	return f.Sync()
}

// prepare finds out whether the file can be written while somebody reads the error, and ends a line that an earlier run left unfinished.
func (a *anchors) prepare() (err error) {
	f, err := os.OpenFile(a.path, os.O_APPEND|os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.Write([]byte{'\n'})
	return err
}

func sortedAnchors(m map[string]Anchor) []Anchor {
	var list []Anchor
	for _, a := range m {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b Anchor) int { return strings.Compare(a.Writer, b.Writer) })
	return list
}

// anchor is the goroutine that writes anchors until Close, which writes the last.
func (w *Writer) anchor() {
	defer close(w.anchored)
	tick := time.NewTicker(w.c.AnchorInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.flushAnchors()
		case <-w.drained:
			w.flushAnchors()
			return
		}
	}
}

func (w *Writer) flushAnchors() {
	if err := w.anchors.flush(); err != nil {
		w.c.Log.Error("audit anchors cannot be written", "file", w.c.AnchorFile, "error", err)
	}
}

// longestAnchor is the longest line of a file of anchors.
const longestAnchor = 4 << 10

// ReadAnchors reads files of anchors, one behind the other: the last of each writer. Two of one batch that differ are an error: one of them
// is forged. Unfinished lines are passed over.
func ReadAnchors(r io.Reader) (map[string]Anchor, error) {
	last := map[string]Anchor{}
	lines := bufio.NewReaderSize(r, longestAnchor)
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF {
			return last, nil
		}
		if err != nil {
			return nil, fmt.Errorf("anchors: line %d: %w", n, err)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var a Anchor
		decoder := json.NewDecoder(bytes.NewReader(line))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(&a)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			continue // of a gateway that was killed while it wrote
		}
		if err != nil || a.Writer == "" || a.Seq < 1 || len(a.MAC) == 0 {
			return nil, fmt.Errorf("anchors: line %d is none", n)
		}
		switch before, known := last[a.Writer]; {
		case known && before.Seq == a.Seq && !bytes.Equal(before.MAC, a.MAC):
			return nil, fmt.Errorf("anchors: line %d is not the anchor of batch %d of writer %s that stands before", n, a.Seq, a.Writer)
		case !known || before.Seq < a.Seq:
			last[a.Writer] = a
		}
	}
}
