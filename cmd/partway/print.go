package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// table is rows under a heading. Nothing is written before flush: columns are as wide as their widest cell.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer, heading ...string) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	t.row(heading...)
	return t
}

func (t *table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

// flush writes the table, unless err kept it from being whole: then that is returned and nothing is written.
func (t *table) flush(err error) error {
	if err != nil {
		return err
	}
	return t.w.Flush()
}

// printable keeps what a client chose (keys, user agents) from moving the reader's cursor or the table's columns.
func printable(cell string) string {
	if cell == "" {
		return "-"
	}
	for _, r := range cell {
		if !strconv.IsPrint(r) {
			return strconv.Quote(cell)
		}
	}
	return cell
}

// lines writes each item as one line of JSON.
func lines[T any](w io.Writer, items []T) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	for _, item := range items {
		if err := encoder.Encode(item); err != nil {
			return err
		}
	}
	return nil
}

func number[N int | int64](n N) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(int64(n), 10)
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// many is a number of things, in English: 1 batch, 2 batches.
func many[N int | int64 | uint64](n N, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "ch"):
		return fmt.Sprintf("%d %ses", n, thing)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
