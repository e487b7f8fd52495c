package proxy

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"partway/auth"
	"partway/tracking"
)

const resumedKey = "acme/big"

// resuming is a bench whose tenant's token may resume.
func resuming(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	b.tenant = b.bearer("acme", scopeOf("acme", func(s *scope) { s.Resume = true }))
	return b
}

func uploadIDIn(body string) string {
	_, rest, _ := strings.Cut(body, "<UploadId>")
	id, _, _ := strings.Cut(rest, "</UploadId>")
	return id
}

func sha(body string) (name, value string) {
	sum := sha256.Sum256([]byte(body))
	return "x-amz-content-sha256", hex.EncodeToString(sum[:])
}

func contentMD5(body string) (name, value string) {
	sum := md5.Sum([]byte(body))
	return "content-md5", base64.StdEncoding.EncodeToString(sum[:])
}

// declared sends a part as botocore does: it says what the body is and waits for the 100. travelled is how much of the body was read.
func (b *bench) declared(id string, n int, body string, headers ...string) (a answer, travelled int64) {
	b.t.Helper()
	read := &countingReader{Reader: strings.NewReader(body)}
	req, err := http.NewRequest("PUT", fmt.Sprintf("%s/uploads/%s?partNumber=%d&uploadId=%s", b.url, resumedKey, n, id), read)
	if err != nil {
		b.t.Fatal(err)
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("Authorization", "Bearer "+b.tenant)
	req.Header.Set("Expect", "100-continue")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, read.n.Load()
}

type countingReader struct {
	io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// interrupted makes an upload whose client went away after parts 1 ("one") and 2 ("two"), each with its SHA-256.
func (b *bench) interrupted() (id string) {
	b.t.Helper()
	id = b.create(resumedKey)
	for i, body := range []string{"one", "two"} {
		name, value := sha(body)
		a, _ := b.declared(id, i+1, body, name, value)
		b.want(a, 200, "")
	}
	b.events() // a client that comes back does so after what it saw was recorded; a part's event is recorded before its answer
	return id
}

func (b *bench) wantTravelled(what string, got int64, want string) {
	b.t.Helper()
	if got != int64(len(want)) {
		b.t.Errorf("%s: %d bytes of the body travelled, want %d", what, got, len(want))
	}
}

func TestAnInterruptedUploadIsTakenUpAgain(t *testing.T) {
	b := resuming(t)
	before := b.interrupted()
	again := b.ask("POST", "/uploads/"+resumedKey+"?uploads", "")
	b.want(again, 200, "")
	if got := again.header.Get("x-partway-resumed"); got != "2" {
		t.Fatalf("x-partway-resumed: %q, want 2", got)
	}
	id := uploadIDIn(again.body)
	if id == before {
		t.Fatal("the new client has the id of the one before")
	}
	name, value := sha("one")
	one, travelled := b.declared(id, 1, "one", name, value, "x-amz-checksum-crc32", "emyG8Q==")
	b.want(one, 200, "")
	b.wantTravelled("a stored part", travelled, "")
	if one.header.Get("ETag") != etagOf([]byte("one")) || one.header.Get("x-amz-checksum-crc32") != "emyG8Q==" || one.header.Get("x-partway-transfer") != "skip;reason=already-stored" {
		t.Errorf("a stored part was answered %v", one.header)
	}
	name, value = sha("TWO")
	two, travelled := b.declared(id, 2, "TWO", name, value)
	b.want(two, 200, "")
	b.wantTravelled("a part that changed", travelled, "TWO")
	three, _ := b.declared(id, 3, "three")
	b.want(three, 200, "")
	b.want(b.complete(resumedKey, id, "one", "TWO", "three"), 200, "")
	if o, _ := b.s3.object("/uploads/" + resumedKey); string(o.body) != "oneTWOthree" {
		t.Errorf("the object is %q", o.body)
	}
	if n := b.s3.count("create"); n != 1 {
		t.Errorf("storage was asked for %d uploads", n)
	}
	skipped := 0
	for _, e := range b.events() {
		switch {
		case e.Road == string(RoadSkip):
			skipped++
			if e.UploadID != id || e.Outcome != "ok" || e.Bytes != 3 || e.ETag != etagOf([]byte("one")) {
				t.Errorf("the event of a stored part is %+v", e)
			}
		case e.Operation == "CreateMultipartUpload" && e.UploadID == id && e.Reason != "resumed":
			t.Errorf("the event of the second Create is %+v", e)
		}
	}
	if skipped != 1 {
		t.Errorf("%d events of stored parts, want 1", skipped)
	}
}

func TestTheIDBeforeAHandOverIsNoUploadAnyMore(t *testing.T) {
	b := resuming(t)
	before := b.interrupted()
	id := b.create(resumedKey)
	b.want(b.part(resumedKey, before, 3, "late"), 404, "NoSuchUpload")
	b.want(b.ask("GET", "/uploads/"+resumedKey+"?uploadId="+before, ""), 404, "NoSuchUpload")
	b.want(b.complete(resumedKey, before, "one", "two"), 404, "NoSuchUpload")
	b.want(b.ask("PUT", "/uploads/"+resumedKey+"?partNumber=1&uploadId="+before, "", "x-amz-copy-source", "/uploads/acme/other"), 404, "NoSuchUpload")
	b.want(b.ask("DELETE", "/uploads/"+resumedKey+"?uploadId="+before, ""), 204, "")
	if b.s3.open() != 1 {
		t.Fatal("its Abort ended the upload that another client goes on with")
	}
	b.want(b.complete(resumedKey, id, "one", "two"), 200, "")
}

func TestWhatIsNotHandedOver(t *testing.T) {
	create := func(headers ...string) func(*bench) answer {
		return func(b *bench) answer { return b.ask("POST", "/uploads/"+resumedKey+"?uploads", "", headers...) }
	}
	as := func(tenant, subject string, resume, operator bool) func(*bench) answer {
		return func(b *bench) answer {
			token := b.issue(auth.Grant{Class: auth.ClassBearer, Tenant: tenant, Subject: subject, Operator: operator, TTL: time.Hour,
				Scopes: []auth.Scope{scopeOf("acme", func(s *scope) { s.Resume = resume })}})
			return create("Authorization", "Bearer "+token)(b)
		}
	}
	for name, test := range map[string]struct {
		before func(b *bench, id string)
		create func(*bench) answer
	}{
		"to a token that may not resume":    {create: as("acme", "acme", false, false)},
		"to an operator":                    {create: as("acme", "acme", true, true)},
		"to another subject":                {create: as("acme", "somebody else", true, false)},
		"to another tenant":                 {create: as("other", "acme", true, false)},
		"to a call that does not want it":   {create: create("x-partway-resume", "no")},
		"where the object would be another": {create: create("content-type", "text/plain")},
		"after its Complete was refused": {before: func(b *bench, id string) {
			b.want(b.complete(resumedKey, id, "one", "else"), 400, "InvalidPart")
		}, create: create()},
		"after it was completed": {before: func(b *bench, id string) {
			b.want(b.complete(resumedKey, id, "one", "two"), 200, "")
		}, create: create()},
		"after it was aborted for good": {before: func(b *bench, id string) {
			b.want(b.ask("DELETE", "/uploads/"+resumedKey+"?uploadId="+id, "", "x-partway-resume", "no"), 204, "")
		}, create: create()},
		"after it ended at storage": {before: func(b *bench, _ string) {
			b.s3.mu.Lock()
			defer b.s3.mu.Unlock()
			clear(b.s3.uploads)
		}, create: create()},
		"after the window": {create: func(b *bench) answer {
			late := b.besideWith(func(c *Config) { c.ResumeWindow = time.Nanosecond })
			return create()(late)
		}},
		"where resuming is off": {create: func(b *bench) answer {
			return create()(b.besideWith(func(c *Config) { c.ResumeWindow = 0 }))
		}},
		"while the ledger cannot say what is on its way": {create: func(b *bench) answer {
			return create()(b.besideWith(func(c *Config) { _ = c.Sessions.Close() }))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := resuming(t)
			id := b.interrupted()
			if test.before != nil {
				test.before(b, id)
			}
			made := b.s3.count("create")
			a := test.create(b)
			b.want(a, 200, "")
			if b.s3.count("create") != made+1 || a.header.Get("x-partway-resumed") != "" {
				t.Fatalf("the upload was handed over: %s", a.body)
			}
		})
	}
}

func TestAnUploadIsNotHandedOverWhileAPartIsOnItsWay(t *testing.T) {
	b := resuming(t)
	id := b.interrupted()
	body, feed := io.Pipe()
	req, err := http.NewRequest("PUT", fmt.Sprintf("%s/uploads/%s?partNumber=3&uploadId=%s", b.url, resumedKey, id), body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = 10
	req.Header.Set("Authorization", "Bearer "+b.tenant)
	ctx, hangUp := context.WithCancel(t.Context())
	var gone sync.WaitGroup
	gone.Go(func() {
		if resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req.WithContext(ctx)); err == nil {
			resp.Body.Close()
		}
	})
	if _, err := feed.Write([]byte("12345")); err != nil { // the relay has begun once the body is read
		t.Fatal(err)
	}
	b.await("the part is in the ledger", func() bool { return b.gateway.partInFlight(t.Context(), b.record(id)) })
	if other := b.create(resumedKey); b.record(other).Resumable.Generation != 1 {
		t.Error("an upload was handed over while a part of it was on its way")
	}
	hangUp()
	feed.Close()
	gone.Wait()
	b.await("the part is out of the ledger", func() bool { return !b.gateway.partInFlight(t.Context(), b.record(id)) })
}

// await polls: what it waits for happens in the gateway's own goroutines.
func (b *bench) await(what string, holds func() bool) {
	b.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			b.t.Fatalf("not within 20 s: %s", what)
		}
	}
}

