package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// Help fits terminals of a hundred columns, whatever the sources look like.
func TestHelpOfEveryCommandFitsATerminal(t *testing.T) {
	root, _ := newRoot()
	total := 0
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		total++
		var out bytes.Buffer
		cmd.SetOut(&out)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > 100 {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
		for _, child := range cmd.Commands() {
			visit(child)
		}
	}
	visit(root)
	if total < 20 {
		t.Errorf("only %d commands", total)
	}
}

func TestWrappedKeepsParagraphs(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"fits", "one two", "one two"},
		{"a line's end is a space", "one\ntwo", "one two"},
		{"breaks before what does not fit", "one two three", "one two\nthree"},
		{"a word that is too long stands alone", "a abcdefghijk b", "a\nabcdefghijk\nb"},
		{"paragraphs", "one\n\ntwo", "one\n\ntwo"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := wrapped(tc.text, 8); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestManySpeaksEnglish(t *testing.T) {
	for want, got := range map[string]string{"1 batch": many(1, "batch"), "2 batches": many(2, "batch"), "0 writers": many(0, "writer")} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
