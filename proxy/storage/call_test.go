package storage

import (
	"net/http"
	"testing"

	"partway/auth/sigv4"
)

func TestRelayedIsSigned(t *testing.T) {
	b := newBackend(t, "http://storage.example:9000", nil)
	c := &Call{
		Method: "PUT", Bucket: "bucket", Key: "a//b c", Query: []Param{{"uploadId", "x"}, {"partNumber", "3"}}, Payload: sigv4.StreamingUnsignedTrailer, ContentLength: 77,
		Headers: []sigv4.Header{{Name: "x-amz-trailer", Value: "x-amz-checksum-crc32"}, {Name: "content-encoding", Value: "aws-chunked"}, {Name: "x-amz-decoded-content-length", Value: "5"}},
	}
	r, err := b.Relayed(t.Context(), c, noon)
	if err != nil {
		t.Fatal(err)
	}
	if r.Method != http.MethodPut || r.Target != "/bucket/a//b%20c?uploadId=x&partNumber=3" || r.Target != b.Target(c) || r.Length != 77 {
		t.Errorf("%s %s, length %d", r.Method, r.Target, r.Length)
	}
	header := http.Header{}
	host := ""
	for _, h := range r.Headers {
		if h.Name == "host" {
			host = h.Value
		}
		header.Add(h.Name, h.Value)
	}
	if host != "storage.example:9000" || header.Get("x-amz-date") != "20260304T120000Z" || header.Get("x-amz-content-sha256") != sigv4.StreamingUnsignedTrailer {
		t.Errorf("headers %v", r.Headers)
	}
	judge(t, "PUT", host, r.Target, header, root)
}

func TestTargetsWithoutKey(t *testing.T) {
	for _, c := range []struct {
		call                  Call
		path, virtual, atHost string
	}{
		{Call{}, "/", "/", "s.example"},
		{Call{Bucket: "b"}, "/b", "/", "b.s.example"},
		{Call{Bucket: "b", Query: []Param{{"list-type", "2"}}}, "/b?list-type=2", "/?list-type=2", "b.s.example"},
	} {
		p, v := newBackend(t, "https://s.example:443", nil), newBackend(t, "https://S.example/", virtualHost)
		if got := p.Target(&c.call); got != c.path || p.hostOf(c.call.Bucket) != "s.example" {
			t.Errorf("path style: %s at %s", got, p.hostOf(c.call.Bucket))
		}
		if got := v.Target(&c.call); got != c.virtual || v.hostOf(c.call.Bucket) != c.atHost {
			t.Errorf("virtual-host style: %s at %s", got, v.hostOf(c.call.Bucket))
		}
	}
}

// A bucket that is no host label, or that no wildcard certificate covers, stays in the path; it never reaches into the host.
func TestBucketsThatAreNoHosts(t *testing.T) {
	for _, c := range []struct{ endpoint, bucket, host, target string }{
		{"https://s.example", "a-b", "a-b.s.example", "/k"},
		{"https://s.example", "a.b", "s.example", "/a.b/k"},
		{"http://s.example", "a.b", "a.b.s.example", "/k"},
		{"http://s.example", "A_b", "s.example", "/A_b/k"},
		{"http://s.example", "evil.example/", "s.example", "/evil.example//k"},
		{"http://s.example", "a@b:1", "s.example", "/a%40b%3A1/k"},
		{"http://s.example", "..", "s.example", "/../k"},
	} {
		b := newBackend(t, c.endpoint, virtualHost)
		if host, target := b.hostOf(c.bucket), b.Target(&Call{Bucket: c.bucket, Key: "k"}); host != c.host || target != c.target {
			t.Errorf("bucket %q: %s at %s, want %s at %s", c.bucket, target, host, c.target, c.host)
		}
	}
}
