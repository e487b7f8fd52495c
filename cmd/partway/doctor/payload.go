package doctor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"

	"partway/auth/sigv4"
)

// form is a way of sending a body. make returns what is sent for data, with a checksum of summed.
type form struct {
	name string
	make func(data, summed []byte) (payload string, headers []sigv4.Header, sent []byte)
}

// forms are those that the relay sends.
var forms = []form{
	{"exact sha256", func(data, summed []byte) (string, []sigv4.Header, []byte) {
		sum := sha256.Sum256(summed)
		return hex.EncodeToString(sum[:]), nil, data
	}},
	{sigv4.UnsignedPayload, func(data, summed []byte) (string, []sigv4.Header, []byte) {
		return sigv4.UnsignedPayload, []sigv4.Header{{Name: "x-amz-checksum-crc32", Value: crc(summed)}}, data
	}},
	{sigv4.StreamingUnsignedTrailer, func(data, summed []byte) (string, []sigv4.Header, []byte) {
		framed := fmt.Appendf(nil, "%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n", len(data), data, crc(summed))
		return sigv4.StreamingUnsignedTrailer, []sigv4.Header{
			{Name: "content-encoding", Value: "aws-chunked"},
			{Name: "x-amz-decoded-content-length", Value: strconv.Itoa(len(data))},
			{Name: "x-amz-trailer", Value: "x-amz-checksum-crc32"},
		}, framed
	}},
}

func crc(b []byte) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(b)))
}

// payloads tries each form with a right and with a wrong checksum.
func (x *examination) payloads(ctx context.Context) {
	data := []byte("The body that was meant.")
	for _, f := range forms {
		name := "body: " + f.name
		a, stored, err := x.put(ctx, f, data, data)
		taken := err == nil && a.ok() && bytes.Equal(stored, data)
		optional := f.name == sigv4.StreamingUnsignedTrailer
		switch {
		case err != nil:
			x.say(Fail, name, err.Error(), "")
			continue
		case taken && optional && !x.Backend.TakesAWSChunked():
			x.say(Warn, name, "taken, but configured as not", "remove aws_chunked: false, and trailers are verified by storage")
			continue
		case taken: // its checksum is to be tried
		case optional && !x.Backend.TakesAWSChunked():
			x.say(OK, name, "not taken, as configured", "")
			continue
		case a.ok():
			x.say(Fail, name, "stored with other bytes than the body's", doPayload(optional))
			continue
		default:
			x.say(Fail, name, a.String(), doPayload(optional))
			continue
		}
		switch a, _, err := x.put(ctx, f, data, []byte("The body that was sent!!")); {
		case err != nil:
			x.say(Fail, name, err.Error(), "")
		case a.ok():
			x.say(Warn, name, "taken, with a wrong checksum too", "storage does not verify bodies: damage on the way is not noticed")
		case !a.refused():
			x.say(Fail, name, "a wrong checksum is neither taken nor refused: "+a.String(), "try again when storage is well")
		default:
			x.say(OK, name, "taken; a wrong checksum is refused: "+a.String(), "")
		}
	}
}

func doPayload(optional bool) string {
	if optional {
		return "set aws_chunked: false"
	}
	return "this storage cannot be used"
}

// put stores data with a checksum of summed, and reads what is there then.
func (x *examination) put(ctx context.Context, f form, data, summed []byte) (*answer, []byte, error) {
	payload, headers, sent := f.make(data, summed)
	c := x.own.call(http.MethodPut, "body")
	c.Payload, c.Headers = payload, headers
	a, err := x.ask(ctx, c, sent)
	if err != nil || !a.ok() {
		return a, nil, err
	}
	stored, err := x.stored(ctx, "body")
	return a, stored, err
}
