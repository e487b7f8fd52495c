// Package awschunked is the framing that S3 clients put around a body whose checksum or signature they only know at its end:
//
//	SIZE[;chunk-signature=HEX]\r\n DATA\r\n ... 0[;chunk-signature=HEX]\r\n [NAME:VALUE\r\n [x-amz-trailer-signature:HEX\r\n]] \r\n
//
// One parser reads it, and three readers stand on it, by what storage is to get:
//
//	Reader    the data: chunk signatures and the trailing checksum verified
//	Walker    the same bytes: framing, decoded length and trailer name checked, nothing hashed
//	Reframer  a signed body as STREAMING-UNSIGNED-PAYLOAD-TRAILER: signatures verified, the checksum left for storage to verify
//
// Chunks may be very large, so a chunk cannot be kept back until its signature is verified. Instead each reader keeps back the
// last byte of what it delivers until everything before and after it has been verified and the source has ended: whoever is
// told the length beforehand never holds a complete body that is not a right one. An empty body has no such byte:
// read it to io.EOF before its head is sent.
//
// No reader has a buffer that grows with the body or with a chunk. None is safe for concurrent use.
//
// Source: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks", Amazon S3 API Reference.
package awschunked

import (
	"errors"
	"fmt"

	"partway/auth/sigv4"
)

// Errors of Read, wrapped. After one of them the body is lost. Errors of the source are passed on as they are.
var (
	ErrFraming   = errors.New("malformed aws-chunked body") // with io.ErrUnexpectedEOF when it ended too early
	ErrLength    = errors.New("aws-chunked body is not as long as declared")
	ErrSignature = errors.New("chunk signature does not match")
	ErrChecksum  = errors.New("trailing checksum does not match")
	ErrTrailer   = errors.New("malformed trailer") // another than the declared one, or none
)

// ChunkSizeError is a chunk below Options.MinChunk that was not the last with data.
type ChunkSizeError struct {
	Chunk int   // counted from 1
	Size  int64 // bytes
}

func (e *ChunkSizeError) Error() string {
	return fmt.Sprintf("chunk %d has %d bytes only", e.Chunk, e.Size)
}

// TrailerValueError is the ErrChecksum of a value that is none of its algorithm's: not base64, or of another length.
type TrailerValueError struct{ Trailer string } // its name

func (e *TrailerValueError) Error() string { return "the value of " + e.Trailer + " is no checksum" }

// Unwrap returns ErrChecksum.
func (e *TrailerValueError) Unwrap() error { return ErrChecksum }

// Options are what the request's head says about its body.
type Options struct {
	Length  int64         // x-amz-decoded-content-length
	Trailer string        // x-amz-trailer, the name of one header in any case; "" for the forms without a trailer
	Chunks  *sigv4.Chunks // of the signed forms; nil for STREAMING-UNSIGNED-PAYLOAD-TRAILER

	MinChunk int64 // smallest chunk but for the last with data; 0: any
}
