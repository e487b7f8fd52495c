package relay

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestBuffersOfAThousandTransfersAreBounded(t *testing.T) {
	const transfers, bound = 1000, 48 << 20
	var taken []*buffer
	total := 0
	for range transfers {
		b := takeBuffer(false)
		taken, total = append(taken, b), total+len(b.bytes)
	}
	if total > bound {
		t.Errorf("%d transfers hold %d bytes of buffers, want %d at most", transfers, total, bound)
	}
	for _, b := range taken {
		b.giveBack()
	}
	b := takeBuffer(false)
	defer b.giveBack()
	if len(b.bytes) != largeBuffer {
		t.Errorf("a lone transfer gets %d bytes, want %d: the others gave theirs back", len(b.bytes), largeBuffer)
	}
}

func TestABufferHoldsARecordWhole(t *testing.T) {
	const record = 16 << 10
	b := takeBuffer(true)
	defer b.giveBack()
	if room := len(b.bytes) - chunkFrame; room < record {
		t.Errorf("a chunk has room for %d bytes, want %d: every record would be sent as two", room, record)
	}
}

// tlsLike returns what is left of a record, as tls.Conn does, and says when it would have to wait for the next one.
type tlsLike struct {
	records, left int
	waits         func()
}

func (s *tlsLike) Read(p []byte) (int, error) {
	if s.left == 0 {
		if s.records == 0 {
			return 0, io.EOF
		}
		s.waits()
		s.records, s.left = s.records-1, 1000
	}
	n := copy(p, bytes.Repeat([]byte{byte(s.records)}, s.left))
	s.left -= n
	return n, nil
}

func TestNoBufferIsHeldWhileARecordIsWaitedFor(t *testing.T) {
	through := newLease(true)
	defer through.close()
	waited := 0
	src := &tlsLike{records: 3, waits: func() {
		if waited++; through.buffer != nil {
			t.Error("a buffer is held")
		}
	}}
	for want := 2; want >= 0; want-- {
		n, err := through.read(src, 10, 5)
		if err != nil || n != 1000 || !bytes.Equal(through.buffer.bytes[10:10+n], bytes.Repeat([]byte{byte(want)}, n)) {
			t.Fatalf("read %d, %v: not the record whole", n, err)
		}
		through.emptied()
	}
	if n, err := through.read(src, 10, 5); n != 0 || !errors.Is(err, io.EOF) || waited != 3 {
		t.Errorf("at the end: %d, %v, after %d waits", n, err, waited)
	}
}
