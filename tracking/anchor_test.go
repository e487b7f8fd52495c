package tracking

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnchorsAreTheEndsOfWhatTheTrailHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "anchors")
		read := func() map[string]Anchor {
			t.Helper()
			f, err := os.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			anchors, err := ReadAnchors(f)
			if err != nil {
				t.Fatal(err)
			}
			return anchors
		}
		trail := new(fakeTrail)
		config := WriterConfig{Trail: trail, SpoolDir: t.TempDir(), SpoolMax: 1 << 20, AnchorFile: file, AnchorInterval: time.Minute}
		w := newWriter(t, config)
		mustRecord(t, w, "a", "b")
		if got := read(); len(got) != 0 {
			t.Fatalf("anchored before its time: %v", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := read()[w.id]; got.Seq != 2 || string(got.MAC) != string(trail.all()[1].MAC) || !got.Time.Equal(trail.all()[1].Time) {
			t.Fatalf("anchor %+v", got)
		}
		size := func() int64 {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			return info.Size()
		}
		before := size()
		time.Sleep(time.Hour)
		if size() != before {
			t.Fatal("anchored again without anything new")
		}

		trail.from(failed)
		mustRecord(t, w, "c")
		time.Sleep(time.Minute)
		if got := read()[w.id]; got.Seq != 2 {
			t.Fatalf("a batch in the spool is anchored: %+v", got)
		}
		trail.from(stored)
		time.Sleep(2 * time.Minute)
		if got := read()[w.id]; got.Seq != 3 {
			t.Fatalf("anchor after draining: %+v", got)
		}
		mustRecord(t, w, "d")
		mustClose(t, w)
		if got := read()[w.id]; got.Seq != 4 {
			t.Fatalf("the last anchor: %+v", got)
		}

		// A line that a killed gateway left unfinished does not spoil the next.
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(`{"writer":"x","se`); err != nil {
			t.Fatal(err)
		}
		f.Close()
		second := newWriter(t, config)
		mustRecord(t, second, "e")
		mustClose(t, second)
		if got := read(); len(got) != 2 || got[second.id].Seq != 1 || got[w.id].Seq != 4 {
			t.Fatalf("anchors of two runs: %v", got)
		}
	})
}

func TestAnchorFileThatCannotBeWrittenIsSaidAtTheStart(t *testing.T) {
	_, err := NewWriter(WriterConfig{Trail: new(fakeTrail), ChainKey: chainKey, AnchorFile: filepath.Join(t.TempDir(), "no", "such")})
	if err == nil || !strings.Contains(err.Error(), "anchors") {
		t.Fatal(err)
	}
}

func TestReadAnchors(t *testing.T) {
	line := func(writer, seq, mac string) string {
		return `{"writer":"` + writer + `","seq":` + seq + `,"mac":"` + mac + `","time":"2026-03-01T12:00:00Z"}` + "\n"
	}
	for _, c := range []struct {
		name, file string
		want       string // of an error
		seq        int64  // of writer w
	}{
		{"empty", "", "", 0},
		{"the last counts", line("w", "1", "AA==") + line("v", "9", "AA==") + line("w", "3", "AQ=="), "", 3},
		{"in any order", line("w", "3", "AA==") + line("w", "1", "AQ=="), "", 3},
		{"files one behind the other", line("w", "3", "AA==") + "\n" + line("w", "3", "AA=="), "", 3},
		{"two of one batch that differ", line("w", "3", "AA==") + line("w", "3", "AQ=="), "line 2 is not the anchor", 0},
		{"no JSON", "x\n", "line 1 is none", 0},
		{"another thing", `{"writer":"w","seq":1,"mac":"AA==","time":"2026-03-01T12:00:00Z","x":1}` + "\n", "line 1 is none", 0},
		{"no seq", line("w", "0", "AA=="), "line 1 is none", 0},
		{"no MAC", line("w", "1", ""), "line 1 is none", 0},
		{"too long", strings.Repeat("x", 5<<10) + "\n", "line 1", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ReadAnchors(strings.NewReader(c.file))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if got["w"].Seq != c.seq {
				t.Fatalf("anchors %v", got)
			}
		})
	}
}

func FuzzReadAnchors(f *testing.F) {
	f.Add(`{"writer":"w","seq":1,"mac":"AA==","time":"2026-03-01T12:00:00Z"}` + "\n\n{")
	f.Fuzz(func(t *testing.T, file string) {
		anchors, err := ReadAnchors(strings.NewReader(file))
		for writer, a := range anchors {
			if err != nil || a.Writer != writer || a.Seq < 1 || len(a.MAC) == 0 {
				t.Fatalf("anchor %+v, %v", a, err)
			}
		}
	})
}
