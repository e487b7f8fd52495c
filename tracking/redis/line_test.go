package redis

import (
	"reflect"
	"testing"
	"time"

	"partway/tracking"
)

func TestParseSession(t *testing.T) {
	until := time.UnixMilli(1_790_000_000_123).UTC()
	got, err := parseSession([]string{
		"10", "20 1790000000123 redirect crc32:AA== and more", "state", "open", "sum", "25", "2", "5 0 relay ", "3", "-1 0 sign sha256:BB",
		"landed:2", `{"bytes":5,"etag":"\"e\"","md5":"00"}`, "landed:7", `{"bytes":1,"etag":""}`,
	})
	want := &tracking.Session{State: tracking.StateOpen, Bytes: 25, Parts: []tracking.Part{
		{Number: 2, Bytes: 5, Road: "relay", Landed: &tracking.Landed{Bytes: 5, ETag: `"e"`, MD5: "00"}},
		{Number: 3, Bytes: -1, Road: "sign", Checksum: "sha256:BB"},
		{Number: 10, Bytes: 20, Road: "redirect", Checksum: "crc32:AA== and more", Until: until},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestParseSessionRefusesWhatIsNotALedger(t *testing.T) {
	for _, c := range []struct{ name, field, value string }{
		{"sum", "sum", "many"},
		{"number", "one", "5 0 relay "},
		{"words", "1", "5 0 relay"},
		{"bytes", "1", "x 0 relay "},
		{"until", "1", "5 x relay "},
		{"number of what landed", "landed:one", `{"bytes":5}`},
		{"what landed", "landed:1", `5 "e"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := parseSession([]string{"state", "open", c.field, c.value}); err == nil {
				t.Errorf("read as %+v", got)
			}
		})
	}
}
