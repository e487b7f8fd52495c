package tracking

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"pgregory.net/rapid"
)

// sealedChain is three batches of each of two writers, interleaved, every field of the events set.
func sealedChain() []Batch {
	prev := map[string][]byte{}
	var chain []Batch
	for n := range 6 {
		writer, seq := string(rune('a'+n%2)), int64(n/2+1)
		at := time.Date(2026, 3, 1, 12, 0, n, 789_000_000, time.UTC)
		b := Batch{Writer: writer, Seq: seq, Time: at, KeyVersion: 1, Prev: prev[writer]}
		for i := range 6 {
			var e Event
			if i%2 == 0 {
				e = filled(i)
			}
			e.ID, e.Time, e.Writer, e.Seq = eventID(writer, seq, i), at, writer, seq
			b.Events = append(b.Events, e)
		}
		seal(&b, chainKey)
		prev[writer] = b.MAC
		chain = append(chain, b)
	}
	return chain
}

// filled is an event with every field set that sealing does not set.
func filled(i int) (e Event) {
	v := reflect.ValueOf(&e).Elem()
	for f := range v.NumField() {
		switch v.Field(f).Kind() {
		case reflect.String:
			v.Field(f).SetString(fmt.Sprintf("<%s & \u2028 日本 %d>", v.Type().Field(f).Name, i))
		case reflect.Int, reflect.Int64:
			v.Field(f).SetInt(1<<40 + int64(f))
		}
	}
	e.Tenant, e.Keys = "acme", []string{"a", "b"}
	return e
}

// faultsOf checks a chain of the tests' key, versions 0 and 1.
func faultsOf(chain []Batch) []*ChainError {
	c := Checker{Keys: map[int][]byte{0: chainKey, 1: chainKey}}
	for i := range chain {
		c.Add(&chain[i])
	}
	return c.End(true)
}

