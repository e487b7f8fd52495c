package main

import (
	"bytes"
	"testing"
	"time"
)

// Time, owner and the place where it is made must not show.
func TestAnArchiveOfTheSameFilesIsTheSame(t *testing.T) {
	at := time.Date(2026, 11, 25, 22, 0, 0, 0, time.UTC)
	files := []file{{"partway", 0o755, []byte("program")}, {"completions/_partway", 0o644, nil}}
	for _, tt := range []struct {
		name   string
		zipped bool
	}{{"tar.gz", false}, {"zip", true}} {
		t.Run(tt.name, func(t *testing.T) {
			one, err := archive(tt.zipped, "top", at, files)
			if err != nil {
				t.Fatal(err)
			}
			other, err := archive(tt.zipped, "top", at, files)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(one, other) {
				t.Error("two archives of the same differ")
			}
			later, err := archive(tt.zipped, "top", at.Add(time.Hour), files)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(one, later) {
				t.Error("the time of its files is not the one that was given")
			}
		})
	}
}
