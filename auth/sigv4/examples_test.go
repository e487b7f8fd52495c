package sigv4

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"
	"time"
)

// The identity and the clock of every example in the S3 API Reference.
var (
	exampleSigner = func() *Signer {
		return &Signer{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
			Region: "us-east-1", Service: "s3"}
	}
	exampleTime  = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	exampleScope = Scope{"20130524", "us-east-1", "s3"}
)

const exampleDate = "20130524T000000Z"

// "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk", S3 API Reference, and
// the seeds of the pages on chunks.
func TestPublishedHeaderExamples(t *testing.T) {
	const bucket = "examplebucket.s3.amazonaws.com"
	for _, c := range []struct {
		name, signature string
		r               Request
	}{
		{"GET object", "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", Request{
			Method: "GET", Path: "/test.txt", Payload: emptySHA256,
			Headers: []Header{{"host", bucket}, {"range", "bytes=0-9"}}}},
		{"PUT object", "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", Request{
			Method: "PUT", Path: "/test$file.text", Payload: "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
			Headers: []Header{{"date", "Fri, 24 May 2013 00:00:00 GMT"}, {"host", bucket}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}}}},
		{"GET bucket lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", Request{
			Method: "GET", Path: "/", Query: "lifecycle", Payload: emptySHA256,
			Headers: []Header{{"host", bucket}}}},
		{"list objects", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", Request{
			Method: "GET", Path: "/", Query: "max-keys=2&prefix=J", Payload: emptySHA256,
			Headers: []Header{{"host", bucket}}}},
		{"chunked seed", chunkedSeed, Request{
			Method: "PUT", Path: "/examplebucket/chunkObject.txt", Payload: StreamingSigned,
			Headers: []Header{{"host", "s3.amazonaws.com"}, {"content-encoding", "aws-chunked"}, {"content-length", "66824"},
				{"x-amz-decoded-content-length", "66560"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"}}}},
		{"chunked seed with trailer", trailerSeed, Request{
			Method: "PUT", Path: "/examplebucket/chunkObject.txt", Payload: StreamingSignedTrailer,
			Headers: []Header{{"host", "s3.amazonaws.com"}, {"content-encoding", "aws-chunked"},
				{"x-amz-decoded-content-length", "66560"}, {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
				{"x-amz-trailer", "x-amz-checksum-crc32c"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.r.Headers = append(c.r.Headers, Header{"x-amz-date", exampleDate}, Header{"x-amz-content-sha256", c.r.Payload})
			got := exampleSigner().SignHeader(&c.r, exampleTime)
			if !strings.HasSuffix(got, ", Signature="+c.signature) {
				t.Errorf("Authorization %s, want signature %s", got, c.signature)
			}
		})
	}
}

// "Authenticating Requests: Using Query Parameters", S3 API Reference.
func TestPublishedPresignedExample(t *testing.T) {
	got := exampleSigner().Presign(&Request{Method: "GET", Path: "/test.txt",
		Headers: []Header{{"host", "examplebucket.s3.amazonaws.com"}}}, 24*time.Hour, exampleTime)
	const want = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
		"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
	if got != want {
		t.Errorf("query\n%s\nwant\n%s", got, want)
	}
}

// The chain of 64 KiB, 1 KiB and nothing, all of the letter a: "...: Transferring Payload in Multiple Chunks" and
// "...: Including trailing headers", S3 API Reference.
const (
	chunkedSeed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
	trailerSeed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
)

var (
	chunkedChain = []string{
		"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
		"0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
	}
	trailerChain = []string{
		"b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
		"1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
		"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
	}
)

const (
	exampleTrailer   = "x-amz-checksum-crc32c:sOO8/Q==\n"
	trailerSignature = "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
)

func exampleHashes() (hashes [][32]byte) {
	for _, size := range []int{64 << 10, 1 << 10, 0} {
		hashes = append(hashes, sha256.Sum256(bytes.Repeat([]byte("a"), size)))
	}
	return hashes
}

func exampleChunks(seed string) *Chunks {
	return NewChunks(DeriveKey(exampleSigner().Secret, exampleScope), seed, exampleDate, exampleScope)
}

func TestPublishedChunks(t *testing.T) {
	c := exampleChunks(chunkedSeed)
	for i, hash := range exampleHashes() {
		if !c.Verify(hash, chunkedChain[i]) {
			t.Fatalf("chunk %d refused", i)
		}
	}
}

func TestPublishedTrailer(t *testing.T) {
	c := exampleChunks(trailerSeed)
	for i, hash := range exampleHashes() {
		if !c.Verify(hash, trailerChain[i]) {
			t.Fatalf("chunk %d refused", i)
		}
	}
	if !c.VerifyTrailer([]byte(exampleTrailer), trailerSignature) {
		t.Error("trailer refused")
	}
}

func TestChunksRefuse(t *testing.T) {
	hashes := exampleHashes()
	for _, c := range []struct {
		name string
		run  func(c *Chunks) bool
	}{
		{"other data", func(c *Chunks) bool { return c.Verify(hashes[1], chunkedChain[0]) }},
		{"other signature", func(c *Chunks) bool { return c.Verify(hashes[0], chunkedChain[1]) }},
		{"no signature", func(c *Chunks) bool { return c.Verify(hashes[0], "") }},
		{"upper-case signature", func(c *Chunks) bool { return c.Verify(hashes[0], strings.ToUpper(chunkedChain[0])) }},
		{"a chunk left out", func(c *Chunks) bool {
			c.Verify(hashes[0], chunkedChain[0])
			return c.Verify(hashes[2], chunkedChain[2])
		}},
		{"a chunk twice", func(c *Chunks) bool {
			c.Verify(hashes[0], chunkedChain[0])
			return c.Verify(hashes[0], chunkedChain[0])
		}},
		{"right again after a refusal", func(c *Chunks) bool {
			c.Verify(hashes[1], chunkedChain[0])
			return c.Verify(hashes[0], chunkedChain[0])
		}},
		{"a chunk as trailer", func(c *Chunks) bool { return c.VerifyTrailer(bytes.Repeat([]byte("a"), 64<<10), chunkedChain[0]) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.run(exampleChunks(chunkedSeed)) {
				t.Error("accepted")
			}
		})
	}
}
