package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"partway/e2e/harness"
)

// receiver is a webhook's other end. While it is ill it answers 503.
type receiver struct {
	*httptest.Server
	secret []byte

	mu   sync.Mutex
	ill  bool
	told []notice
}

type notice struct {
	id       string
	ill      bool   // it was answered 503
	forgedBy string // its signature, if that is wrong
	Type     string
	Data     struct {
		UploadID string `json:"upload_id"`
		Tenant   string
		Key      string
		State    string
		Bytes    int64
	}
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{secret: []byte("a secret of more than 24 bytes"), ill: true}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		n := notice{id: q.Header.Get("webhook-id")}
		mac := hmac.New(sha256.New, r.secret)
		io.WriteString(mac, n.id+"."+q.Header.Get("webhook-timestamp")+"."+string(body))
		if got := q.Header.Get("webhook-signature"); got != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
			n.forgedBy = got
		}
		if err != nil || json.Unmarshal(body, &n) != nil {
			t.Errorf("a notice that is no JSON: %q (%v)", body, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		n.ill = r.ill
		r.told = append(r.told, n)
		if r.ill {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// heard are the notices of an upload, once there are so many.
func (r *receiver) heard(t *testing.T, id string, atLeast int) (of []notice) {
	t.Helper()
	err := harness.Await(withTimeout(t, 30*time.Second), "the notices of "+id, nil, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		of = nil
		for _, n := range r.told {
			if n.Data.UploadID == id {
				of = append(of, n)
			}
		}
		return len(of) >= atLeast
	})
	if err != nil {
		t.Fatal(err)
	}
	return of
}

// What becomes of an upload is told by the built gateway as configured: signed, again after a refusal, and by the next gateway if this one is killed before
// the receiver has heard it.
func TestNoticesOutliveAKilledGateway(t *testing.T) {
	r := newReceiver(t)
	s := ownStack(t, harness.Setup{Failpoints: true, Config: []string{
		`notifications: [{name: billing, url: "` + r.URL + `", secret: "whsec_` + base64.StdEncoding.EncodeToString(r.secret) + `"}]`,
	}})
	n := s.NewTenant(t)
	id := create(t, n, n.Prefix+"done")
	finish(t, n, n.Prefix+"done", id)
	r.heard(t, id, 1)

	s.Gateway.Kill()
	r.mu.Lock()
	r.ill = false
	r.mu.Unlock()
	if err := s.RestartAhead(t.Context(), time.Minute); err != nil { // past the pause after the refusal
		t.Fatal(err)
	}
	n.Tap.Retarget(s.Gateway.Addr())
	told := r.heard(t, id, 2)
	for _, m := range told {
		if m.forgedBy != "" || m.id != told[0].id || m.Type != "upload.completed" || m.Data.Tenant != n.Name || m.Data.Key != n.Prefix+"done" ||
			m.Data.State != "completed" || m.Data.Bytes != int64(len("part")) {
			t.Errorf("told %+v, the first time %+v", m, told[0])
		}
	}
	if last := told[len(told)-1]; last.ill {
		t.Errorf("the notice was not told again after the restart: %+v", told)
	}

	gone := create(t, n, n.Prefix+"gone")
	if a := n.Do(t, n.Request(t, http.MethodDelete, "/"+harness.Bucket+"/"+n.Prefix+"gone?uploadId="+gone, "")); a.StatusCode != http.StatusNoContent {
		t.Fatalf("Abort: %s %s", a.Status, a.Text)
	}
	if m := r.heard(t, gone, 1)[0]; m.forgedBy != "" || m.Type != "upload.aborted" || m.Data.State != "aborted" {
		t.Errorf("told of the abort: %+v", m)
	}
}
