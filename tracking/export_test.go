package tracking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var testKeys = map[int][]byte{1: chainKey}

// fakeArchive gives out a chain in pages.
type fakeArchive struct {
	Archive
	chain    []Batch
	erasures []Erasure
}

func (f *fakeArchive) Erasures(context.Context) ([]Erasure, error) { return f.erasures, nil }

func (f *fakeArchive) Batches(_ context.Context, q EventQuery) ([]Batch, string, error) {
	from := 0
	if _, err := fmt.Sscan(q.Cursor, &from); q.Cursor != "" && err != nil {
		return nil, "", ErrBadCursor
	}
	end, next := min(from+q.Limit, len(f.chain)), ""
	if end < len(f.chain) {
		next = fmt.Sprint(end)
	}
	var page []Batch
	for _, b := range f.chain[from:end] {
		b.Events = slices.Clone(b.Events)
		page = append(page, b)
	}
	return page, next, nil
}

func (f *fakeArchive) PutErasure(_ context.Context, e *Erasure) error {
	f.erasures = []Erasure{*e}
	return nil
}

func exportLines(t testing.TB, q ExportQuery, erase bool) []string {
	t.Helper()
	chain := sealedChain()
	archive := &fakeArchive{chain: chain}
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	a := &Auditor{Archive: archive, Keys: testKeys, KeyVersion: 1, Now: func() time.Time { return at }}
	if erase {
		if err := a.RecordErasure(t.Context(), "acme", "token-1", at); err != nil {
			t.Fatal(err)
		}
		for i := range chain {
			chain[i].Erase(map[string]time.Time{"acme": at})
		}
	}
	var file strings.Builder
	head, err := a.Head(t.Context(), q)
	if err == nil {
		err = WriteExportHead(&file, head)
	}
	for cursor, more := "", true; more && err == nil; more = cursor != "" {
		var batches []Batch
		var part *ExportPart
		if batches, part, err = a.Export(t.Context(), q, cursor, 2); err == nil {
			err = WriteExportPart(&file, batches, part)
			cursor = part.Next
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(file.String()))
}

func checkExport(lines []string) error {
	_, found, err := CheckExport(strings.NewReader(strings.Join(lines, "")), testKeys, nil)
	if err == nil && len(found.Faults) > 0 {
		return found.Faults[0]
	}
	return err
}

// The lines: the head; two batches and a part, three times.
func TestAnExportThatWasChangedIsRefused(t *testing.T) {
	edit := func(line int, old, new string) func([]string) []string {
		return func(l []string) []string {
			if !strings.Contains(l[line], old) {
				panic(fmt.Sprintf("line %d has no %s: %s", line, old, l[line]))
			}
			l[line] = strings.Replace(l[line], old, new, 1)
			return l
		}
	}
	drop := func(from, to int) func([]string) []string {
		return func(l []string) []string { return slices.Delete(l, from, to) }
	}
	for _, c := range []struct {
		name   string
		query  ExportQuery
		change func(lines []string) []string
		want   string
	}{
		{"untouched", ExportQuery{}, func(l []string) []string { return l }, ""},
		{"untouched, of a tenant", ExportQuery{Tenant: "acme"}, func(l []string) []string { return l }, ""},
		{"empty", ExportQuery{}, func([]string) []string { return []string{} }, "line 1 of the export is not the head of one"},
		{"the head alone", ExportQuery{}, drop(1, 10), "line 1 of the export is the last, and there must be more"},
		{"without its head", ExportQuery{}, drop(0, 1), "line 1 of the export is not the head of one"},
		{"another format", ExportQuery{}, edit(0, `export":1`, `export":2`), "line 1 of the export has a format that this version does not know"},
		{"an event edited", ExportQuery{}, edit(1, `"status":`, `"status":1`), "event a-1-0 was edited"},
		{"a batch removed", ExportQuery{}, drop(2, 3), "line 3 of the export does not seal what stands before it: of lines 2 to 3 one was added, removed, moved or edited"},
		{"a batch removed, of a tenant", ExportQuery{Tenant: "acme"}, drop(2, 3), "line 3 of the export does not seal"},
		{"a batch twice", ExportQuery{}, func(l []string) []string { return slices.Insert(l, 2, l[1]) }, "line 5 of the export does not seal"},
		{"batches swapped", ExportQuery{}, func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, "line 4 of the export does not seal"},
		{"an event removed, of a tenant", ExportQuery{Tenant: "acme"}, func(l []string) []string {
			var line exportLine
			if err := json.Unmarshal([]byte(l[1]), &line); err != nil {
				panic(err)
			}
			line.Batch.Events = line.Batch.Events[1:]
			raw, _ := json.Marshal(line)
			l[1] = string(raw) + "\n"
			return l
		}, "line 4 of the export does not seal"},
		{"a part removed", ExportQuery{}, drop(4, 7), "line 7 of the export does not seal"},
		{"the last part removed", ExportQuery{}, drop(7, 10), "line 7 of the export is the last, and there must be more"},
		{"the end removed", ExportQuery{}, drop(9, 10), "line 9 of the export is the last, and there must be more"},
		{"parts swapped", ExportQuery{}, func(l []string) []string { return slices.Concat(l[:1], l[4:7], l[1:4], l[7:]) }, "line 4 of the export does not seal"},
		{"something behind the end", ExportQuery{}, func(l []string) []string { return append(l, l[9]) }, "line 11 of the export is behind the end"},
		{"an empty line and more behind the end", ExportQuery{}, func(l []string) []string { return append(l, "\n", l[1]) }, "line 11 of the export is neither"},
		{"an end too early", ExportQuery{}, edit(3, `"next":"2"`, `"next":""`), "line 4 of the export does not seal"},
		{"passed off as another tenant's", ExportQuery{Tenant: "acme"}, edit(0, `"acme"`, `"other"`), "line 4 of the export does not seal"},
		{"passed off as one from a time on", ExportQuery{}, edit(0, `"query":{}`, `"query":{"since":"2026-03-01T00:00:00Z"}`), "line 4 of the export does not seal"},
		{"another key named", ExportQuery{}, edit(3, `"key":1`, `"key":7`), "line 4 of the export is sealed under key 7, which is not here"},
		{"no JSON", ExportQuery{}, edit(1, `{`, `[`), "line 2 of the export is neither a batch nor the end of a part"},
		{"something unknown", ExportQuery{}, edit(1, `{"batch"`, `{"x":1,"batch"`), "line 2 of the export is neither a batch nor the end of a part"},
		{"two values on a line", ExportQuery{}, func(l []string) []string { l[1] = strings.TrimSpace(l[1]) + l[2]; return l }, "line 2 of the export is neither"},
		{"nothing on a line", ExportQuery{}, func(l []string) []string { l[1] = "{}\n"; return l }, "line 2 of the export is neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkExport(c.change(exportLines(t, c.query, false)))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
		})
	}
	t.Run("cut in the middle of its last line", func(t *testing.T) {
		whole := strings.Join(exportLines(t, ExportQuery{}, false), "")
		_, _, err := CheckExport(strings.NewReader(whole[:len(whole)-3]), testKeys, nil)
		var wrong *ExportError
		if !errors.As(err, &wrong) {
			t.Fatal(err)
		}
	})
	t.Run("under another key", func(t *testing.T) {
		whole := strings.Join(exportLines(t, ExportQuery{}, false), "")
		if _, _, err := CheckExport(strings.NewReader(whole), map[int][]byte{1: []byte("another")}, nil); err == nil {
			t.Fatal("passed")
		}
	})
}

