//go:build nightly

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"partway/e2e/harness"
)

// discarding is storage that keeps of an upload's parts how long they were, for more bytes than a disk should hold. It lets every page in.
type discarding struct {
	mu    sync.Mutex
	sizes map[int]int64
}

func (d *discarding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Methods", "PUT")
	w.Header().Set("Access-Control-Allow-Headers", "*")
	w.Header().Set("Access-Control-Expose-Headers", "ETag")
	n, err := io.Copy(struct{ io.Writer }{io.Discard}, r.Body)
	if err != nil {
		return // its sender broke off
	}
	q := r.URL.Query()
	number, _ := strconv.Atoi(q.Get("partNumber"))
	etag := fmt.Sprintf(`"%032x"`, number)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case r.Method == "POST" && q.Has("uploads"):
		fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>one</UploadId></InitiateMultipartUploadResult>")
	case r.Method == "PUT" && q.Has("uploadId"):
		d.sizes[number] = n
		w.Header().Set("ETag", etag)
	case r.Method == "GET" && q.Has("uploadId"):
		d.list(w, q.Get("part-number-marker"))
	case r.Method == "POST":
		fmt.Fprintf(w, "<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>", etag)
	case r.Method == "HEAD" && strings.Count(r.URL.Path, "/") > 1:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (d *discarding) list(w io.Writer, after string) {
	from, _ := strconv.Atoi(after)
	var numbers []int
	for n := range d.sizes {
		if n > from {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	page := numbers[:min(len(numbers), 1000)]
	fmt.Fprintf(w, "<ListPartsResult><IsTruncated>%t</IsTruncated>", len(page) < len(numbers))
	for _, n := range page {
		fmt.Fprintf(w, `<Part><PartNumber>%d</PartNumber><ETag>"%032x"</ETag><Size>%d</Size></Part>`, n, n, d.sizes[n])
		from = n
	}
	fmt.Fprintf(w, "<NextPartNumberMarker>%d</NextPartNumberMarker></ListPartsResult>", from)
}

// A file of 30 GiB, or of PARTWAY_E2E_SPARSE_GIB, that takes no room on the disk goes through the page, and neither the tab nor the gateway grows with it. Every
// byte is read, checked and sent; storage alone does not keep them.
func TestAHugeFileTakesNoMemory(t *testing.T) {
	gib := int64(30)
	if s := os.Getenv("PARTWAY_E2E_SPARSE_GIB"); s != "" {
		var err error
		if gib, err = strconv.ParseInt(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	p := newPages(t)
	storage := &discarding{sizes: map[int]int64{}}
	server := httptest.NewServer(storage)
	t.Cleanup(server.Close)
	p.ToStorage.Retarget(server.Listener.Addr().String())
	p.ToStorage.Cut() // what the gateway has open
	if err := p.ToStorage.Mend(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "huge.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	err = f.Truncate(gib << 30)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	who := p.person(t)
	type sample struct {
		Share                             float64
		Renderers, Browser, Rest, Gateway int64 // MiB resident
	}
	var got struct {
		Receipt receipt
		Samples []sample
	}
	began, up := time.Now(), p.tap.Up()
	err = p.browser.Do(withTimeout(t, 90*time.Minute), "memory", map[string]any{"gateway": p.origin, "token": who.token.Bearer, "files": []string{name}, "names": []string{"huge.img"},
		"process": p.Gateway.PID()}, &got)
	if err != nil {
		t.Fatalf("%v\n%s", err, p.Gateway.Tail())
	}
	took := time.Since(began)
	sum := int64(0)
	for _, n := range storage.sizes {
		sum += n
	}
	if sum != gib<<30 || got.Receipt["Key"] != harness.Bucket+"/"+who.name+"/huge.img" {
		t.Errorf("storage took %d bytes; receipt %v", sum, got.Receipt)
	}
	most := func(from, to float64, of func(sample) int64) (most int64) {
		for _, s := range got.Samples {
			if s.Share >= from && s.Share <= to {
				most = max(most, of(s))
			}
		}
		return most
	}
	t.Logf("%d GiB in %d parts, %v, %.0f MiB/s; %d bytes to the gateway; %d samples", gib, len(storage.sizes), took.Round(time.Second), float64(gib<<10)/took.Seconds(), p.tap.Up()-up, len(got.Samples))
	for _, m := range []struct {
		name string
		of   func(sample) int64
	}{
		{"renderers", func(s sample) int64 { return s.Renderers }},
		{"browser process", func(s sample) int64 { return s.Browser }},
		{"its others", func(s sample) int64 { return s.Rest }},
		{"gateway, with the race detector", func(s sample) int64 { return s.Gateway }},
	} {
		early, late := most(0.05, 0.35, m.of), most(0.65, 1, m.of)
		t.Logf("%s: at most %d MiB before a third, %d MiB after two", m.name, early, late)
		if early == 0 || late > early+early/4+32 {
			t.Errorf("%s grew from %d to %d MiB", m.name, early, late)
		}
	}
}
