package tracking

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// sealedChain is three batches of each of two writers, interleaved, every field of the events set.
func sealedChain(t *testing.T) []Batch {
	t.Helper()
	prev := map[string][]byte{}
	var chain []Batch
	for n := range 6 {
		writer, seq := string(rune('a'+n%2)), int64(n/2+1)
		at := time.Date(2026, 3, 1, 12, 0, n, 789_000_000, time.UTC)
		b := Batch{Writer: writer, Seq: seq, Time: at, Prev: prev[writer]}
		for i := range 3 {
			var e Event
			v := reflect.ValueOf(&e).Elem()
			for f := range v.NumField() {
				switch v.Field(f).Kind() {
				case reflect.String:
					v.Field(f).SetString(fmt.Sprintf("<%s & \u2028 日本 %d>", v.Type().Field(f).Name, i))
				case reflect.Int, reflect.Int64:
					v.Field(f).SetInt(1<<40 + int64(f))
				}
			}
			e.ID, e.Time, e.Writer, e.Seq = eventID(writer, seq, i), at, writer, seq
			b.Events = append(b.Events, e, Event{})
			last := &b.Events[len(b.Events)-1]
			b.Events[len(b.Events)-2].ID = eventID(writer, seq, 2*i)
			last.ID, last.Time, last.Writer, last.Seq = eventID(writer, seq, 2*i+1), at, writer, seq
		}
		reseal(t, &b)
		prev[writer] = b.MAC
		chain = append(chain, b)
	}
	return chain
}

func reseal(t *testing.T, b *Batch) {
	t.Helper()
	var err error
	if b.MAC, err = macOf(b, chainKey); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyChainNamesTheFirstFault(t *testing.T) {
	for _, c := range []struct {
		name   string
		tamper func(chain []Batch) []Batch
		want   *ChainError
	}{
		{"untouched", func(c []Batch) []Batch { return c }, nil},
		{"empty", func([]Batch) []Batch { return nil }, nil},
		{"tail cut", func(c []Batch) []Batch { return c[:4] }, nil},
		{"an event edited", func(c []Batch) []Batch { c[2].Events[1].Outcome = "x"; return c }, &ChainError{"a", 2, FaultEdited}},
		{"an event removed", func(c []Batch) []Batch { c[2].Events = c[2].Events[1:]; return c }, &ChainError{"a", 2, FaultEdited}},
		{"all events removed", func(c []Batch) []Batch { c[2].Events = nil; return c }, &ChainError{"a", 2, FaultEdited}},
		{"events swapped", func(c []Batch) []Batch {
			e := c[2].Events
			e[0], e[1] = e[1], e[0]
			return c
		}, &ChainError{"a", 2, FaultEdited}},
		{"a batch's time edited", func(c []Batch) []Batch { c[3].Time = c[3].Time.Add(1e6); return c }, &ChainError{"b", 2, FaultEdited}},
		{"a batch given to another writer", func(c []Batch) []Batch { c[0].Writer = "c"; return c }, &ChainError{"c", 1, FaultEdited}},
		{"a MAC edited", func(c []Batch) []Batch { c[5].MAC[0] ^= 1; return c }, &ChainError{"b", 3, FaultEdited}},
		{"a batch resealed", func(c []Batch) []Batch { c[0].Events[0].Key = "x"; reseal(t, &c[0]); return c }, &ChainError{"a", 2, FaultEdited}},
		{"prev edited", func(c []Batch) []Batch { c[2].Prev = nil; return c }, &ChainError{"a", 2, FaultEdited}},
		{"first missing", func(c []Batch) []Batch { return c[1:] }, &ChainError{"a", 1, FaultMissing}},
		{"middle missing", func(c []Batch) []Batch { return slices.Delete(c, 3, 4) }, &ChainError{"b", 2, FaultMissing}},
		{"two of a writer swapped", func(c []Batch) []Batch { c[0], c[2] = c[2], c[0]; return c }, &ChainError{"a", 2, FaultReordered}},
		{"a batch twice", func(c []Batch) []Batch { return append(c, c[5]) }, &ChainError{"b", 3, FaultReordered}},
		{"two writers swapped", func(c []Batch) []Batch { c[0], c[1] = c[1], c[0]; return c }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := VerifyChain(c.tamper(sealedChain(t)), chainKey)
			var fault *ChainError
			if c.want == nil && err != nil || c.want != nil && (!errors.As(err, &fault) || *fault != *c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
		})
	}
	t.Run("another key", func(t *testing.T) {
		if err := VerifyChain(sealedChain(t), []byte("another")); err == nil {
			t.Fatal("verified")
		}
	})
}

func TestSealSurvivesStorage(t *testing.T) {
	for _, form := range []struct {
		name      string
		marshal   func(any) ([]byte, error)
		unmarshal func([]byte, any) error
	}{
		{"JSON", json.Marshal, json.Unmarshal},
		{"BSON", bson.Marshal, bson.Unmarshal},
	} {
		t.Run(form.name, func(t *testing.T) {
			var back []Batch
			for _, b := range sealedChain(t) {
				raw, err := form.marshal(b)
				if err != nil {
					t.Fatal(err)
				}
				var stored Batch
				if err := form.unmarshal(raw, &stored); err != nil {
					t.Fatal(err)
				}
				back = append(back, stored)
			}
			if err := VerifyChain(back, chainKey); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The MAC is over the JSON of today's Event. A field that it gains must be left out where it is zero, and none may be renamed or
// moved, or batches that are stored already verify no more.
func TestStoredBatchStillVerifies(t *testing.T) {
	const stored = `{"writer":"w","seq":1,"time":"2026-03-01T12:00:00.789Z",` +
		`"prev":null,"mac":"XWaKoCKAOdA3nQxb2/nLLmuxDelFzx3Kq0pWmJxiTT8=",` +
		`"events":[{"id":"w-1-0","time":"2026-03-01T12:00:00.789Z","tenant":"acme","subject":"alice","token_id":"t1","request_id":"r1",` +
		`"operation":"UploadPart","bucket":"uploads","key":"acme/a","upload_id":"u1",` +
		`"part_number":7,"bytes_declared":5,"road":"relay","reason":"default",` +
		`"outcome":"ok","status":200,"duration_ms":12,"client_address":"192.0.2.1",` +
		`"gateway":"gw1","writer":"w","seq":1}]}`
	var b Batch
	if err := json.Unmarshal([]byte(stored), &b); err != nil {
		t.Fatal(err)
	}
	if err := VerifyChain([]Batch{b}, chainKey); err != nil {
		t.Error(err)
	}
}
