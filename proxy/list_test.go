package proxy

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"partway/auth"
	"partway/tracking"
)

func TestWalls(t *testing.T) {
	id := &auth.Identity{Scopes: []auth.Scope{
		{Bucket: "b", Prefix: "acme/in", Actions: []string{"s3:ListBucket"}},
		{Bucket: "b", Prefix: "acme/out", Actions: []string{"s3:ListBucket"}},
	}}
	tests := []struct {
		name, bucket, prefix, delimiter string
		inside                          bool
		below                           []string
		want                            error
	}{
		{"the scope itself", "b", "acme/in/", "", true, nil, nil},
		{"inside", "b", "acme/in/2026/x", "/", true, nil, nil},
		{"its name without the slash leads to it", "b", "acme/in", "/", false, []string{"acme/in/"}, nil},
		{"above, with a delimiter", "b", "acme/", "/", false, []string{"acme/in/", "acme/out/"}, nil},
		{"the root, with a delimiter", "b", "", "/", false, []string{"acme/"}, nil},
		{"above, without a delimiter", "b", "acme/", "", false, nil, auth.ErrAccessDenied},
		{"above, with another delimiter", "b", "acme/", "i", false, nil, auth.ErrAccessDenied},
		{"beside", "b", "acme/inner/", "/", false, nil, auth.ErrAccessDenied},
		{"another bucket", "c", "acme/in/", "/", false, nil, auth.ErrAccessDenied},
		{"dots that storage might resolve", "b", "acme/in/../out2/", "/", false, nil, auth.ErrBadKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inside, below, err := walls(id, "s3:ListBucket", tt.bucket, tt.prefix, tt.delimiter)
			if errors.Is(tt.want, auth.ErrAccessDenied) {
				if asError(err).Code != "AccessDenied" {
					t.Errorf("%v, want AccessDenied", err)
				}
				return
			}
			if inside != tt.inside || !slices.Equal(below, tt.below) || !errors.Is(err, tt.want) {
				t.Errorf("%t %v %v", inside, below, err)
			}
		})
	}
}

func TestListObjectsAboveTheScopeAsksNoStorage(t *testing.T) {
	b := newBench(t)
	a := b.ask("GET", "/uploads?list-type=2&delimiter=/&prefix=", "")
	b.want(a, 200, "")
	if !strings.Contains(a.body, "<CommonPrefixes><Prefix>acme/</Prefix></CommonPrefixes>") || b.s3.count("get") != 0 {
		t.Error(a.body)
	}
	b.want(b.ask("GET", "/uploads?list-type=2", ""), 403, "AccessDenied")
}

type listedPage struct {
	IsTruncated        bool
	NextKeyMarker      string
	NextUploadIDMarker string `xml:"NextUploadIdMarker"`
	Upload             []struct{ Key string }
	CommonPrefixes     []struct{ Prefix string }
}

// The pages of ListMultipartUploads, whatever their size, put together, are what a naive reading of S3's rules gives.
func TestListMultipartUploadsPages(t *testing.T) {
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("", func(*scope) {}))
	var keys []string
	for i, k := range []string{"a", "a/b", "a/b", "a/c/d", "a/c/e", "a!", "b//x", "b/", "é/x", "z", "z", "z\U0010FFFF"} {
		u := &tracking.Upload{Record: fmt.Sprint(i), ID: fmt.Sprintf("id-%02d", i), Bucket: "uploads", Key: k, State: tracking.StateOpen, CreatedAt: time.Now(), Tenant: "acme"}
		if err := b.store.InsertUpload(context.Background(), u); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	slices.Sort(keys)
	rapid.Check(t, func(t *rapid.T) {
		prefix := rapid.SampledFrom([]string{"", "a", "a/", "a/c", "b", "q"}).Draw(t, "prefix")
		delimiter := rapid.SampledFrom([]string{"", "/", "/c", "\U0010FFFF"}).Draw(t, "delimiter")
		limit := rapid.IntRange(1, 13).Draw(t, "limit")

		var want []string
		for _, k := range keys {
			rest, ok := strings.CutPrefix(k, prefix)
			if !ok {
				continue
			}
			if i := strings.Index(rest, delimiter); delimiter != "" && i >= 0 {
				if c := prefix + rest[:i+len(delimiter)] + "*"; !slices.Contains(want, c) {
					want = append(want, c)
				}
				continue
			}
			want = append(want, k)
		}
		var got []string
		q := url.Values{"uploads": {""}, "prefix": {prefix}, "delimiter": {delimiter}, "max-uploads": {strconv.Itoa(limit)}}
		for pages := 0; ; pages++ {
			a := b.ask("GET", "/uploads?"+q.Encode(), "")
			var p listedPage
			if err := xml.Unmarshal([]byte(a.body), &p); err != nil || a.status != 200 {
				t.Fatalf("%d %s", a.status, a.body)
			}
			var here []string
			for _, u := range p.Upload {
				here = append(here, u.Key)
			}
			for _, c := range p.CommonPrefixes {
				here = append(here, c.Prefix+"*")
			}
			if len(here) > limit || pages > len(keys) {
				t.Fatalf("page of %d, %d pages", len(here), pages)
			}
			got = append(got, here...)
			if !p.IsTruncated {
				break
			}
			q.Set("key-marker", p.NextKeyMarker)
			q.Set("upload-id-marker", p.NextUploadIDMarker)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
