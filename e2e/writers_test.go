package e2e

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"partway/e2e/harness"
)

func TestTwoWritersOnOneKey(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		key := n.Prefix + "shared"
		bodies := []string{strings.Repeat("a", 100_000), strings.Repeat("b", 100_000)}
		together(t, len(bodies), func(i int) {
			id := create(t, n, key)
			put := n.Do(t, n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id, bodies[i]))
			if a := complete(t, n, key, id, put.Header.Get("ETag")); a.StatusCode != http.StatusOK || a.Code != "" {
				t.Errorf("writer %d: %s %s", i, a.Status, a.Text)
			}
		})
		got := n.Do(t, n.Request(t, http.MethodGet, "/"+harness.Bucket+"/"+key, ""))
		if got.Text != bodies[0] && got.Text != bodies[1] {
			t.Errorf("%d bytes that neither writer sent as a whole", len(got.Text))
		}
		// The audit need not have seen the two in storage's order; after a third writer both agree who was last.
		if a := n.Do(t, n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key, "last")); a.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", a.Status, a.Text)
		}
	})
}

func TestTheSameCompleteGetsTheSameAnswer(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		key := n.Prefix + "completed"
		id := create(t, n, key)
		put := n.Do(t, n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+key+"?partNumber=1&uploadId="+id, "part"))
		etag := put.Header.Get("ETag")
		answers := make([]harness.Answer, 6)
		together(t, len(answers), func(i int) { answers[i] = complete(t, n, key, id, etag) })
		for i, a := range append(answers, complete(t, n, key, id, etag)) {
			if a.StatusCode != http.StatusOK || a.Code != "" || a.Text != answers[0].Text {
				t.Errorf("Complete %d: %s %s\nthe first: %s", i, a.Status, a.Text, answers[0].Text)
			}
		}
		refused(t, n, complete(t, n, key, id, etag, etag), 404, "NoSuchUpload", true)
	})
}

// together runs f(0) to f(count-1) at once and waits.
func together(t *testing.T, count int, f func(i int)) {
	t.Helper()
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
