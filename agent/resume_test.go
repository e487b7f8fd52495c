package agent

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"partway/auth/sigv4"
)

// listed is a part as storage lists it whose ETag is an MD5.
func listed(number int, body string) string {
	return fmt.Sprintf(`<Part><PartNumber>%d</PartNumber><ETag>&quot;%x&quot;</ETag><Size>%d</Size></Part>`, number, md5.Sum([]byte(body)), len(body))
}

// interrupted makes the bench's gateway hand over an upload of these parts, and has the child take it up.
func (b *bench) interrupted(parts ...string) {
	b.t.Helper()
	b.onPass = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Method == http.MethodPost && r.URL.Query().Has("uploads"):
			w.Header().Set("X-Partway-Resumed", fmt.Sprint(len(parts)))
			fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>U</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodGet && r.URL.Query().Get("uploadId") == "U":
			fmt.Fprint(w, "<ListPartsResult>"+strings.Join(parts, "")+"</ListPartsResult>")
		default:
			return false
		}
		return true
	}
	a := b.create()
	if a.want(b.t, 200, ""); uploadIDIn([]byte(a.body)) != "U" || a.header.Get("X-Amz-Request-Id") == "" {
		b.t.Fatalf("the child was told %v %s", a.header, a.body)
	}
}

func (b *bench) create() answer {
	b.t.Helper()
	return b.ask("POST", "/bucket/a%20key", "uploads=", nil, hashOf(""), nil)
}

