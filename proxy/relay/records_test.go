package relay

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"testing"
)

// wire is a connection that has all bytes at hand.
type wire struct {
	net.Conn
	*bytes.Reader
}

func (w wire) Read(p []byte) (int, error) { return w.Reader.Read(p) }

func record(length int) []byte {
	r := append(binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(length)), make([]byte, length)...)
	for i := range length {
		r[recordHeader+i] = byte(i * length)
	}
	return r
}

func TestRecordsAreReadOneAtATime(t *testing.T) {
	const body, records = 16<<10 + 17, 20
	r := newRecords(wire{Reader: bytes.NewReader(bytes.Repeat(record(body), records))})
	var into [64 << 10]byte
	var reads []int
	for {
		n, err := r.Read(into[:])
		if err == io.EOF { //nolint:errorlint // of bytes.Reader
			break
		}
		reads = append(reads, n)
	}
	want := []int{recordHeader, body} // of the first, whose length nobody knows
	for range records - 1 {
		want = append(want, recordHeader+body)
	}
	if len(reads) != len(want) {
		t.Fatalf("reads of %d bytes, want %d", reads, want)
	}
	for i := range want {
		if reads[i] != want[i] {
			t.Errorf("read %d has %d bytes, want %d", i, reads[i], want[i])
		}
	}
}

// Whatever the lengths of records and reads, what comes is what was sent, and a record's end is never missed.
func TestRecordsOfAnyLengthPassUnchanged(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var sent, got []byte
		for range 1 + draw.IntN(20) {
			sent = append(sent, record(draw.IntN([]int{1, 10, 1000, 20_000}[draw.IntN(4)]))...)
		}
		r := newRecords(wire{Reader: bytes.NewReader(sent)})
		for {
			into := make([]byte, 1+draw.IntN(30_000))
			n, err := r.Read(into)
			got = append(got, into[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes came of %d, or others", len(got), len(sent))
		}
		if r.left != 0 || len(r.header) != 0 {
			t.Fatalf("after the last record %d bytes of it and %d of a header are thought missing", r.left, len(r.header))
		}
	}
}
