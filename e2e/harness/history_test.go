package harness

import (
	"strings"
	"testing"
)

// A checker that finds nothing proves nothing until it was seen to find each violation.
func TestViolationsAreFound(t *testing.T) {
	type world struct {
		asked   []Asked
		records []Upload
		events  []Event
		have    stored
	}
	list, etag, size := PartList([]byte("one"))
	if !strings.Contains(list, ETag([]byte("one"))) {
		t.Fatalf("the list is %s", list)
	}
	answer := "<Location>http://a/</Location><ETag>" + strings.ReplaceAll(etag, `"`, "&#34;") + "</ETag>"
	ok := func(id, operation, key, upload string) Asked {
		return Asked{RequestID: id, Operation: operation, Key: key, UploadID: upload, Status: 200}
	}
	complete := func(id string) Asked {
		a := ok(id, "CompleteMultipartUpload", "a/1", "u1")
		a.Want, a.Size, a.Text = etag, size, answer
		return a
	}
	put := func(id, key, body string, status int) Asked {
		return Asked{RequestID: id, Operation: "PutObject", Key: key, Want: ETag([]byte(body)), Size: int64(len(body)), Status: status}
	}
	sound := func() world {
		asked := []Asked{
			{Operation: "CreateMultipartUpload", Key: "a/1"}, // without an answer
			ok("r1", "CreateMultipartUpload", "a/1", "u1"),
			ok("r2", "UploadPart", "a/1", "u1"),
			{Operation: "CompleteMultipartUpload", Key: "a/1", UploadID: "u1", Want: etag, Size: size},
			complete("r3"),
			complete("r4"),
			ok("r5", "CreateMultipartUpload", "a/2", "u2"),
			ok("r6", "AbortMultipartUpload", "a/2", "u2"),
			put("r7", "a/3", "old", 200),
			put("", "a/3", "new", 0),
			ok("r8", "CreateMultipartUpload", "a/4", "u4"),
		}
		var events []Event
		for _, a := range asked {
			if a.Status == 200 {
				events = append(events, Event{ID: "w-" + a.RequestID, RequestID: a.RequestID, Operation: a.Operation, Key: a.Key, UploadID: a.UploadID, Outcome: "ok", Status: 200})
			}
		}
		return world{
			asked: asked,
			records: []Upload{
				{ID: "u0", Key: "a/1", State: "open"},
				{ID: "u1", Key: "a/1", State: "completed", ETag: etag, Bytes: size},
				{ID: "u2", Key: "a/2", State: "aborted"},
				{ID: "u4", Key: "a/4", State: "open"},
			},
			events: events,
			have: stored{
				objects: map[string]string{"a/1": etag, "a/3": ETag([]byte("new"))},
				sizes:   map[string]int64{"a/1": size, "a/3": 3},
				open:    map[string]int{"a/1": 1, "a/4": 1},
			},
		}
	}
	for _, c := range []struct {
		name string
		bend func(*world)
		want string
	}{
		{"nothing", func(*world) {}, ""},
		{"the write without an answer did nothing", func(w *world) { w.have.objects["a/3"] = ETag([]byte("old")) }, ""},
		{"the Create without an answer did nothing", func(w *world) { w.records = w.records[1:]; delete(w.have.open, "a/1") }, ""},
		{"upload without a record", func(w *world) { w.records = w.records[:3] }, "has no record"},
		{"an id given twice", func(w *world) { w.asked = append(w.asked, w.asked[1]) }, "two Creates"},
		{"a record that nobody asked for", func(w *world) { w.asked = w.asked[1:] }, "no client knows"},
		{"a stranger's record that ended", func(w *world) { w.records[0].State = "completed" }, "of which no client knows, is completed"},
		{"completed and not recorded", func(w *world) { w.records[1].State = "open" }, "is open; its client was told"},
		{"completed and recorded as unknown", func(w *world) { w.records[1].State = "unknown" }, "is unknown"},
		{"recorded as completed and nobody asked", func(w *world) { w.records[3].State = "completed" }, "is completed; its client"},
		{"aborted and recorded as open", func(w *world) { w.records[2].State = "open" }, "is open; its client"},
		{"another answer to the same Complete", func(w *world) { w.asked[5].Text += " " }, "was answered"},
		{"an answer of other bytes", func(w *world) { w.asked[4].Want = `"x-1"` }, "its parts make"},
		{"other bytes in the record", func(w *world) { w.records[1].Bytes++ }, "says"},
		{"another port in the Location", func(w *world) { w.asked[5].Text = strings.Replace(answer, "http://a/", "http://b/", 1) }, ""},
		{"a part refused", func(w *world) { w.asked[2].Status, w.asked[2].Code = 404, "NoSuchUpload" }, "404 NoSuchUpload"},
		{"object lost", func(w *world) { delete(w.have.objects, "a/1") }, "does not hold it"},
		{"object of other bytes", func(w *world) { w.have.objects["a/1"] = `"x"` }, "was told last of"},
		{"object of another size", func(w *world) { w.have.sizes["a/1"]++ }, "was told last of"},
		{"object that nobody wrote", func(w *world) { w.have.objects["a/9"] = `"x"` }, "no client wrote"},
		{"upload that nobody made", func(w *world) { w.have.open["a/9"] = 1 }, "no client or record"},
		{"one upload too many", func(w *world) { w.have.open["a/4"] = 2 }, "holds 2 open uploads"},
		{"open upload lost at storage", func(w *world) { delete(w.have.open, "a/4") }, "holds 0 open uploads"},
		{"event lost", func(w *world) { w.events = w.events[1:] }, "has no event"},
		{"event of another outcome", func(w *world) { w.events[0].Outcome = "ServiceUnavailable" }, "has the event"},
		{"event of another upload", func(w *world) { w.events[0].UploadID = "u9" }, "has the event"},
		{"event stored twice", func(w *world) { w.events = append(w.events, w.events[0]) }, "twice"},
		{"two events of a request", func(w *world) { e := w.events[0]; e.ID = "w-9"; w.events = append(w.events, e) }, "two events"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := sound()
			c.bend(&w)
			got := strings.Join(violations(w.asked, w.records, w.events, w.have), "\n")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want it to say %q", got, c.want)
			}
		})
	}
}

