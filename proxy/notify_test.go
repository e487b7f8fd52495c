package proxy

import (
	"encoding/base64"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"partway/proxy/notify"
	"partway/tracking"
)

func newNotifier(t *testing.T, b *bench, url string) *notify.Notifier {
	t.Helper()
	secret := base64.StdEncoding.EncodeToString(make([]byte, 32))
	n, err := notify.New(notify.Config{Store: b.store, Receivers: []notify.Receiver{{Name: "a", URL: url, Secret: secret}},
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What is to be told comes into the record with the state itself: a gateway that ends right behind that write has lost nothing.
func TestTheRecordSaysWhatIsToBeTold(t *testing.T) {
	b := newBench(t)
	b.want(b.ask("GET", "/_partway/health", ""), 200, "") // it serves, and runs no notifier
	b.gateway.mu.Lock()
	b.gateway.Notifier = newNotifier(t, b, "http://localhost:1")
	b.gateway.mu.Unlock()
	event := func(id string) string {
		if n := b.record(id).Notice; n != nil {
			return n.Event
		}
		return ""
	}
	completed := b.started(key)
	if got := event(completed); got != "" {
		t.Errorf("of an open one %q is told", got)
	}
	b.s3.faults("complete", refuse)
	b.want(b.complete(key, completed, "hello"), 403, "AccessDenied")
	if got := event(completed); got != "" {
		t.Errorf("of one that is open again %q is told", got)
	}
	b.want(b.complete(key, completed, "hello"), 200, "")
	if got := event(completed); got != notify.Completed {
		t.Errorf("of a completed one %q is told", got)
	}

	aborted := b.started(key)
	if a := b.ask("DELETE", "/uploads/"+key+"?uploadId="+aborted, ""); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if got := event(aborted); got != notify.Aborted {
		t.Errorf("of an aborted one %q is told", got)
	}

	lost := b.started("acme/lost")
	b.moved(lost, nil, tracking.StateCompleting, tracking.StateUnknown)
	if got := event(lost); got != notify.Failed {
		t.Errorf("of a lost one %q is told", got)
	}
}

func TestAGatewayTellsOfItsUploads(t *testing.T) {
	told := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- string(body)
	}))
	defer receiver.Close()
	b := newBench(t)
	n := newNotifier(t, b, receiver.URL)
	other := b.besideWith(func(c *Config) { c.Notifier = n })
	id := other.started(key)
	b.want(other.complete(key, id, "hello"), 200, "")
	if got := <-told; !strings.Contains(got, `"upload_id":"`+id+`"`) || !strings.Contains(got, `"state":"completed","bytes":5`) {
		t.Errorf("told %s", got)
	}
}
