package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"partway/e2e/harness"
)

// refused demands the status and S3 code of a refusal, and its event if somebody was authenticated.
func refused(t *testing.T, n *harness.Tenant, a harness.Answer, status int, code string, authenticated bool) {
	t.Helper()
	if a.StatusCode != status || a.Code != code {
		t.Errorf("answer %d %s, want %d %s\n%s", a.StatusCode, a.Code, status, code, a.Text)
	}
	if a.ID == "" {
		t.Error("answer without x-amz-request-id")
	}
	if !authenticated {
		n.Unauthenticated(a.ID)
		return
	}
	e, err := n.EventOf(t.Context(), a.ID)
	if err != nil {
		t.Error(err)
	} else if e.Outcome != code || e.Status != status {
		t.Errorf("event says %s %d, the answer %s %d", e.Outcome, e.Status, code, status)
	}
}

func TestRefusalsOfAuthentication(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		now := time.Now()
		signed := func(keys harness.Keys) func(*http.Request) {
			return func(r *http.Request) { harness.Sign(t, r, keys, now) }
		}
		header := func(name, value string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set(name, value) }
		}
		own := n.Keys
		altered := own.AccessKeyID[:len(own.AccessKeyID)-6] + "AAAAAA"
		for _, c := range []struct {
			name   string
			prove  func(*http.Request)
			status int
			code   string
		}{
			{"nothing", func(r *http.Request) { r.Header.Del("Authorization") }, 403, "AccessDenied"},
			{"wrong secret", signed(harness.Keys{AccessKeyID: own.AccessKeyID, SecretAccessKey: "x" + own.SecretAccessKey}), 403, "SignatureDoesNotMatch"},
			{"access key that is no token", signed(harness.Keys{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "x"}), 403, "InvalidAccessKeyId"},
			{"altered token", signed(harness.Keys{AccessKeyID: altered, SecretAccessKey: own.SecretAccessKey}), 403, "InvalidAccessKeyId"},
			{"bearer as access key", signed(harness.Keys{AccessKeyID: n.Bearer, SecretAccessKey: own.SecretAccessKey}), 403, "InvalidAccessKeyId"},
			{"access key as bearer", header("Authorization", "Bearer "+own.AccessKeyID), 403, "InvalidAccessKeyId"},
			{"bearer that is no token", header("Authorization", "Bearer nonsense"), 403, "InvalidAccessKeyId"},
			{"clock an hour slow", func(r *http.Request) { harness.Sign(t, r, own, now.Add(-time.Hour)) }, 403, "RequestTimeTooSkewed"},
			{"signature version 2", header("Authorization", "AWS "+own.AccessKeyID+":c2lnbmF0dXJl"), 400, "InvalidRequest"},
			{"two mechanisms", func(r *http.Request) {
				r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x&X-Amz-Date=x&X-Amz-Expires=1&X-Amz-SignedHeaders=host&X-Amz-Signature=0"
			}, 400, "InvalidRequest"},
			{"security token", func(r *http.Request) {
				r.Header.Set("X-Amz-Security-Token", "token")
				harness.Sign(t, r, own, now)
			}, 400, "InvalidToken"},
			{"header changed after signing", func(r *http.Request) {
				r.Header.Set("X-Amz-Meta-A", "1")
				harness.Sign(t, r, own, now)
				r.Header.Set("X-Amz-Meta-A", "2")
			}, 403, "SignatureDoesNotMatch"},
		} {
			t.Run(c.name, func(t *testing.T) {
				r := n.Request(t, http.MethodPut, "/"+harness.Bucket+"/"+n.Prefix+"refused", "body")
				c.prove(r)
				refused(t, n, n.Do(t, r), c.status, c.code, false)
			})
		}
	})
}

