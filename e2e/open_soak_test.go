//go:build soak

package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"partway/e2e/harness"
)

// What a request costs while more and more uploads are open, on MongoDB's stand-in and Redis. It measures and judges nothing but the answers: docs/scaling.md has
// what came out, of which ratios alone mean something: the binary is built with -race.
func TestSoakOpenUploads(t *testing.T) {
	n := ownStack(t, harness.Setup{Mongo: harness.SecantusDB}).UncheckedTenant(t)
	client := n.NewClient() // which asks again: the stand-in is no server for crowds
	made := func(key string) string {
		id, err := client.Create(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	most, open := setting(t, "PARTWAY_SOAK_OPEN", 3000), 0
	key := func(i int) string { return fmt.Sprintf("%sopen/%06d", n.Prefix, i) }
	ids := make([]string, most)
	for _, count := range []int{1, most / 10, most} {
		for open < count {
			ids[open] = made(key(open))
			open++
		}
		const calls = 200
		for _, call := range []struct {
			name string
			ask  func(i int)
		}{
			{"UploadPart by redirect", func(i int) {
				r := n.Request(t, http.MethodPut, fmt.Sprintf("/%s/%s?partNumber=%d&uploadId=%s", harness.Bucket, key(i%open), i%10_000+1, ids[i%open]), "body")
				r.Header.Set("x-partway-transfer", "redirect")
				if a := n.Do(t, r); a.StatusCode != http.StatusTemporaryRedirect {
					t.Errorf("%s %s", a.Status, a.Text)
				}
			}},
			{"CreateMultipartUpload", func(i int) { made(fmt.Sprintf("%sother/%d/%d", n.Prefix, open, i)) }},
			{"ListMultipartUploads of one key", func(i int) {
				a := n.Do(t, n.Request(t, http.MethodGet, "/"+harness.Bucket+"?uploads&prefix="+key(i%open), ""))
				if a.StatusCode != http.StatusOK {
					t.Errorf("%s %s", a.Status, a.Text)
				}
			}},
		} {
			before, began := cpuSeconds(t, n), time.Now()
			for i := range calls {
				call.ask(i)
			}
			took, cpu := time.Since(began), cpuSeconds(t, n)-before
			t.Logf("%6d open: %-32s %6.2f ms, %5.0f us of the gateway's CPU", open, call.name, took.Seconds()*1e3/calls, cpu*1e6/calls)
		}
	}
}

func cpuSeconds(t *testing.T, n *harness.Tenant) float64 {
	t.Helper()
	s, err := n.Gateway.Metric(t.Context(), "process_cpu_seconds_total")
	if err != nil {
		t.Fatal(err)
	}
	return s
}
