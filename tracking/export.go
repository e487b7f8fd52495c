package tracking

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// An export is a file of JSON lines that can be checked far from the gateway: an ExportHead, and then parts. A part is batches, one a line,
// and behind them an ExportPart that seals them: it says from where to where of the trail there was nothing else. The first part begins at
// the beginning and each later one where the one before ended, so a batch, a part or the end that is cut from the file is missed.
//
// An export of one tenant holds that tenant's events and, of the others in their batches, the hashes. It proves as much and tells nothing.

// ExportQuery says what is exported. Zero fields leave out nothing.
type ExportQuery struct {
	Tenant string    `json:"tenant,omitempty"`
	Since  time.Time `json:"since,omitzero"` // inclusive
	Until  time.Time `json:"until,omitzero"` // exclusive
}

// ExportHead is the first line of a file.
type ExportHead struct {
	Format   int         `json:"partway_audit_export"` // 1
	Query    ExportQuery `json:"query"`
	Erasures []Erasure   `json:"erasures"` // which the events that have nothing personal left are held to
}

// ExportPart is the seal of the batches before it.
type ExportPart struct {
	From       string    `json:"from"` // "": the beginning
	Next       string    `json:"next"` // "": the end
	At         time.Time `json:"at"`   // when it was read
	Batches    int       `json:"batches"`
	KeyVersion int       `json:"key"`
	MAC        []byte    `json:"mac"`
}

const (
	exportFormat = 1
	labelExport  = "partway-audit-export-1\x00"
	// longestLine of an export: a batch is a few MiB at most.
	longestLine = 64 << 20
)

// exportMAC covers the query, the part and, of each batch, its MAC and which of its events are there.
func exportMAC(q ExportQuery, p *ExportPart, batches []Batch, key []byte) []byte {
	mac := hmac.New(sha256.New, key)
	f := append(make(fields, 0, 1<<10), labelExport...)
	text := func(s string) { f = append(binary.AppendUvarint(f, uint64(len(s))), s...) }
	text(q.Tenant)
	f = instant(instant(instant(f, q.Since), q.Until), p.At)
	text(p.From)
	text(p.Next)
	f = binary.AppendUvarint(f, uint64(len(batches)))
	for i := range batches {
		b := &batches[i]
		text(string(b.MAC))
		f = binary.AppendUvarint(f, uint64(len(b.Events)))
		for j := range b.Events {
			text(b.Events[j].ID)
		}
		mac.Write(f)
		f = f[:0]
	}
	mac.Write(f)
	return mac.Sum(nil)
}

// Head begins an export.
func (a *Auditor) Head(ctx context.Context, q ExportQuery) (*ExportHead, error) {
	erasures, err := a.Archive.Erasures(ctx)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	if q.Tenant != "" {
		erasures = slices.DeleteFunc(erasures, func(e Erasure) bool { return e.Tenant != q.Tenant })
	}
	return &ExportHead{Format: exportFormat, Query: q, Erasures: append([]Erasure{}, erasures...)}, nil
}

// Export reads the part of q behind cursor, limit batches at most (0: as many as a page has), and seals it.
func (a *Auditor) Export(ctx context.Context, q ExportQuery, cursor string, limit int) ([]Batch, *ExportPart, error) {
	if limit <= 0 {
		limit = chainPage
	}
	page, next, err := a.Archive.Batches(ctx, EventQuery{Tenant: q.Tenant, Since: q.Since, Until: q.Until, Cursor: cursor, Limit: limit})
	if err != nil {
		return nil, nil, fmt.Errorf("export: %w", err)
	}
	if q.Tenant != "" {
		for i := range page {
			page[i].Events = slices.DeleteFunc(page[i].Events, func(e Event) bool { return e.Tenant != q.Tenant })
		}
	}
	part := &ExportPart{From: cursor, Next: next, At: a.Now().UTC().Truncate(time.Millisecond), Batches: len(page), KeyVersion: a.KeyVersion}
	part.MAC = exportMAC(q, part, page, a.Keys[a.KeyVersion])
	return page, part, nil
}

// exportLine is a line behind the head: one of the two.
type exportLine struct {
	Batch *Batch      `json:"batch,omitempty"`
	Part  *ExportPart `json:"part,omitempty"`
}

// WriteExportHead and WriteExportPart write lines of an export.
func WriteExportHead(w io.Writer, h *ExportHead) error { return json.NewEncoder(w).Encode(h) }