func TestErasuresTravelWithTheExport(t *testing.T) {
	lines := exportLines(t, ExportQuery{}, true)
	if err := checkExport(lines); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"taken out":          {lines[0][strings.Index(lines[0], `"erasures"`):], "\"erasures\":[]}\n"},
		"of another tenant":  {`"tenant":"acme"`, `"tenant":"other"`},
		"sealed by somebody": {`"mac":"`, `"mac":"AAAA`},
	} {
		t.Run(name, func(t *testing.T) {
			changed := slices.Clone(lines)
			if changed[0] = strings.Replace(changed[0], change[0], change[1], 1); changed[0] == lines[0] {
				t.Fatal("nothing changed")
			}
			if err := checkExport(changed); err == nil || !strings.Contains(err.Error(), string(FaultErased)) {
				t.Fatal(err)
			}
		})
	}
}

// Whatever one byte is changed to, what is read is what was written, or it is refused or faulty.
func TestNoByteOfAnExportCanBeChanged(t *testing.T) {
	whole := strings.Join(exportLines(t, ExportQuery{}, false), "")
	read := func(file string) (all []any) {
		for line := range strings.Lines(file) {
			var head ExportHead
			var rest exportLine
			if json.Unmarshal([]byte(line), &head) == nil && head.Format != 0 {
				all = append(all, head)
			} else if json.Unmarshal([]byte(line), &rest) == nil {
				all = append(all, rest.Batch, rest.Part)
			}
		}
		return all
	}
	written := read(whole)
	rapid.Check(t, func(t *rapid.T) {
		at := rapid.IntRange(0, len(whole)-1).Draw(t, "at")
		changed := whole[:at] + string([]byte{rapid.Byte().Draw(t, "byte")}) + whole[at+1:]
		_, found, err := CheckExport(strings.NewReader(changed), testKeys, nil)
		if err == nil && len(found.Faults) == 0 && !reflect.DeepEqual(read(changed), written) {
			t.Fatalf("byte %d was changed unseen", at)
		}
	})
}

func FuzzCheckExport(f *testing.F) {
	for _, q := range []ExportQuery{{}, {Tenant: "acme"}, {Since: time.Unix(0, 0).UTC()}} {
		f.Add(strings.Join(exportLines(f, q, true), ""))
	}
	f.Add("{}\n{}\n")
	f.Fuzz(func(t *testing.T, file string) {
		head, found, err := CheckExport(strings.NewReader(file), testKeys, map[string]Anchor{"a": {Writer: "a", Seq: 2, MAC: []byte{1}}})
		if (err == nil) != (head != nil && found != nil) {
			t.Fatalf("head %v, found %v, error %v", head, found, err)
		}
	})
}