func TestOnlyWhatStorageConfirmedNeedNotTravel(t *testing.T) {
	shaName, shaValue := sha("one")
	md5Name, md5Value := contentMD5("one")
	for name, test := range map[string]struct {
		first  []string // headers of the part the first time
		before func(b *bench, id string)
		after  func(b *bench, id string) // the hand-over
		again  []string                  // headers of the part the second time
		body   string                    // the second time ["one"]
		skips  bool
	}{
		"the same SHA-256, that storage's 200 confirmed": {first: []string{shaName, shaValue}, again: []string{shaName, shaValue}, skips: true},
		"an MD5 that the listed ETag is":                 {again: []string{md5Name, md5Value}, skips: true},
		"a CRC alone":                                    {first: []string{"x-amz-checksum-crc32", "emyG8Q=="}, again: []string{"x-amz-checksum-crc32", "emyG8Q=="}},
		"nothing but the size":                           {},
		"a hash that the first body did not declare":     {again: []string{shaName, shaValue}},
		"another CRC beside the same SHA-256": {first: []string{shaName, shaValue, "x-amz-checksum-crc32", "emyG8Q=="},
			again: []string{shaName, shaValue, "x-amz-checksum-crc32", "AAAAAA=="}},
		"a part that became another at storage": {first: []string{shaName, shaValue}, again: []string{shaName, shaValue},
			before: func(b *bench, _ string) { b.s3.overwrite(1, "ONE") }},
		"a part that is gone from storage": {first: []string{shaName, shaValue}, again: []string{shaName, shaValue},
			before: func(b *bench, _ string) { b.s3.overwrite(1, "") }},
		"a ledger that was lost": {first: []string{shaName, shaValue}, again: []string{shaName, shaValue},
			after: func(b *bench, id string) { _ = b.gateway.Sessions.Forget(context.Background(), id) }},
		"a call that does not want it": {first: []string{shaName, shaValue}, again: []string{shaName, shaValue, "x-partway-resume", "no"}},
		"a part with a key of its own": {first: []string{shaName, shaValue},
			again: []string{shaName, shaValue, "x-amz-server-side-encryption-customer-algorithm", "AES256"}},
		"a part that travelled again since": {first: []string{shaName, shaValue}, again: []string{shaName, shaValue},
			after: func(b *bench, id string) { b.want(b.part(resumedKey, id, 1, "ONE"), 200, "") }},
	} {
		t.Run(name, func(t *testing.T) {
			b := resuming(t)
			id := b.create(resumedKey)
			a, _ := b.declared(id, 1, "one", test.first...)
			b.want(a, 200, "")
			if test.before != nil {
				test.before(b, id)
			}
			id = b.create(resumedKey)
			if b.record(id).Resumable.Generation != 2 {
				t.Fatal("the upload was not handed over")
			}
			if test.after != nil {
				test.after(b, id)
			}
			a, travelled := b.declared(id, 1, "one", test.again...)
			b.want(a, 200, "")
			if skipped := travelled == 0; skipped != test.skips {
				t.Errorf("the part travelled: %v, want %v", !skipped, !test.skips)
			}
		})
	}
}

