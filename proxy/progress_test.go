package proxy

import (
	"fmt"
	"testing"
)

func TestAListShowsHowFarOpenUploadsAre(t *testing.T) {
	b := newBench(t)
	id := b.create("acme/open")
	b.sign(signAskOf("acme/open", id, `{"part_number":1,"content_length":5},{"part_number":2,"content_length":7},{"part_number":3}`))
	b.want(b.part("acme/open", id, 4, "relayed"), 200, "")
	landed := fmt.Sprintf(`{"bucket":"uploads","key":"acme/open","upload_id":%q,"parts":[{"part_number":1,"content_length":5,"etag":"\"e\""}]}`, id)
	if a := b.ask("POST", "/_partway/landed", landed); a.status != 200 {
		t.Fatal(a)
	}
	done := b.started("acme/done")
	b.want(b.complete("acme/done", done, "hello"), 200, "")

	list := said[struct{ Items []uploadWithProgress }](t, b.ask("GET", "/_partway/uploads?progress=true", ""), 200)
	if len(list.Items) != 2 || list.Items[0].Key != "acme/done" || list.Items[0].Progress != nil {
		t.Fatalf("%+v", list)
	}
	p := list.Items[1].Progress
	if p == nil || p.PartsLanded != 2 || p.BytesLanded != 12 || p.PartsGranted != 2 || p.BytesGranted != 7 || p.GrantedUntil.Before(list.Items[1].CreatedAt) {
		t.Errorf("%+v", p)
	}
}

// A state that is misspelt must not look like one that no upload is in.
func TestUploadsOfAStateThatThereIsNotAreRefused(t *testing.T) {
	b := newBench(t)
	for query, status := range map[string]int{"open": 200, "open,completed": 200, "": 200, "opened": 400, "open,complete": 400} {
		if a := b.ask("GET", "/_partway/uploads?state="+query, ""); a.status != status {
			t.Errorf("state=%s: %d, want %d: %s", query, a.status, status, a.body)
		}
	}
}
