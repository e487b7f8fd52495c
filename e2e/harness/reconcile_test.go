package harness

import (
	"strings"
	"testing"
)

// A reconciler that finds nothing proves nothing until it was seen to find each difference.
func TestReconcileFindsEachDifference(t *testing.T) {
	type world struct {
		records []Upload
		events  []Event
		have    stored
	}
	sound := func() world {
		return world{
			records: []Upload{
				{ID: "u1", Key: "a/1", State: "completed", ETag: `"e1-2"`, Parts: 2, Bytes: 10},
				{ID: "u2", Key: "a/2", State: "open"},
				{ID: "u3", Key: "a/3", State: "aborted"},
			},
			events: []Event{
				{Operation: "CreateMultipartUpload", UploadID: "u1", Key: "a/1", Outcome: "ok"},
				{Operation: "CompleteMultipartUpload", UploadID: "u1", Key: "a/1", Outcome: "ok", ETag: `"e1-2"`, Parts: 2, Bytes: 10},
				{Operation: "CreateMultipartUpload", UploadID: "u2", Key: "a/2", Outcome: "ok"},
				{Operation: "CreateMultipartUpload", UploadID: "u3", Key: "a/3", Outcome: "ok"},
				{Operation: "AbortMultipartUpload", UploadID: "u3", Key: "a/3", Outcome: "ok"},
				{Operation: "PutObject", Key: "a/4", Outcome: "ok", ETag: `"e4"`},
				{Operation: "PutObject", Key: "a/5", Outcome: "ok"},
				{Operation: "DeleteObject", Key: "a/5", Outcome: "ok"},
				{Operation: "PutObject", Key: "a/6", Outcome: "granted"}, // and never sent
				{Operation: "CopyObject", Key: "a/7", Outcome: "ok"},
				{Operation: "CopyObject", Key: "a/8", Outcome: "ok"},
				{Operation: "PutObject", Key: "a/9", Outcome: "ok"},
				{Operation: "DeleteObjects", Keys: []string{"a/8", "a/9"}, Outcome: "ok"},
			},
			have: stored{
				objects: map[string]string{"a/1": `"e1-2"`, "a/4": `"e4"`, "a/7": `"e4"`},
				sizes:   map[string]int64{"a/1": 10, "a/4": 3},
				open:    map[string]int{"a/2": 1},
			},
		}
	}
	for _, c := range []struct {
		name string
		bend func(*world)
		want string
	}{
		{"nothing", func(*world) {}, ""},
		{"record without events", func(w *world) { w.records = append(w.records, Upload{ID: "u9", State: "open"}) }, "0 Create events"},
		{"upload without record", func(w *world) { w.records = w.records[:2] }, "no record"},
		{"two Create events", func(w *world) { w.events = append(w.events, w.events[0]) }, "2 Create events"},
		{"completed by the record alone", func(w *world) { w.events = append(w.events[:1], w.events[2:]...) }, "no event says so"},
		{"superseded by the record alone", func(w *world) { w.records[0].State, w.events = "superseded", append(w.events[:1], w.events[2:]...) }, "no event says so"},
		{"ended by the events alone", func(w *world) { w.records[0].State = "open" }, "events say it ended"},
		{"other size in the record", func(w *world) { w.records[0].Bytes++ }, "its event"},
		{"stuck state", func(w *world) { w.records[0].State = "completing" }, "rests in state completing"},
		{"open at storage alone", func(w *world) { w.have.open["a/3"] = 1 }, "storage holds 1 open"},
		{"open in the record alone", func(w *world) { delete(w.have.open, "a/2") }, "storage holds 0"},
		{"object nobody wrote", func(w *world) { w.have.objects["a/0"] = "x" }, "no event wrote"},
		{"object written after its delete", func(w *world) { w.have.objects["a/5"] = "x" }, "no event wrote"},
		{"object written after it was deleted with others", func(w *world) { w.have.objects["a/9"] = "x" }, "no event wrote"},
		{"copy lost", func(w *world) { delete(w.have.objects, "a/7") }, "does not hold it"},
		{"object lost", func(w *world) { delete(w.have.objects, "a/4") }, "does not hold it"},
		{"other bytes", func(w *world) { w.have.objects["a/4"] = "x" }, "the audit says"},
		{"other length", func(w *world) { w.have.sizes["a/1"] = 9 }, "holds 9 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := sound()
			c.bend(&w)
			got := strings.Join(reconcile(w.records, w.events, w.have), "\n")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want it to say %q", got, c.want)
			}
		})
	}
}
