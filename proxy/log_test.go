package proxy

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// lines is a log that is read while others write to it.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// What goes wrong beside a request, deep below it and on its way out, is logged under the id that its answer has.
func TestEveryLineOfARequestHasItsID(t *testing.T) {
	log := &lines{}
	b := newBenchLogging(t, newFakeS3(t), nil, slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err := b.gateway.Sessions.Close(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	note := func(a answer) answer { ids = append(ids, a.header.Get("x-amz-request-id")); return a }
	created := note(b.ask(http.MethodPost, "/uploads/"+key+"?uploads", ""))
	_, id, _ := strings.Cut(created.body, "<UploadId>")
	id, _, _ = strings.Cut(id, "<")
	note(b.part(key, id, 1, "hello"))
	note(b.complete(key, id, "hello"))
	note(b.ask(http.MethodGet, "/uploads/elsewhere/x", ""))
	b.stop()

	seen := map[string]int{}
	for line := range bytes.Lines(log.text.Bytes()) {
		var said struct {
			Message string `json:"msg"`
			ID      string `json:"request_id"`
			Name    string `json:"name"`
		}
		if err := json.Unmarshal(line, &said); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !slices.Contains(ids, said.ID) {
			t.Errorf("of no request: %s", line)
		}
		seen[said.Message]++
	}
	for _, message := range []string{"state not in the ledger", "parts not in the ledger", "refused"} {
		if seen[message] == 0 {
			t.Errorf("%q was not logged; this test finds nothing: %v", message, seen)
		}
	}
}