func TestRefusalsOfTokensThatEnded(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		scope := harness.Scope{Bucket: harness.Bucket, Prefix: n.Prefix, Actions: []string{"s3:*"}}
		for _, c := range []struct {
			name string
			ttl  time.Duration
			end  func(harness.Token) error
			code string
		}{
			{"expired", time.Second, func(harness.Token) error { return nil }, "ExpiredToken"},
			{"revoked", time.Hour, func(k harness.Token) error { return n.Gateway.Revoke(t.Context(), k.ID) }, "InvalidToken"},
		} {
			t.Run(c.name, func(t *testing.T) {
				token, err := n.Gateway.Issue(t.Context(), n.Name, "key", c.ttl, scope)
				if err != nil {
					t.Fatal(err)
				}
				if err := c.end(token); err != nil {
					t.Fatal(err)
				}
				// The clock, or the poll of revocations, brings the end within seconds.
				var a harness.Answer
				err = harness.Await(withTimeout(t, 15*time.Second), "the token's end", nil, func() bool {
					r := n.Request(t, http.MethodHead, "/"+harness.Bucket, "")
					r.Method = http.MethodGet
					r.URL.RawQuery = "list-type=2&prefix=" + n.Prefix
					harness.Sign(t, r, token.Keys, time.Now())
					a = n.Do(t, r)
					return a.StatusCode != http.StatusOK
				})
				if err != nil {
					t.Fatal(err)
				}
				refused(t, n, a, 400, c.code, false)
			})
		}
	})
}

func TestRefusalsOfWhatATokenMayNotTouch(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		bucket := "/" + harness.Bucket + "/"
		key := n.Prefix + "open"
		id := create(t, n, key)
		other := n.NewTenant(t)
		foreign := create(t, other, other.Prefix+"open")
		altered := "A" + id[1:]
		if altered == id {
			altered = "B" + id[1:]
		}
		part := func(key, number, id string) string { return bucket + key + "?partNumber=" + number + "&uploadId=" + id }
		huge := "<CompleteMultipartUpload>" + strings.Repeat(" ", 5*mib) + "</CompleteMultipartUpload>"

		for _, c := range []struct {
			name, method, target, body string
			status                     int
			code                       string
		}{
			{"other tenant's prefix", "PUT", bucket + other.Prefix + "f", "x", 403, "AccessDenied"},
			{"prefix without its slash", "PUT", bucket + n.Name + "x/f", "x", 403, "AccessDenied"},
			{"prefix itself as a key", "PUT", bucket + n.Name, "x", 403, "AccessDenied"},
			{"other bucket", "GET", "/other/" + n.Prefix + "f", "", 403, "AccessDenied"},
			{"list above the prefix", "GET", "/" + harness.Bucket + "?list-type=2", "", 403, "AccessDenied"},
			{"list of another prefix", "GET", "/" + harness.Bucket + "?list-type=2&prefix=" + other.Prefix, "", 403, "AccessDenied"},
			{"dots", "PUT", bucket + n.Prefix + "../" + other.Prefix + "f", "x", 400, "InvalidArgument"},
			{"dots, encoded", "PUT", bucket + n.Prefix + "%2e%2e/" + other.Prefix + "f", "x", 400, "InvalidArgument"},
			{"dots and slash, encoded", "PUT", bucket + n.Prefix + "%2e%2e%2f" + other.Prefix + "f", "x", 400, "InvalidArgument"},
			{"one dot", "PUT", bucket + n.Prefix + "./f", "x", 400, "InvalidArgument"},
			{"NUL", "PUT", bucket + n.Prefix + "a%00b", "x", 400, "InvalidArgument"},
			{"line feed", "PUT", bucket + n.Prefix + "a%0ab", "x", 400, "InvalidArgument"},
			{"bad UTF-8", "PUT", bucket + n.Prefix + "a%ffb", "x", 400, "InvalidArgument"},
			{"long key", "PUT", bucket + n.Prefix + strings.Repeat("k", 1024), "x", 400, "KeyTooLongError"},
			{"part 0", "PUT", part(key, "0", id), "x", 400, "InvalidArgument"},
			{"part 10001", "PUT", part(key, "10001", id), "x", 400, "InvalidArgument"},
			{"part that is no number", "PUT", part(key, "one", id), "x", 400, "InvalidArgument"},
			{"altered upload id", "PUT", part(key, "1", altered), "x", 404, "NoSuchUpload"},
			{"nonsense upload id", "PUT", part(key, "1", "nonsense"), "x", 404, "NoSuchUpload"},
			{"upload id of another key", "PUT", part(n.Prefix+"elsewhere", "1", id), "x", 404, "NoSuchUpload"},
			{"other tenant's upload id", "PUT", part(key, "1", foreign), "x", 404, "NoSuchUpload"},
			{"other tenant's upload", "PUT", part(other.Prefix+"open", "1", foreign), "x", 403, "AccessDenied"},
			{"abort of other tenant's upload", "DELETE", bucket + other.Prefix + "open?uploadId=" + foreign, "", 403, "AccessDenied"},
			{"list parts of an altered id", "GET", bucket + key + "?uploadId=" + altered, "", 404, "NoSuchUpload"},
			{"malformed XML", "POST", bucket + key + "?uploadId=" + id, "<CompleteMultipartUpload><Part>", 400, "MalformedXML"},
			{"no parts", "POST", bucket + key + "?uploadId=" + id, "<CompleteMultipartUpload></CompleteMultipartUpload>", 400, "MalformedXML"},
			{"XML of another kind", "POST", bucket + key + "?uploadId=" + id, "<Delete></Delete>", 400, "MalformedXML"},
			{"huge XML", "POST", bucket + key + "?uploadId=" + id, huge, 400, "MaxMessageLengthExceeded"},
			{"part that storage never saw", "POST", bucket + key + "?uploadId=" + id, partList(`"00000000000000000000000000000000"`), 400, "InvalidPart"},
			{"unknown operation on a key", "PUT", bucket + key + "?torrent", "", 501, "NotImplemented"},
			{"unknown operation on the bucket", "PUT", "/" + harness.Bucket + "?inventory", "", 501, "NotImplemented"},
			{"object that is not there", "GET", bucket + n.Prefix + "nothing", "", 404, "NoSuchKey"},
		} {
			t.Run(c.name, func(t *testing.T) {
				refused(t, n, n.Do(t, n.Request(t, c.method, c.target, c.body)), c.status, c.code, true)
			})
		}
		t.Run("signed key with dots", func(t *testing.T) {
			r := n.Request(t, http.MethodPut, bucket+n.Prefix+"../"+other.Prefix+"f", "x")
			harness.Sign(t, r, n.Keys, time.Now())
			refused(t, n, n.Do(t, r), 400, "InvalidArgument", true)
		})
		t.Run("no length", func(t *testing.T) {
			a := n.Raw(t, "PUT "+bucket+n.Prefix+"f HTTP/1.1\r\nHost: "+n.Tap.Addr()+"\r\nAuthorization: Bearer "+n.Bearer+"\r\n\r\n")
			refused(t, n, a, 411, "MissingContentLength", true)
		})

		// After all of it, the upload is as usable as before.
		put := n.Do(t, n.Request(t, http.MethodPut, part(key, "1", id), "the part"))
		if put.StatusCode != http.StatusOK {
			t.Fatalf("UploadPart after the refusals: %s %s", put.Status, put.Text)
		}
		if a := complete(t, n, key, id, put.Header.Get("ETag")); a.StatusCode != http.StatusOK {
			t.Errorf("Complete after the refusals: %s %s", a.Status, a.Text)
		}
	})
}