// A part travels unless what storage lists of it is the MD5 or the SHA-256 of the bytes at hand, whatever is declared of them.
func TestWhatNeedNotTravelAgain(t *testing.T) {
	sha := sha256.Sum256([]byte("hello"))
	large := strings.Repeat("a", maxHeld+1)
	other := "b" + large[1:]
	crc := func(body string) []string {
		return []string{"X-Amz-Checksum-Crc32", base64.StdEncoding.EncodeToString(binaryCRC(body))}
	}
	for name, test := range map[string]struct {
		listed  string
		body    string
		headers []string
		query   string
		chunked bool
		travels bool
		refused string // in storage's place, because it is never given
	}{
		"an ETag that is its MD5":                    {listed: listed(3, "hello"), body: "hello"},
		"the same, with its CRC":                     {listed: listed(3, "hello"), body: "hello", headers: crc("hello")},
		"the same, its CRC behind it":                {listed: listed(3, "hello"), body: "hello", chunked: true},
		"the same, too large for memory":             {listed: listed(3, large), body: large, headers: crc(large)},
		"its SHA-256 and another ETag":               {listed: `<Part><PartNumber>3</PartNumber><ETag>"of a KMS"</ETag><Size>5</Size><ChecksumSHA256>` + base64.StdEncoding.EncodeToString(sha[:]) + `</ChecksumSHA256></Part>`, body: "hello"},
		"another body of that size":                  {listed: listed(3, "hello"), body: "HELLO", travels: true},
		"another body too large for memory":          {listed: listed(3, large), body: other, headers: crc(other), travels: true},
		"another body, its CRC behind it":            {listed: listed(3, "hello"), body: "HELLO", chunked: true, travels: true},
		"another size":                               {listed: listed(3, "hell"), body: "hello", travels: true},
		"another number":                             {listed: listed(2, "hello"), body: "hello", travels: true},
		"another upload":                             {listed: listed(3, "hello"), body: "hello", query: "partNumber=3&uploadId=V", travels: true},
		"an ETag that is no MD5":                     {listed: `<Part><PartNumber>3</PartNumber><ETag>"0123456789abcdef0123456789abcdef"</ETag><Size>5</Size></Part>`, body: "hello", travels: true},
		"a CRC alone":                                {listed: `<Part><PartNumber>3</PartNumber><ETag>"x"</ETag><Size>5</Size><ChecksumCRC32>` + crc("hello")[1] + `</ChecksumCRC32></Part>`, body: "hello", headers: crc("hello"), travels: true},
		"a declared MD5 that is the list's":          {listed: listed(3, "hello"), body: "HELLO", headers: []string{"Content-MD5", "XUFAKrxLKna5cZ2REBfFkg=="}, travels: true},
		"a declared CRC that is wrong":               {listed: listed(3, "hello"), body: "hello", headers: crc("HELLO"), travels: true},
		"a declared checksum that is not known":      {listed: listed(3, "hello"), body: "hello", headers: []string{"X-Amz-Checksum-Md4", "AAAA"}, travels: true},
		"a part that has a key of its own":           {listed: listed(3, "hello"), body: "hello", headers: []string{"X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256"}, travels: true},
		"a body that is not the one that was signed": {listed: listed(3, "hello"), body: "hello", refused: "XAmzContentSHA256Mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			b := newBench(t, Token{Text: "the bearer"})
			b.interrupted(test.listed)
			query := test.query
			if query == "" {
				query = onPart
			}
			var a answer
			switch {
			case test.chunked:
				body := fmt.Sprintf("%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", len(test.body), test.body, crc(test.body)[1])
				a = b.ask("PUT", "/bucket/a%20key", query, []byte(body), sigv4.StreamingUnsignedTrailer, nil,
					"X-Amz-Decoded-Content-Length", fmt.Sprint(len(test.body)), "X-Amz-Trailer", "x-amz-checksum-crc32", "Content-Encoding", "aws-chunked")
				test.headers = crc(test.body)
			case test.refused != "":
				b.ask("PUT", "/bucket/a%20key", query, []byte(test.body), hashOf("other"), nil).want(t, 400, test.refused)
				return
			default:
				a = b.ask("PUT", "/bucket/a%20key", query, []byte(test.body), hashOf(test.body), nil, test.headers...)
			}
			a.want(t, 200, "")
			b.mu.Lock()
			defer b.mu.Unlock()
			if test.travels {
				if len(b.stored) != 1 || string(b.stored[0]) != test.body {
					t.Fatalf("storage was sent %d bodies", len(b.stored))
				}
				return
			}
			if len(b.signs)+len(b.puts) != 0 {
				t.Fatalf("%d were signed, %d sent", len(b.signs), len(b.puts))
			}
			if a.header.Get("X-Partway-Transfer") != "skip;reason=already-stored" || !strings.Contains(test.listed, strings.ReplaceAll(a.header.Get("Etag"), `"`, "&quot;")) && a.header.Get("Etag") != `"of a KMS"` {
				t.Errorf("%v", a.header)
			}
			if len(test.headers) > 0 && a.header.Get(test.headers[0]) != test.headers[1] {
				t.Errorf("without the checksum that the Complete must name: %v", a.header)
			}
			if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "partway-part-*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func binaryCRC(body string) []byte {
	sum := crc32.ChecksumIEEE([]byte(body))
	return []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
}

// What the list says holds once: a part that was changed since is another.
func TestAPartThatWasSentIsOnNoList(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	b.interrupted(listed(3, "hello"))
	for _, body := range []string{"HELLO", "hello"} {
		b.part(body, hashOf(body)).want(t, 200, "")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.stored) != 2 || string(b.stored[1]) != "hello" {
		t.Errorf("storage was sent %q", b.stored)
	}
}

// A new upload of the key knows nothing of the one before, and a part of which the child broke off in the middle is asked about again.
func TestAListBelongsToOneUpload(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	b.interrupted(listed(3, "hello"))
	a := b.ask("PUT", "/bucket/a%20key", onPart, []byte("5\r\nhel"), sigv4.StreamingUnsignedTrailer, nil, "X-Amz-Decoded-Content-Length", "5", "X-Amz-Trailer", "x-amz-checksum-crc32")
	a.want(t, 400, "IncompleteBody")
	b.part("hello", hashOf("hello")).want(t, 200, "")
	if len(b.puts) != 0 {
		t.Error("it was sent")
	}
	b.interrupted(listed(3, "hello"))
	b.interrupted()
	b.part("hello", hashOf("hello")).want(t, 200, "")
	if len(b.puts) != 1 {
		t.Error("it was not sent")
	}
}

func TestATokenThatMayNotListSendsAllParts(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	b.interrupted(listed(3, "hello"))
	handOver := b.onPass
	b.onPass = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "<Error><Code>AccessDenied</Code></Error>")
			return true
		}
		return handOver(w, r)
	}
	b.create().want(t, 200, "")
	b.part("hello", hashOf("hello")).want(t, 200, "")
	if len(b.puts) != 1 {
		t.Error("it was not sent")
	}
}