func TestTamperingIsNamed(t *testing.T) {
	edited := func(edit func(e *Event)) func([]Batch) []Batch {
		return func(c []Batch) []Batch { edit(&c[2].Events[2]); return c }
	}
	event := func(f Fault) []*ChainError { return []*ChainError{{"a", 2, "a-2-2", f}} }
	batch := func(writer string, seq int64, f Fault) []*ChainError { return []*ChainError{{writer, seq, "", f}} }
	for _, c := range []struct {
		name   string
		tamper func(chain []Batch) []Batch
		want   []*ChainError
	}{
		{"untouched", func(c []Batch) []Batch { return c }, nil},
		{"empty", func([]Batch) []Batch { return nil }, nil},
		{"tail cut, which no chain shows", func(c []Batch) []Batch { return c[:4] }, nil},
		{"a writer gone, which no chain shows", func(c []Batch) []Batch { return []Batch{c[0], c[2], c[4]} }, nil},
		{"two writers swapped, which means nothing", func(c []Batch) []Batch { c[0], c[1] = c[1], c[0]; return c }, nil},
		{"an outcome", edited(func(e *Event) { e.Outcome = "x" }), event(FaultEdited)},
		{"a personal field", edited(func(e *Event) { e.Subject = "x" }), event(FaultEdited)},
		{"a salt", edited(func(e *Event) { e.Salt[0] ^= 1 }), event(FaultEdited)},
		{"a salt removed", edited(func(e *Event) { e.Salt = nil }), event(FaultEdited)},
		{"an id", edited(func(e *Event) { e.ID = "x" }), event(FaultEdited)},
		{"a nanosecond", edited(func(e *Event) { e.Time = e.Time.Add(1) }), event(FaultEdited)},
		{"erased without a record", edited(func(e *Event) { e.Erase() }), event(FaultErased)},
		{"half erased", edited(func(e *Event) { key := e.Key; e.Erase(); e.Key = key }), event(FaultEdited)},
		{"half erased, the salt left", edited(func(e *Event) { salt := e.Salt; e.Erase(); e.Salt = salt }), event(FaultEdited)},
		{"erased, with another hash", edited(func(e *Event) { e.Erase(); e.Erased[0] ^= 1 }), event(FaultEdited)},
		{"erased, with no hash", edited(func(e *Event) { e.Erase(); e.Erased = []byte{} }), event(FaultEdited)},
		{"erased, then edited", edited(func(e *Event) { e.Erase(); e.Status++ }), event(FaultEdited)},
		{"an event removed", func(c []Batch) []Batch { c[2].Events = slices.Delete(c[2].Events, 2, 3); return c }, event(FaultMissing)},
		{"the last event removed", func(c []Batch) []Batch { c[2].Events = c[2].Events[:5]; return c }, []*ChainError{{"a", 2, "a-2-5", FaultMissing}}},
		{"an event twice", func(c []Batch) []Batch { c[2].Events = append(c[2].Events, c[2].Events[2]); return c }, event(FaultReordered)},
		{"an event added", func(c []Batch) []Batch {
			c[2].Events = append(c[2].Events, Event{ID: "a-2-6"})
			return c
		}, []*ChainError{{"a", 2, "a-2-6", FaultEdited}}},
		{"all events removed", func(c []Batch) []Batch { c[2].Events = nil; return c }, []*ChainError{{"a", 2, "a-2-0", FaultMissing}}},
		{"events swapped", func(c []Batch) []Batch {
			e := c[2].Events
			e[2], e[3] = e[3], e[2]
			return c
		}, event(FaultReordered)},
		{"an event and its hash removed", func(c []Batch) []Batch {
			c[2].Events, c[2].Hashes = c[2].Events[:5], c[2].Hashes[:5*32]
			return c
		}, batch("a", 2, FaultEdited)},
		{"a batch's time", func(c []Batch) []Batch { c[3].Time = c[3].Time.Add(1e6); return c }, batch("b", 2, FaultEdited)},
		{"a batch given to another writer", func(c []Batch) []Batch { c[0].Writer = "c"; return c[:1] }, batch("c", 1, FaultEdited)},
		{"a MAC", func(c []Batch) []Batch { c[5].MAC[0] ^= 1; return c }, batch("b", 3, FaultEdited)},
		{"a batch resealed by who has the key", func(c []Batch) []Batch { c[0].Events[0].Key = "x"; seal(&c[0], chainKey); return c }, batch("a", 2, FaultEdited)},
		{"a predecessor forgotten", func(c []Batch) []Batch { c[2].Prev = nil; return c }, batch("a", 2, FaultEdited)},
		{"another key named", func(c []Batch) []Batch { c[2].KeyVersion = 0; return c }, batch("a", 2, FaultEdited)},
		{"an unknown key named", func(c []Batch) []Batch { c[2].KeyVersion = 9; return c }, batch("a", 2, FaultKey)},
		{"another format", func(c []Batch) []Batch { c[2].Format = 9; return c }, batch("a", 2, FaultFormat)},
		{"first missing", func(c []Batch) []Batch { return c[1:] }, batch("a", 1, FaultMissing)},
		{"middle missing", func(c []Batch) []Batch { return slices.Delete(c, 3, 4) }, batch("b", 2, FaultMissing)},
		{"two of a writer swapped", func(c []Batch) []Batch { c[0], c[2] = c[2], c[0]; return c }, batch("a", 1, FaultReordered)},
		{"a batch twice", func(c []Batch) []Batch { return append(c, c[5]) }, batch("b", 3, FaultReordered)},
		{"each writer's first", func(c []Batch) []Batch {
			c[2].Events[1].Status++
			c[4].Events[1].Status++
			return slices.Delete(c, 3, 4)
		}, []*ChainError{{"a", 2, "a-2-1", FaultEdited}, {"b", 2, "", FaultMissing}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := faultsOf(c.tamper(sealedChain())); !reflect.DeepEqual(got, c.want) {
				t.Fatalf("faults %v, want %v", got, c.want)
			}
		})
	}
	t.Run("all of it under another key", func(t *testing.T) {
		c := Checker{Keys: map[int][]byte{1: []byte("another")}}
		chain := sealedChain()
		c.Add(&chain[0])
		if got, want := c.End(true), batch("a", 1, FaultEdited); !reflect.DeepEqual(got, want) {
			t.Fatalf("faults %v, want %v", got, want)
		}
	})
}

// Whatever one field of one event is changed to, the event is named.
func TestEveryFieldOfAnEventCounts(t *testing.T) {
	kinds := reflect.TypeFor[Event]()
	for i := range kinds.NumField() {
		t.Run(kinds.Field(i).Name, func(t *testing.T) {
			chain := sealedChain()
			switch f := reflect.ValueOf(&chain[2].Events[2]).Elem().Field(i); f.Interface().(type) {
			case string:
				f.SetString("")
			case int, int64:
				f.SetInt(f.Int() + 1)
			case time.Time:
				f.Set(reflect.ValueOf(chain[2].Time.Add(time.Millisecond)))
			case []string:
				f.Set(reflect.ValueOf([]string{"ab"}))
			case []byte:
				f.SetBytes([]byte{1})
			default:
				t.Fatalf("teach this test %s", f.Type())
			}
			if got, want := faultsOf(chain), []*ChainError{{"a", 2, "a-2-2", FaultEdited}}; !reflect.DeepEqual(got, want) {
				t.Fatalf("faults %v, want %v", got, want)
			}
		})
	}
}