// A front server may read such a request in another way than the gateway does: refused before anything is believed.
func TestRefusalsOfAmbiguousFraming(t *testing.T) {
	onEachStack(t, func(t *testing.T, n *harness.Tenant) {
		line := "PUT /" + harness.Bucket + "/" + n.Prefix + "f HTTP/1.1\r\n"
		host := "Host: " + n.Tap.Addr() + "\r\n"
		bearer := "Authorization: Bearer " + n.Bearer + "\r\n"
		for _, c := range []struct{ name, request string }{
			{"length and chunked", line + host + bearer + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
			{"two lengths", line + host + bearer + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"},
			{"the same length twice", line + host + bearer + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
			{"length with a sign", line + host + bearer + "Content-Length: +5\r\n\r\nhello"},
			{"two hosts", line + host + host + bearer + "Content-Length: 5\r\n\r\nhello"},
			{"bare line feed", line + host + bearer + "X-Amz-Meta-A: one\nContent-Length: 5\r\n\r\nhello"},
			{"folded header", line + host + bearer + "X-Amz-Meta-A: one\r\n two\r\nContent-Length: 5\r\n\r\nhello"},
			{"space before the colon", line + host + bearer + "Content-Length : 5\r\n\r\nhello"},
			{"chunked and identity", line + host + bearer + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
			{"absolute form", "PUT http://" + n.Tap.Addr() + "/" + harness.Bucket + "/" + n.Prefix + "f HTTP/1.1\r\n" + host + bearer + "Content-Length: 5\r\n\r\nhello"},
		} {
			t.Run(c.name, func(t *testing.T) {
				a := n.Raw(t, c.request)
				if a.StatusCode != http.StatusBadRequest || !a.Close {
					t.Errorf("answer %s, close %v; want 400 and close\n%s", a.Status, a.Close, a.Text)
				}
				if a.ID != "" {
					n.Unauthenticated(a.ID)
				}
			})
		}
	})
}