// A disk that is full costs a part its second sending, not the upload.
func TestAPartGoesWithoutBeingKeptWhereItCannotBe(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	b := newBench(t, Token{Text: "the bearer"})
	large := strings.Repeat("a", maxHeld+1)
	b.interrupted(listed(3, large))
	b.part(large, hashOf(large)).want(t, 503, "SlowDown")
	b.part(large, hashOf(large)).want(t, 200, "")
	if len(b.stored) != 1 || !bytes.Equal(b.stored[0], []byte(large)) {
		t.Error("it was not sent")
	}
}

func TestFewUploadsAreRemembered(t *testing.T) {
	var r resumed
	for i := range maxResumed + 5 {
		r.add(Object{"b", fmt.Sprint(i)}, resumedUpload{"U", map[int]storedPart{1: {Size: 5}, 2: {Size: 5}}})
	}
	if len(r.uploads) != maxResumed {
		t.Fatalf("%d", len(r.uploads))
	}
	last := object{bucket: "b", key: fmt.Sprint(maxResumed + 4), uploadID: "U"}
	for number := 1; number <= 2; number++ {
		if _, ok := r.part(last, number, 5); !ok {
			t.Errorf("part %d of the last is forgotten", number)
		}
		r.settle(last, number)
	}
	if len(r.uploads) != maxResumed-1 {
		t.Error("an upload of which nothing is left to ask is remembered")
	}
}

// cp takes up what another tool began, and sends what is missing; a note of it is not needed.
func TestACopyTakesUpWhatAnotherBegan(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 20<<20/16)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, Token{Text: "the bearer"})
	parts := []string{listed(1, string(content[:8<<20])), listed(2, strings.Repeat("x", 8<<20))}
	var sums [][]byte
	for i := 0; i < len(content); i += 8 << 20 {
		sum := md5.Sum(content[i:min(i+8<<20, len(content))])
		sums = append(sums, sum[:])
	}
	b.interrupted(parts...)
	handOver := b.onPass
	var list string
	b.onPass = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPost && r.URL.Query().Get("uploadId") == "U" {
			list = string(b.passedOn[len(b.passedOn)-1])
			fmt.Fprintf(w, "<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>", ofParts(sums))
			return true
		}
		return handOver(w, r)
	}
	var resumed int64
	c := &Copy{Parallel: 1, Resumed: func(n int64) { resumed += n }}
	_, err := c.Upload(t.Context(), b.client, path, Object{"bucket", "a key"})
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if resumed != 8<<20 || len(b.stored) != 2 || !bytes.Equal(b.stored[0], content[8<<20:16<<20]) || !bytes.Equal(b.stored[1], content[16<<20:]) {
		t.Errorf("%d bytes were stored already, %d parts sent", resumed, len(b.stored))
	}
	if !strings.Contains(list, hex.EncodeToString(sums[0])) {
		t.Errorf("completed %s", list)
	}
}

// goleak would see what waits for ever.
func TestAGatewayThatCannotListIsWaitedForAndThenToldOf(t *testing.T) {
	b := newBench(t, Token{Text: "the bearer"})
	b.interrupted(listed(3, "hello"))
	handOver := b.onPass
	b.client.patience = 50 * time.Millisecond
	b.onPass = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return handOver(w, r)
	}
	b.create().want(t, 503, "ServiceUnavailable")
}