func TestBytesThatNobodyCountedAreFound(t *testing.T) {
	asked := []Asked{
		{Operation: "CompleteMultipartUpload", UploadID: "u1", Size: 10}, // without an answer
		{Operation: "CompleteMultipartUpload", UploadID: "u1", Size: 10, Status: 200},
		{Operation: "CompleteMultipartUpload", UploadID: "u1", Size: 10, Status: 200}, // the same again
		{Operation: "PutObject", Size: 5, Status: 200},
		{Operation: "PutObject", Size: 5, Status: 200}, // another object
		{Operation: "PutObject", Size: 5, Status: 503},
		{Operation: "UploadPart", Size: 9, Status: 200},
	}
	if found := overspent(asked, 20); found != nil {
		t.Errorf("20 bytes: %v", found)
	}
	if overspent(asked, 19) == nil {
		t.Error("19 bytes were let pass")
	}
}

func TestChainGapsAreFound(t *testing.T) {
	for _, c := range []struct{ name, ids, want string }{
		{"whole", "a-1-0 a-1-1 b-1-0 a-2-0 b-2-0", ""},
		{"first batch gone", "a-2-0", "a-2-0"},
		{"batch gone", "a-1-0 a-3-0", "a-3-0"},
		{"event gone", "a-1-0 a-1-2 a-2-0", "a-1-2"},
		{"first event gone", "a-1-1", "a-1-1"},
		{"twice", "a-1-0 a-1-0", "a-1-0"},
		{"reordered", "a-2-0 a-1-0", "a-2-0"},
		{"no number", "a-x-0", "called a-x-0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var events []Event
			for id := range strings.FieldsSeq(c.ids) {
				events = append(events, Event{ID: id})
			}
			got := strings.Join(chainGaps(events), "\n")
			if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want it to say %q", got, c.want)
			}
		})
	}
}