// overwrite changes a part of every upload behind the gateway's back; "" drops it.
func (f *fakeS3) overwrite(number int, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.uploads {
		if u.parts[number] = []byte(body); body == "" {
			delete(u.parts, number)
		}
	}
}

func TestEvidenceOutlivesTheLedgerAndEarlierHandOvers(t *testing.T) {
	b := resuming(t)
	id := b.interrupted()
	for range 3 {
		if err := b.gateway.Sessions.Forget(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		id = b.create(resumedKey)
	}
	name, value := sha("two")
	a, travelled := b.declared(id, 2, "two", name, value)
	b.want(a, 200, "")
	b.wantTravelled("a part that landed three hand-overs ago", travelled, "")
}

func TestAPartThatChangesBehindAResumedUploadFailsItsComplete(t *testing.T) {
	b := resuming(t)
	b.interrupted()
	id := b.create(resumedKey)
	name, value := sha("one")
	a, travelled := b.declared(id, 1, "one", name, value)
	b.want(a, 200, "")
	b.wantTravelled("a stored part", travelled, "")
	b.s3.overwrite(1, "late, by a URL from before")
	b.want(b.complete(resumedKey, id, "one", "two"), 400, "InvalidPart")
	if _, made := b.s3.object("/uploads/" + resumedKey); made {
		t.Fatal("an object was made of other bytes")
	}
	if next := b.create(resumedKey); b.record(next).Resumable.Generation != 1 {
		t.Error("an upload whose Complete was refused was handed over")
	}
}

func TestAbortKeepsTheParts(t *testing.T) {
	b := resuming(t)
	id := b.interrupted()
	abort := func(id string, headers ...string) answer {
		return b.ask("DELETE", "/uploads/"+resumedKey+"?uploadId="+id, "", headers...)
	}
	b.want(abort(id), 204, "")
	u := b.record(id)
	if u.State != tracking.StatePaused || time.Until(u.ExpiresAt) > time.Hour || b.s3.open() != 1 {
		t.Fatalf("after its Abort the upload is %s until %s", u.State, u.ExpiresAt)
	}
	b.want(b.part(resumedKey, id, 3, "late"), 404, "NoSuchUpload")
	b.want(b.ask("GET", "/uploads/"+resumedKey+"?uploadId="+id, ""), 404, "NoSuchUpload")
	b.want(b.complete(resumedKey, id, "one", "two"), 404, "NoSuchUpload")
	b.want(abort(id), 404, "NoSuchUpload")
	again := b.create(resumedKey)
	name, value := sha("one")
	a, travelled := b.declared(again, 1, "one", name, value)
	b.want(a, 200, "")
	b.wantTravelled("a part from before the Abort", travelled, "")
	b.want(abort(again), 204, "")
	b.want(abort(again, "x-partway-resume", "no"), 204, "")
	if b.record(again).State != tracking.StateAborted || b.s3.open() != 0 {
		t.Error("an Abort for good left the upload")
	}
}

func TestClientsThatComeBackAtOnceDoNotShareAnUpload(t *testing.T) {
	b := resuming(t)
	b.interrupted()
	const clients = 8
	ids := make([]string, clients)
	var done sync.WaitGroup
	for i := range ids {
		done.Go(func() { ids[i] = b.create(resumedKey) })
	}
	done.Wait()
	// An id that was handed on since is no upload any more; those that are have storage uploads of their own.
	owners := map[string]string{}
	for _, id := range ids {
		u, err := b.store.Upload(t.Context(), id)
		if err != nil {
			continue
		}
		if other, taken := owners[u.StorageID]; taken {
			t.Errorf("ids %s and %s are the same upload at storage", id, other)
		}
		owners[u.StorageID] = id
	}
	if len(owners) == 0 {
		t.Error("nobody has an upload")
	}
}
