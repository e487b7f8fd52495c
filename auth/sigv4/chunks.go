package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// Chunks verifies the chunk signatures of a StreamingSigned body, each of which covers the one before. After one refusal
// everything is refused. Not safe for concurrent use.
//
// Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks" and "...Including
// trailing headers", Amazon S3 API Reference.
type Chunks struct {
	key      Key
	prologue string // timestamp and scope: two lines of each string to sign
	previous []byte // hex signature of what came before; nil after a refusal
	buf      []byte
}

// NewChunks follows on the signature of a request, the seed, which was made at amzDate under the key of s.
func NewChunks(key Key, seed, amzDate string, s Scope) *Chunks {
	return &Chunks{
		key:      key,
		prologue: amzDate + "\n" + s.String() + "\n",
		previous: []byte(seed),
	}
}

const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Verify checks the signature of the next chunk, given the SHA-256 of its data; the last chunk is empty.
func (c *Chunks) Verify(sha256 [32]byte, signature string) bool {
	// The empty hash stands for the headers that chunks may have had once and never got.
	return c.follow("AWS4-HMAC-SHA256-PAYLOAD\n", emptySHA256+"\n", sha256, signature)
}

// VerifyTrailer checks x-amz-trailer-signature over the trailer lines ("name:value\n" each, as S3 signs them).
func (c *Chunks) VerifyTrailer(trailer []byte, signature string) bool {
	return c.follow("AWS4-HMAC-SHA256-TRAILER\n", "", sha256.Sum256(trailer), signature)
}

func (c *Chunks) follow(algorithm, headers string, hash [32]byte, signature string) bool {
	if c.previous == nil {
		return false
	}
	c.buf = append(append(c.buf[:0], algorithm...), c.prologue...)
	c.buf = append(append(c.buf, c.previous...), '\n')
	c.buf = hex.AppendEncode(append(c.buf, headers...), hash[:])
	sum := mac(c.key[:], c.buf)
	want := hex.AppendEncode(c.buf[:0], sum[:])
	if subtle.ConstantTimeCompare(want, []byte(signature)) != 1 {
		c.previous = nil
		return false
	}
	c.previous = append(c.previous[:0], want...)
	return true
}