func TestAnErasedEventKeepsItsPlaceAndNothingPersonal(t *testing.T) {
	chain := sealedChain()
	e := &chain[2].Events[2]
	before := *e
	e.Erase()
	erased := *e
	if e.Erase(); !reflect.DeepEqual(*e, erased) {
		t.Fatal("erasing twice changed it")
	}
	want := before
	want.Subject, want.Key, want.Keys, want.Target, want.ClientAddress, want.UserAgent, want.Salt = "", "", nil, "", "", "", nil
	want.Erased = e.Erased
	if !reflect.DeepEqual(*e, want) || len(e.Erased) != 32 {
		t.Fatalf("erased: %+v", *e)
	}
	for _, c := range []struct {
		name   string
		erased map[string]time.Time
		faulty bool
	}{
		{"recorded", map[string]time.Time{"acme": e.Time.Add(1)}, false},
		{"recorded until just then", map[string]time.Time{"acme": e.Time}, true},
		{"recorded of another tenant", map[string]time.Time{"acme2": e.Time.Add(1)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			check := Checker{Keys: map[int][]byte{1: chainKey}, Erasures: c.erased}
			for i := range chain {
				check.Add(&chain[i])
			}
			if got := check.End(true); (got != nil) != c.faulty {
				t.Fatalf("faults %v", got)
			}
		})
	}
}

func TestAdministrationKeepsWhatItWasAbout(t *testing.T) {
	e := Event{Operation: "partway:RevokeToken", Target: "token-1", Subject: "olga", Salt: make([]byte, saltBytes)}
	if e.Erase(); e.Target != "token-1" || e.Subject != "" {
		t.Fatalf("erased: %+v", e)
	}
}

// Two salts of the same event give hashes that have nothing in common: what stays of an erased one cannot be looked up.
func TestEqualEventsHaveUnequalHashes(t *testing.T) {
	b := Batch{Writer: "w", Seq: 1, Events: []Event{{ClientAddress: "192.0.2.1"}, {ClientAddress: "192.0.2.1"}}}
	seal(&b, chainKey)
	if bytes.Equal(b.Hashes[:32], b.Hashes[32:]) || bytes.Equal(b.Events[0].Salt, b.Events[1].Salt) {
		t.Fatal("the same")
	}
	b.Events[0].Erase()
	b.Events[1].Erase()
	if bytes.Equal(b.Events[0].Erased, b.Events[1].Erased) {
		t.Fatal("erased to the same")
	}
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
			for _, b := range sealedChain() {
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
			if faults := faultsOf(back); faults != nil {
				t.Fatal(faults)
			}
		})
	}
}

// Batches of format 1 verify for good. A change that turns this red needs a format of its own.
func TestStoredBatchStillVerifies(t *testing.T) {
	const stored = `{"format":1,"writer":"w","seq":1,"time":"2026-03-01T12:00:00.789Z","key":1,"prev":null,"hashes":"b9N+MCQuYVfIcI3Q3vl3WF5GJ/YW1vGizZZZHxCiLjwW50i4SbGsnMbYEi2BrmJqPGIx1+WYiTHKaDQEyFDkcQ==","mac":"StOBqqPVkVpsjF8/lYp8e7Fp5zgXGLg04N506Yg9Xiw="` +
		`,"events":[{"id":"w-1-0","time":"2026-03-01T12:00:00.789Z","tenant":"acme","subject":"alice","token_id":"t1","request_id":"r1"` +
		`,"operation":"UploadPart","bucket":"uploads","key":"acme/a","upload_id":"u1","part_number":7,"bytes_declared":5,"road":"relay","reason":"default","outcome":"ok"` +
		`,"status":200,"duration_ms":12,"client_address":"192.0.2.1","gateway":"gw1","writer":"w","seq":1,"salt":"sqK0YKj2qJwtNpp8n8Cg7A=="},` +
		`{"id":"w-1-1","time":"2026-03-01T12:00:00.789Z","tenant":"acme","subject":"","token_id":"t1","request_id":"r1"` +
		`,"operation":"UploadPart","bucket":"uploads","key":"","upload_id":"u1","part_number":7,"bytes_declared":5,"road":"relay","reason":"default","outcome":"ok"` +
		`,"status":200,"duration_ms":12,"client_address":"","gateway":"gw1","writer":"w","seq":1,"erased":"hu49dilAPGFwofUrDUExF0W+TYab4z8dez5VFJSifgQ="}]}`
	var b Batch
	if err := json.Unmarshal([]byte(stored), &b); err != nil {
		t.Fatal(err)
	}
	check := Checker{Keys: map[int][]byte{1: chainKey}, Erasures: map[string]time.Time{"acme": b.Time.Add(1)}}
	check.Add(&b)
	if faults := check.End(true); faults != nil {
		t.Error(faults)
	}
}

