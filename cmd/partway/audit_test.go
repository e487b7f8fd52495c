package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"partway/tracking"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "verify", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant, as in %s,\n%s", got, path, want)
	}
}

func TestVerdictsSayWhatWasFoundAndWhatCannotBe(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	counts := tracking.Counts{Writers: 2, Batches: 10, Events: 30, First: at, Last: at.Add(time.Hour)}
	thinned := counts
	thinned.Erased, thinned.Cut, thinned.Anchored, thinned.Behind = 12, 1, 2, 3
	faults := []*tracking.ChainError{
		{Writer: "W1", Seq: 3, Event: "W1-3-1", Fault: tracking.FaultEdited},
		{Writer: "W2", Seq: 4, Fault: tracking.FaultMissing},
		{Writer: "W3", Seq: 4, Fault: tracking.FaultReordered},
		{Writer: "W4", Seq: 4, Event: "W4-4-0", Fault: tracking.FaultErased},
		{Writer: "W5", Seq: 4, Fault: tracking.FaultAnchored},
		{Writer: "W6", Seq: 4, Fault: tracking.FaultKey},
		{Writer: "W7", Seq: 4, Fault: tracking.FaultFormat},
	}
	for _, c := range []struct {
		file string
		v    verdict
	}{
		{"empty.txt", verdict{}},
		{"ok.txt", verdict{Verification: tracking.Verification{Counts: counts}}},
		{"anchored.txt", verdict{Verification: tracking.Verification{Counts: thinned}, anchors: 2}},
		{"faults.txt", verdict{Verification: tracking.Verification{Counts: counts, Faults: faults}}},
		{"export.txt", verdict{Verification: tracking.Verification{Counts: counts}, anchors: 2,
			head: &tracking.ExportHead{Query: tracking.ExportQuery{Tenant: "acme", Since: at, Until: at.Add(2 * time.Hour)}}}},
	} {
		t.Run(c.file, func(t *testing.T) {
			var out bytes.Buffer
			c.v.print(&out)
			golden(t, c.file, out.String())
		})
	}
}

func TestKeysOfTheChainAreReadStrictly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	for name, text := range map[string]string{"empty": "", "no keys": "{}", "no JSON": "x", "no version": `{"x":"AA=="}`, "no key": `{"1":5}`} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := offlineKeys("", file); err == nil {
				t.Fatal("taken")
			}
		})
	}
	if err := os.WriteFile(file, []byte(`{"1":"AQI=","7":"AwQ="}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if keys, err := offlineKeys("", file); err != nil || len(keys) != 2 || !bytes.Equal(keys[7], []byte{3, 4}) {
		t.Fatalf("%v, %v", keys, err)
	}
	if _, err := offlineKeys("config", file); err == nil {
		t.Fatal("took two sources")
	}
}
