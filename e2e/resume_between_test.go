package e2e

import (
	"bytes"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"partway/e2e/harness"
)

// What may happen between a client's end and its second run, each with real servers: what had landed does not travel again, or all of it does, and the
// object is whole in every case.
func TestWhatHappensBeforeAnUploadIsTakenUp(t *testing.T) {
	s := ownStack(t, harness.Setup{Mongo: harness.SecantusDB, Config: []string{"resume: {enabled: true, window: 1h}"}})
	parts := [][]byte{bytes.Repeat([]byte("one "), 5*mib/4), []byte("two")}
	for _, test := range []struct {
		name      string
		between   func(t *testing.T, s *harness.Stack)
		takenUp   func(t *testing.T, s *harness.Stack) // after the second Create
		handedOn  bool
		remembers bool // what landed
	}{
		{name: "nothing", handedOn: true, remembers: true},
		{name: "the gateway is killed", between: killGateway, handedOn: true, remembers: true},
		{name: "Redis is flushed", between: flushRedis, handedOn: true, remembers: true},
		{name: "Redis is flushed after the upload was taken up", takenUp: flushRedis, handedOn: true},
		{name: "the operator turns it off", between: func(t *testing.T, s *harness.Stack) { restartWith(t, s, "enabled: true", "enabled: false") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWaiting(s.UncheckedTenant(t, mayResume))
			key := w.n.Prefix + "big"
			before, etag := w.begin(t, key, parts[0])
			listsNoHash(t, w.n, key)
			if test.between != nil {
				test.between(t, s)
				w.n.Tap.Retarget(s.Gateway.Addr())
			}
			id, a, err := w.create(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if got := a.header.Get("X-Partway-Resumed"); (got == "1") != test.handedOn {
				t.Fatalf("x-partway-resumed: %q", got)
			}
			if test.handedOn {
				late, err := w.part(t.Context(), key, before, 2, parts[1], nil)
				if err != nil || late.code != "NoSuchUpload" {
					t.Errorf("a part under the id before: %v, %v", late, err)
				}
			}
			if test.takenUp != nil {
				test.takenUp(t, s)
			}
			etags := make([]string, len(parts))
			for i, body := range parts {
				a, err := w.part(t.Context(), key, id, i+1, body, hashed(body))
				if err != nil || !a.ok() {
					t.Fatalf("part %d: %v, %v", i+1, a, err)
				}
				etags[i] = a.header.Get("ETag")
				if travels := i > 0 || !test.remembers; travels != (a.sent == int64(len(body))) || !travels && a.sent != 0 {
					t.Errorf("of part %d, %d bytes travelled", i+1, a.sent)
				}
			}
			if etags[0] != etag {
				t.Errorf("the first part is %s now, and was %s", etags[0], etag)
			}
			if a, err := w.complete(t.Context(), key, id, etags...); err != nil || !a.ok() {
				t.Fatalf("Complete: %v %s, %v", a, a.text, err)
			}
			(&session{Tenant: w.n}).stored(t, "big", bytes.Join(parts, nil))
		})
	}
}

// After the window an upload is made anew.
func TestTheWindowPasses(t *testing.T) {
	s := crashing(t, "")
	restartWith(t, s, "data_dir:", "resume: {enabled: true, window: 10m}\ndata_dir:")
	w := newWaiting(s.UncheckedTenant(t, mayResume))
	part := bytes.Repeat([]byte("one "), 5*mib/4)
	for _, test := range []struct {
		name     string
		ahead    time.Duration
		handedOn string
	}{{"within it", 5 * time.Minute, "1"}, {"after it", 16 * time.Minute, ""}} {
		t.Run(test.name, func(t *testing.T) {
			key := w.n.Prefix + test.name[:5]
			w.begin(t, key, part)
			if err := s.Gateway.Stop(40 * time.Second); err != nil {
				t.Fatal(err)
			}
			if err := s.RestartAhead(t.Context(), test.ahead); err != nil {
				t.Fatal(err)
			}
			w.n.Tap.Retarget(s.Gateway.Addr())
			if _, a, err := w.create(t.Context(), key); err != nil || a.header.Get("X-Partway-Resumed") != test.handedOn {
				t.Errorf("x-partway-resumed: %q, want %q (%v)", a.header.Get("X-Partway-Resumed"), test.handedOn, err)
			}
		})
	}
}

// A URL of the first run that is used after its part was answered as stored: with the same bytes nothing is lost, with others the Complete fails, nothing
// is made, and the upload is not handed over again.
func TestAURLFromBeforeIsUsedLate(t *testing.T) {
	s := ownStack(t, harness.Setup{Config: []string{resumeConfig}})
	part := bytes.Repeat([]byte("one "), 5*mib/4)
	for name, late := range map[string][]byte{"with the same bytes": part, "with others": bytes.Repeat([]byte("two "), 5*mib/4)} {
		t.Run(name, func(t *testing.T) {
			w := newWaiting(s.UncheckedTenant(t, mayResume))
			key := w.n.Prefix + "big"
			before, etag := w.begin(t, key, part)
			url, headers, a, err := w.signed(t.Context(), key, before, 1, late)
			if err != nil || url == "" {
				t.Fatalf("%v, %v", a, err)
			}
			id, _, err := w.create(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if a, err := w.part(t.Context(), key, id, 1, part, hashed(part)); err != nil || a.sent != 0 || a.header.Get("ETag") != etag {
				t.Fatalf("a stored part: %v, %d bytes travelled, %v", a, a.sent, err)
			}
			if a, err := w.ask(t.Context(), http.MethodPut, url, late, headers); err != nil || !a.ok() {
				t.Fatalf("by the URL: %v %s, %v", a, a.text, err)
			}
			a, err = w.complete(t.Context(), key, id, etag)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(late, part) {
				(&session{Tenant: w.n}).stored(t, "big", part)
				return
			}
			if a.code != "InvalidPart" {
				t.Errorf("Complete: %v %s", a, a.text)
			}
			if list, err := w.n.Storage.ListObjectsV2(t.Context(), listOf(key)); err != nil || len(list.Contents) != 0 {
				t.Errorf("an object was made: %v, %v", list.Contents, err)
			}
			if _, a, err := w.create(t.Context(), key); err != nil || a.header.Get("X-Partway-Resumed") != "" {
				t.Errorf("it was handed over again: %v, %v", a.header, err)
			}
		})
	}
}

// begin is the first run of a client that dies after its first part.
func (w *waiting) begin(t *testing.T, key string, part []byte) (id, etag string) {
	t.Helper()
	id, _, err := w.create(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.part(t.Context(), key, id, 1, part, hashed(part))
	if err != nil || !a.ok() {
		t.Fatalf("%v, %v", a, err)
	}
	return id, a.header.Get("ETag")
}

// listsNoHash makes sure that what is remembered is not storage's own SHA-256.
func listsNoHash(t *testing.T, n *harness.Tenant, key string) {
	t.Helper()
	uploads, err := n.Storage.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String(harness.Bucket), Prefix: &key})
	if err != nil || len(uploads.Uploads) != 1 {
		t.Fatalf("%v, %v", uploads, err)
	}
	parts, err := n.Storage.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(harness.Bucket), Key: &key, UploadId: uploads.Uploads[0].UploadId})
	if err != nil || len(parts.Parts) != 1 || parts.Parts[0].ChecksumSHA256 != nil {
		t.Fatalf("%v, %v", parts, err)
	}
}

func killGateway(t *testing.T, s *harness.Stack) {
	t.Helper()
	s.Gateway.Kill()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func restartWith(t *testing.T, s *harness.Stack, old, line string) {
	t.Helper()
	config, err := os.ReadFile(s.Config)
	if err == nil && !strings.Contains(string(config), old) {
		t.Fatalf("no %q to replace", old)
	}
	if err == nil {
		err = os.WriteFile(s.Config, []byte(strings.Replace(string(config), old, line, 1)), 0o600)
	}
	if err == nil {
		err = s.Gateway.Stop(40 * time.Second)
	}
	if err == nil {
		err = s.Restart(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func flushRedis(t *testing.T, s *harness.Stack) {
	t.Helper()
	conn, err := net.Dial("tcp", s.ToRedis.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	reply := make([]byte, 5)
	if _, err = conn.Write([]byte("FLUSHALL\r\n")); err == nil {
		_, err = conn.Read(reply)
	}
	if err != nil || !strings.HasPrefix(string(reply), "+OK") {
		t.Fatalf("%q, %v", reply, err)
	}
}
