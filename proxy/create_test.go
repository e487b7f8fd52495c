package proxy

import (
	"context"
	"net/http"
	"testing"
	"time"

	"partway/tracking"
)

func (b *bench) uploads() []tracking.Upload {
	b.t.Helper()
	page, _, err := b.store.ListUploads(context.Background(), tracking.UploadQuery{})
	if err != nil {
		b.t.Fatal(err)
	}
	return page
}

// Create, at each of its steps: what storage holds afterwards is recorded, or it was taken back, or an intent says where to look.
func TestCreateUnderFaults(t *testing.T) {
	tests := []struct {
		name    string
		storage fault
		store   []storeFault
		status  int
		code    string
		open    int // uploads at storage afterwards
		records int
	}{
		{"all well", none, nil, 200, "", 1, 1},
		{"storage refuses", refuse, nil, 403, "AccessDenied", 0, 0},
		{"storage fails", fail, nil, 500, "InternalError", 0, 0},
		{"no answer, nothing made", cut, nil, 503, "ServiceUnavailable", 0, 0},
		{"no answer, but made: the intent stays", cutAfter, nil, 503, "ServiceUnavailable", 1, 0},
		{"made, not recorded: taken back", none, []storeFault{storeFails}, 503, "ServiceUnavailable", 0, 0},
		{"made, recorded, not known so: taken back", none, []storeFault{storeFailsButPersists}, 503, "ServiceUnavailable", 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			b.s3.faults("create", tt.storage)
			b.store.swapFaults(tt.store...)
			b.want(b.ask("POST", "/uploads/"+key+"?uploads", ""), tt.status, tt.code)
			if n := b.s3.open(); n != tt.open {
				t.Errorf("%d uploads at storage, want %d", n, tt.open)
			}
			if n := len(b.uploads()); n != tt.records {
				t.Errorf("%d records, want %d", n, tt.records)
			}
			if n := b.s3.count("create"); n != 1 {
				t.Errorf("storage was asked %d times", n)
			}
		})
	}
}

func TestTwoWritersOnOneKeyHaveIDsOfTheirOwn(t *testing.T) {
	b := newBench(t)
	one, two := b.create(key), b.create(key)
	if one == two {
		t.Fatal("one id for two uploads")
	}
	b.want(b.part(key, one, 1, "one"), 200, "")
	b.want(b.part(key, two, 1, "two"), 200, "")
	b.want(b.complete(key, one, "one"), 200, "")
	b.want(b.complete(key, two, "two"), 200, "")
	if o, _ := b.s3.object("/uploads/" + key); string(o.body) != "two" {
		t.Errorf("object is %q", o.body)
	}
}

// Lists show the time of the record, so an Abort is held to that one, whatever the clock of storage said.
func TestAbortIfInitiatedThen(t *testing.T) {
	b := newBench(t)
	const name = "x-amz-if-match-initiated-time"
	for _, c := range []struct {
		name  string
		value func(created time.Time) string
		code  string
	}{
		{"the time of the list", func(at time.Time) string { return at.Format(http.TimeFormat) }, ""},
		{"a second before", func(at time.Time) string { return at.Add(-time.Second).Format(http.TimeFormat) }, "PreconditionFailed"},
		{"a time to come does not count", func(at time.Time) string { return at.Add(time.Hour).Format(http.TimeFormat) }, ""},
		{"no time", func(time.Time) string { return "yesterday" }, "InvalidArgument"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := b.create(key)
			a := b.ask("DELETE", "/uploads/"+key+"?uploadId="+id, "", name, c.value(b.record(id).CreatedAt.UTC()))
			if c.code == "" {
				b.want(a, 204, "")
				if b.s3.last().Get(name) != "" {
					t.Error("storage was asked too, by a clock of its own")
				}
				return
			}
			if a.code() != c.code || b.record(id).State != tracking.StateOpen {
				t.Errorf("%d %s, and the upload is %s", a.status, a.code(), b.record(id).State)
			}
		})
	}
}