// WriteExportPart writes batches and the seal behind them.
func WriteExportPart(w io.Writer, batches []Batch, p *ExportPart) error {
	lines := json.NewEncoder(w)
	for i := range batches {
		if err := lines.Encode(exportLine{Batch: &batches[i]}); err != nil {
			return err
		}
	}
	return lines.Encode(exportLine{Part: p})
}

// ExportError names the line of an export that is not as it was written.
type ExportError struct {
	Line  int
	Wrong string
}

func (e *ExportError) Error() string { return fmt.Sprintf("line %d of the export %s", e.Line, e.Wrong) }

// CheckExport checks a file, in bounded memory. The error is an *ExportError if the file is not one that Export made, whole and unchanged;
// the faults are those that the trail had, or that somebody made who changed a batch.
func CheckExport(r io.Reader, keys map[int][]byte, anchors map[string]Anchor) (*ExportHead, *Verification, error) {
	in := exportReader{lines: bufio.NewReaderSize(r, 1<<16)}
	head := new(ExportHead)
	if err := in.next(head); err != nil {
		return nil, nil, in.wrong(err, "is not the head of one")
	}
	if head.Format != exportFormat {
		return nil, nil, &ExportError{in.line, "has a format that this version does not know"}
	}
	q := head.Query
	check := Checker{Keys: keys, Erasures: erasedUntil(head.Erasures, keys), Anchors: anchors, Started: !q.Since.IsZero(), Sparse: q.Tenant != ""}
	if !q.Since.IsZero() || !q.Until.IsZero() {
		check.Anchors = map[string]Anchor{}
		for writer, a := range anchors { // of others it cannot tell
			if !a.Time.Before(q.Since) && (q.Until.IsZero() || a.Time.Before(q.Until)) {
				check.Anchors[writer] = a
			}
		}
	}
	from, part := "", []Batch(nil)
	for ended := false; ; {
		var line exportLine
		err := in.next(&line)
		switch {
		case errors.Is(err, io.EOF) && ended:
			faults := check.End(!check.Sparse)
			return head, &Verification{Counts: check.Counts, Faults: faults}, nil
		case errors.Is(err, io.EOF):
			return nil, nil, &ExportError{in.line - 1, "is the last, and there must be more"}
		case err != nil || (line.Batch == nil) == (line.Part == nil):
			return nil, nil, in.wrong(err, "is neither a batch nor the end of a part")
		case ended:
			return nil, nil, &ExportError{in.line, "is behind the end"}
		case line.Batch != nil:
			check.Add(line.Batch)
			part = append(part, summary(line.Batch))
			continue
		}
		p := line.Part
		key, known := keys[p.KeyVersion]
		if !known {
			return nil, nil, &ExportError{in.line, fmt.Sprintf("is sealed under key %d, which is not here", p.KeyVersion)}
		}
		if p.From != from || !hmac.Equal(p.MAC, exportMAC(q, p, part, key)) {
			return nil, nil, &ExportError{in.line, fmt.Sprintf("does not seal what stands before it: of lines %d to %d one was added, removed, moved or edited",
				in.line-len(part), in.line)}
		}
		from, ended, part = p.Next, p.Next == "", part[:0]
	}
}

// summary is what a part's seal covers of b.
func summary(b *Batch) Batch {
	s := Batch{MAC: b.MAC}
	for i := range b.Events {
		s.Events = append(s.Events, Event{ID: b.Events[i].ID})
	}
	return s
}

type exportReader struct {
	lines *bufio.Reader
	line  int
}

// next reads one line into v, strictly. io.EOF behind the last, which then counts as a line.
func (r *exportReader) next(v any) error {
	var line []byte
	r.line++
	for {
		more, err := r.lines.ReadSlice('\n')
		line = append(line, more...)
		if len(line) > longestLine {
			return errors.New("too long")
		}
		if err == nil {
			break
		}
		if errors.Is(err, io.EOF) && len(line) > 0 {
			return errors.New("cut in its middle")
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("not JSON of this: %w", noEOF(err))
	}
	if decoder.InputOffset() != int64(len(line)-1) {
		return errors.New("more than one value")
	}
	return nil
}

// noEOF: an empty line is not the end of the file.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("empty")
	}
	return err
}

// wrong is err of a line that could not be read.
func (r *exportReader) wrong(err error, what string) error {
	if err == nil {
		return &ExportError{r.line, what}
	}
	return &ExportError{r.line, fmt.Sprintf("%s: %v", what, err)}
}
