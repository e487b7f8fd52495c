package proxy

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"partway/tracking"
)

// uploadsListed are the keys of a list of uploads, by all its pages.
func (b *bench) uploadsListed(query string) (keys []string, pages int) {
	b.t.Helper()
	for cursor := ""; ; {
		list := said[struct {
			Items      []uploadStanding
			NextCursor string `json:"next_cursor"`
		}](b.t, b.ask("GET", "/_partway/uploads?"+query+"&cursor="+url.QueryEscape(cursor), ""), 200)
		for _, u := range list.Items {
			keys = append(keys, u.Key)
		}
		pages++
		if cursor = list.NextCursor; cursor == "" {
			slices.Sort(keys)
			return keys, pages
		}
	}
}

func TestAnUploadIsStalledWhenNothingWasRecordedOfItForFifteenMinutes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		touch func(b *bench, id string) // after 14 minutes
		want  bool                      // whether it is stalled a minute and a bit later
	}{
		{"nothing", func(*bench, string) {}, true},
		{"a part relayed", func(b *bench, id string) { b.want(b.part("acme/a", id, 2, "more"), 200, "") }, false},
		{"a part granted", func(b *bench, id string) { b.sign(signAskOf("acme/a", id, `{"part_number":2,"content_length":5}`)) }, false},
		{"a part reported", func(b *bench, id string) {
			landed := fmt.Sprintf(`{"bucket":"uploads","key":"acme/a","upload_id":%q,"parts":[{"part_number":1,"content_length":5,"etag":"\"e\""}]}`, id)
			b.want(b.ask("POST", "/_partway/landed", landed), 200, "")
		}, false},
		{"looked at in the console", func(b *bench, id string) { b.want(b.ask("GET", "/_partway/uploads/"+id, ""), 200, "") }, true},
		{"completed", func(b *bench, id string) { b.want(b.complete("acme/a", id, "hello"), 200, "") }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			id := b.started("acme/a")
			stalled := func() bool {
				t.Helper()
				one := said[struct{ Stalled bool }](t, b.ask("GET", "/_partway/uploads/"+id, ""), 200)
				listed, _ := b.uploadsListed("stalled=true")
				others, _ := b.uploadsListed("stalled=false")
				if len(listed)+len(others) != 1 || (len(listed) == 1) != one.Stalled {
					t.Errorf("of itself it says stalled: %t; listed as stalled: %v, as not: %v", one.Stalled, listed, others)
				}
				return one.Stalled
			}
			b.wait(14 * time.Minute)
			if stalled() {
				t.Error("stalled after 14 minutes")
			}
			tt.touch(b, id)
			b.wait(70 * time.Second)
			if got := stalled(); got != tt.want {
				t.Errorf("stalled: %t, want %t", got, tt.want)
			}
		})
	}
}

func TestStalledUploadsAreFoundAmongThousands(t *testing.T) {
	b := newBench(t)
	var want []string
	for i := range 12 {
		b.create(fmt.Sprintf("acme/old-%02d", i))
		want = append(want, fmt.Sprintf("acme/old-%02d", i))
	}
	b.wait(20 * time.Minute)
	const others = 1300 // more than one page examines
	var inserting errgroup.Group
	inserting.SetLimit(64) // which share their writes to disk
	for i := range others {
		inserting.Go(func() error {
			key := "acme/new-" + strconv.Itoa(i)
			return b.store.InsertUpload(t.Context(), &tracking.Upload{Record: key, ID: key, Tenant: "acme", Bucket: "uploads", Key: key, Backend: "main",
				State: tracking.StateOpen, CreatedAt: b.now(), UpdatedAt: b.now(), ExpiresAt: b.now().Add(time.Hour)})
		})
	}
	if err := inserting.Wait(); err != nil {
		t.Fatal(err)
	}
	got, pages := b.uploadsListed("stalled=true&state=open,paused,completing&limit=5")
	if !slices.Equal(got, want) {
		t.Errorf("stalled: %v, want %v", got, want)
	}
	if pages > 20 { // at most three that end early, and those that are found
		t.Errorf("in %d pages", pages)
	}
	got, pages = b.uploadsListed("stalled=false&limit=1000")
	if len(got) != others || pages > 3 {
		t.Errorf("%d others in %d pages", len(got), pages)
	}
	if a := b.ask("GET", "/_partway/uploads?stalled=maybe", ""); a.status != 400 || !strings.Contains(a.body, "stalled must be true or false") {
		t.Error(a)
	}
}