func BenchmarkSeal(b *testing.B) {
	batch := Batch{Writer: strings.Repeat("W", 26), Seq: 1, Time: time.UnixMilli(1772366400000).UTC(), Prev: make([]byte, 32)}
	for i := range 32 {
		batch.Events = append(batch.Events, Event{
			ID: eventID(batch.Writer, 1, i), Time: batch.Time, Gateway: "gw1", Writer: batch.Writer, Seq: 1,
			Tenant: "acme", Subject: "alice", TokenID: "0123456789abcdef", RequestID: "0123456789ABCDEF", Operation: "UploadPart",
			Bucket: "uploads", Key: "acme/2026/11/22/big.bin", UploadID: "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz",
			BytesDeclared: 64 << 20, Checksum: "crc32:AAAAAA==", Road: "redirect", Reason: "client-asked", Outcome: "granted", Status: 307,
			ClientAddress: "192.0.2.1", UserAgent: "aws-cli/1.45 md/Botocore#1.43 ua/2.1 os/linux#6.1 lang/python#3.11",
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		seal(&batch, chainKey)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch.Events)), "ns/event")
}

// Any one change but to a writer's end is named, and by the right writer.
func TestAnyOneChangeIsNamed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chain := sealedChain()
		i := rapid.IntRange(0, 3).Draw(t, "batch") // not the last of a writer
		b := &chain[i]
		e := &b.Events[rapid.IntRange(0, 5).Draw(t, "event")]
		switch rapid.SampledFrom([]string{"event", "bytes", "drop", "swap", "move", "drop event", "swap events", "erase"}).Draw(t, "change") {
		case "event":
			changeField(t, reflect.ValueOf(e).Elem())
		case "bytes":
			which := rapid.SampledFrom([][]byte{b.Hashes, b.MAC, e.Salt}).Draw(t, "which")
			which[rapid.IntRange(0, len(which)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "by"))
		case "drop":
			writer := b.Writer
			chain = slices.Delete(chain, i, i+1)
			wantWriter(t, chain, writer)
			return
		case "swap":
			chain[i], chain[i+2] = chain[i+2], chain[i]
		case "move":
			b.Seq += int64(rapid.SampledFrom([]int{-5, -1, 1, 7}).Draw(t, "by"))
		case "drop event":
			b.Events = slices.DeleteFunc(b.Events, func(x Event) bool { return x.ID == e.ID })
		case "swap events":
			last := &b.Events[(slices.IndexFunc(b.Events, func(x Event) bool { return x.ID == e.ID })+1)%6]
			*e, *last = *last, *e
		case "erase":
			e.Erase()
		}
		wantWriter(t, chain, chain[i].Writer)
	})
}

func wantWriter(t *rapid.T, chain []Batch, writer string) {
	if faults := faultsOf(chain); len(faults) != 1 || faults[0].Writer != writer {
		t.Fatalf("faults %v, want one of writer %s", faults, writer)
	}
}

// changeField gives one field another value.
func changeField(t *rapid.T, event reflect.Value) {
	switch f := event.Field(rapid.IntRange(0, event.NumField()-1).Draw(t, "field")); f.Interface().(type) {
	case string:
		f.SetString(rapid.StringN(0, 3, -1).Filter(func(s string) bool { return s != f.String() }).Draw(t, "text"))
	case int, int64:
		f.SetInt(f.Int() ^ rapid.Int64Range(1, 1<<40).Draw(t, "number"))
	case time.Time:
		f.Set(reflect.ValueOf(f.Interface().(time.Time).Add(time.Duration(rapid.Int64Range(1, 1<<60).Draw(t, "later")))))
	case []string:
		f.Set(reflect.ValueOf(append([]string{"x"}, f.Interface().([]string)...)))
	case []byte:
		f.SetBytes(append([]byte{1}, f.Bytes()...))
	}
}
